"""A module for each kind of candidate, or for kinds alike; all that stand here are registered."""
