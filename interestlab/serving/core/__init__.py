"""The server without HTTP: events in, states moved and stored, lists out."""
