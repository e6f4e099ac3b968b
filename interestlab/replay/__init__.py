"""Replay the test window of a log in order: how much is lost if user states are refreshed at intervals, not at each event."""
