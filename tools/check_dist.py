"""Check the built distributions: ``python tools/check_dist.py dist``.

Six sdists and six wheels of one version; each wheel has its licence, its ``py.typed`` and its metadata.
"""

import sys
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

NAMES = {"interestlab", *(f"interestlab_{kind}" for kind in ("dynamics", "encoders", "fusion", "objectives", "sources"))}


def check(folder: Path) -> list[str]:
    """Return one line per fault of the distributions in ``folder``."""
    faults = []
    wheels, sdists = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    versions = {tuple(file.name.removesuffix(".tar.gz").split("-")[:2]) for file in (*wheels, *sdists)}
    if {name for name, _ in versions} != NAMES or len(wheels) != 6 or len(sdists) != 6:
        faults.append(f"{folder} must hold one wheel and one sdist of each of {', '.join(sorted(NAMES))}")
    if len({version for _, version in versions}) != 1:
        faults.append(f"the versions differ: {sorted(versions)}")
    for wheel in wheels:
        name, version = wheel.name.split("-")[:2]
        info = f"{name}-{version}.dist-info"
        with ZipFile(wheel) as archive:
            absent = {f"{info}/licenses/LICENSE", f"{name}/py.typed"} - set(archive.namelist())
            metadata = message_from_bytes(archive.read(f"{info}/METADATA"))
        faults += [f"{wheel.name} lacks {file}" for file in sorted(absent)]
        fields = ("License-Expression", "Classifier", "Project-URL", "Description-Content-Type", "Author")
        faults += [f"{wheel.name} states no {field}" for field in fields if field not in metadata]
    return faults


if __name__ == "__main__":
    faults = check(Path(sys.argv[1]))
    print(*faults or ["dist: six wheels and six sdists of one version, each with its licence and metadata"], sep="\n")
    sys.exit(bool(faults))
