"""The lowest versions that the distributions declare, as constraints for pip: ``python minimum.py [PINNED==VERSION ...]``."""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOWEST = re.compile(r"^(?P<name>[A-Za-z0-9_.-]+)(\[[^]]*\])?\s*(>=|==)\s*(?P<version>[0-9][0-9a-z.]*)")


def minimum(pinned: list[str]) -> list[str]:
    """``name==version`` of each requirement that has a lower bound; what is pinned has its own."""
    taken = {pin.partition("==")[0].lower() for pin in pinned}
    found: dict[str, str] = {}
    for file in [ROOT / "pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))]:
        project = tomllib.loads(file.read_text("utf-8"))["project"]
        for requirement in [*project["dependencies"], *(r for extra in project.get("optional-dependencies", {}).values() for r in extra)]:
            match = LOWEST.match(requirement)
            if match and not match["name"].startswith("interestlab") and match["name"].lower() not in taken:
                found[match["name"]] = match["version"]
    return [*pinned, *(f"{name}=={version}" for name, version in sorted(found.items()))]


if __name__ == "__main__":
    print("\n".join(minimum(sys.argv[1:])))
