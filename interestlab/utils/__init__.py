"""Helpers without domain knowledge: atomic writes, the artifact store, argument checks."""
