"""Data: datasets, their splits, input noise, and batches in a reproducible order."""

from vae_hydra._moved import attributes_of

__getattr__ = attributes_of(__name__)
