"""What everything else builds on: checks, files, dotted paths, seeds, and what all commands share."""
