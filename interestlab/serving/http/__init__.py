"""The only part of the server that knows HTTP."""
