"""How well a model's scores separate outliers from its own data."""
