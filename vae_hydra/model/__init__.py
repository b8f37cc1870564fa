"""The VAE and its parts: networks, samplers, likelihoods, and the labels given to it."""
