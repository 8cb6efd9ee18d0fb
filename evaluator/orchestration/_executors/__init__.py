"""Where the slices of a candidate are evaluated: in this process, in others, on a Ray cluster."""
