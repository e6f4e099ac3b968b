"""Events and states on disk: one SQLite file, where an event and the state after it are one transaction."""
