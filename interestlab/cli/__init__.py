"""The command line: a thin entry point, and a file for each command."""
