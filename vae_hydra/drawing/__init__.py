"""Figures: of arrays, of a run, and the page that explores a run."""
