"""One trained run, measured."""
