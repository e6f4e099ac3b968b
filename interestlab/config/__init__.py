"""Configuration: plugin names, import policy, safe YAML, the parser and its one-line errors."""
