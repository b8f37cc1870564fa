"""Figures of arrays (plots), figures of a run (panels), the explorer (page), and the callback that draws."""
