"""One run: built from a configuration, trained in a folder, named, read, opened and shared."""
