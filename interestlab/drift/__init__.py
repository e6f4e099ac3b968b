"""Interest drift: how interests moved (migration) and deepened (evolution), when, and with what evidence."""
