"""Gaps between groups of cases, with their intervals."""
