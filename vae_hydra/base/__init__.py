"""Checks, files, dotted paths, random numbers and the frame of a command: what every other package may use."""
