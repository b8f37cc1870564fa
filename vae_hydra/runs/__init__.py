"""One run: built from its configuration, trained, named, saved, opened and shared."""
