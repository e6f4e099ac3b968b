"""The package versions behind the runs of a report, and behind the report itself."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from interestlab.utils.versions import package_versions


def compare_versions(runs: Iterable[Path], packages: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Compare the versions that runs recorded in their ``versions.json`` with those of this process.

    Args:
        runs: run folders; one without the file is skipped.
        packages: packages that the report itself depends on.

    Returns:
        By package: the versions of the runs, joined by commas, and the version here; an empty text if unknown.
    """
    recorded: dict[str, set[str]] = {}
    for run in runs:
        file = run / "versions.json"
        for name, version in (json.loads(file.read_text("utf-8")) if file.is_file() else {}).items():
            recorded.setdefault(name, set()).add(version)
    here = package_versions(packages)
    return {name: (", ".join(sorted(recorded.get(name, ()))), here.get(name, "")) for name in {**here, **recorded}}
