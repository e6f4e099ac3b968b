"""A trained model in Python: load it, featurize events, recommend."""
