import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

DATA = Path(__file__).parents[3].parent / "shared" / "data"

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes text or bytes to a file, gzipped if ``zipped``, and returns its path."""

    def write_file(name: str, content: str | bytes, zipped: bool = False) -> str:
        raw = content.encode() if isinstance(content, str) else content
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(raw) if zipped else raw)
        return str(path)

    return write_file


@pytest.fixture
def data() -> Path:
    if not DATA.exists():
        pytest.skip(f"no real data at {DATA}")
    return DATA
