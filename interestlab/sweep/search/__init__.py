"""Search for settings within a sweep: the same budget of validated fits for each combination of the axes, by Optuna."""
