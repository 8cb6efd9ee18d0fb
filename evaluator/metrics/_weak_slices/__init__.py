"""The search for slices where a candidate does worse than elsewhere."""
