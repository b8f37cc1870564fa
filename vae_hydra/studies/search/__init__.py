"""A search for good options, whose trials are runs."""
