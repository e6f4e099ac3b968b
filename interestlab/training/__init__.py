"""What surrounds the model in a training run: optimisers, seeds, guards, checkpoints."""
