"""A search for good options: its space, its study, its trials and its results."""
