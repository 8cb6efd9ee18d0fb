"""Candidates held against each other, case by case."""
