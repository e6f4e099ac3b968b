"""Helpers without domain knowledge: atomic file writes, the artifact store, argument checks."""
