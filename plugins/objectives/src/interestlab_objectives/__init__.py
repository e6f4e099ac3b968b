"""Training objectives of interestlab and auxiliary terms that can be added to them."""
