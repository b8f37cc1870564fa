"""The VAE and its parts: networks, samplers, likelihoods and conditions; no part knows the trainer."""
