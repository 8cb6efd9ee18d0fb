"""Gaps between groups of cases, and what they are held against."""
