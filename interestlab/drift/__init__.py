"""Interest drift: how interests moved (migration) and deepened (evolution), when, and whether the data can say so."""
