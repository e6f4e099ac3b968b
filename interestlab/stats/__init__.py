"""Statistics on plain arrays: permutation tests, bootstrap, multiple testing, power, intervals."""
