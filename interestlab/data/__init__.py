"""From an event log to batches: read, validate, clean, k-core, split, prepare once, batch by length."""
