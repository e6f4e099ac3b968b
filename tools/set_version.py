"""Write one version into all six distributions: ``python tools/set_version.py 0.2.0``."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
VERSION = re.compile(r'^(__version__|version) = "[^"]*"', re.MULTILINE)


def set_version(version: str) -> None:
    """Replace the version in ``interestlab/__init__.py`` and in the ``pyproject.toml`` of each plugin."""
    for file in (ROOT / "interestlab" / "__init__.py", *sorted(ROOT.glob("plugins/*/pyproject.toml"))):
        text, count = VERSION.subn(rf'\1 = "{version}"', file.read_text("utf-8"))
        assert count == 1, f"{file} states {count} versions"
        file.write_text(text, "utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc|\.dev)\d+)?", sys.argv[1]):
        sys.exit("give one version, such as 0.2.0 or 0.2.0rc1: make version V=0.2.0")
    set_version(sys.argv[1])
