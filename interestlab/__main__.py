"""``python -m interestlab``."""

from interestlab.cli.main import main

main()
