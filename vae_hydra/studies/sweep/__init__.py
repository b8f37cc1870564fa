"""A sweep: planned as a union of grids, and trained as far as it is not done."""
