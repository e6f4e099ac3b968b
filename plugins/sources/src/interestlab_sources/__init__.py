"""Sources of interestlab: published datasets, tables of any kind, and a simulated shop."""
