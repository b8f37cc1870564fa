"""Training a VAE: the LightningModule, objective, β schedules, metrics, loggers and callbacks."""
