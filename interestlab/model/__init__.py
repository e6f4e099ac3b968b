"""The model as plain PyTorch: encoders, fusion heads and dynamics composed, and the frozen model built from them."""
