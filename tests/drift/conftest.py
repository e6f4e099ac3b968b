"""Lets the tests of this folder import their makers of small panels."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
