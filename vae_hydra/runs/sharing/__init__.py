"""A trained model as files for others: weights, programs that run without vae_hydra, and a card."""
