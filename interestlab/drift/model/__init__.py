"""A trained model's view of drift, on its trajectory."""
