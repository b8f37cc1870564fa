"""How well a model tells outliers from its own data."""
