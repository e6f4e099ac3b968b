"""Training: the LightningModule, optimisers, seeds, checks, checkpoints, callbacks and loggers."""
