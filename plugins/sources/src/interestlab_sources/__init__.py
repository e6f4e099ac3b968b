"""Sources of interestlab: event logs as they are published."""
