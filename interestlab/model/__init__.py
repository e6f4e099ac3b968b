"""The model: encoders, fusion and dynamics composed into one module, and what it is trained with."""
