"""Several processes: collective operations and sharded weights."""
