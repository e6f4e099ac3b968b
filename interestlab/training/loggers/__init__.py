"""Lightning loggers of a run."""
