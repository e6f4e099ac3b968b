"""From an event log to batches: read, validate, clean, filter, split, preprocess once, and batch by length."""
