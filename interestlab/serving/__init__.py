"""A trained model that answers live: the state of a user moves with each event."""
