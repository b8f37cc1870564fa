"""How a VAE learns: the LightningModule, objective, β schedules, metrics, callbacks and loggers."""
