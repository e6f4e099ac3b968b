"""Training around the model: optimisers, seeds, checks, checkpoints."""
