"""Where examples come from, how they are set apart, corrupted by noise and served in batches."""

from vae_hydra._moved import attributes_of

__getattr__ = attributes_of(__name__)
