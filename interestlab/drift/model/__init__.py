"""A trained model's own view of drift, on its trajectory."""
