"""The frame of a command: its words, its configuration, its output and its errors."""
