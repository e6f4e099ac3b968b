"""RecBole's atomic files."""

from pathlib import Path

from interestlab.contract import EventLog, Source
from interestlab.errors import DataError
from interestlab_sources.columns import REQUIRED, check_header, check_mapping, check_required, rename, renamed
from interestlab_sources.delimited import add_delimited
from interestlab_sources.lines import LineReader, decoding_error
from interestlab_sources.paths import expanded, readable
from interestlab_sources.table import Table, concat_rejected

_TYPES = ("token", "token_seq", "float", "float_seq")
_USUAL = {
    "user_id": ("user_id", "user"),
    "item_id": ("item_id", "item", "product_id", "business_id", "artist_id"),
    "timestamp": ("timestamp", "time", "date"),
    "rating": ("rating", "stars", "score"),
    "text": ("text", "review", "review_text"),
    "title": ("title", "item_name", "movie_title", "name"),
    "category": ("category", "categories", "class", "genre", "genres"),
}


class RecBole(Source):
    """A dataset in RecBole's atomic files: ``NAME.inter`` and, beside it, ``NAME.item``. ``NAME.user`` is not read.

    The usual names (``movie_title``, ``class``, ``genre``, ``stars``, ...) are known. Source: https://recbole.io.

    Args:
        path: the dataset's folder, or its ``.inter`` file.
        columns: name in the common schema -> name in the files, where it is not a usual one.
    """

    def __init__(self, path: str, columns: dict[str, str] | None = None) -> None:
        self.path = path
        self.columns = columns or {}

    def files(self) -> list[Path]:
        inter = readable(_inter(expanded(self.path)))
        item = inter.with_suffix(".item")
        return [inter, readable(item)] if item.exists() else [inter]

    def read(self) -> EventLog:
        tables = [_read(path) for path in self.files()]
        check_mapping(self.columns, {str(table.path): table.columns for table in tables})
        frames = []
        for table, required in zip(tables, (REQUIRED, ("item_id",)), strict=False):
            new = renamed(table.columns, _usual(table) | self.columns)
            check_required(table.path, new, required)
            frames.append(rename(table.rows(), new))
        return EventLog(events=frames[0], items=frames[1] if len(frames) > 1 else None, rejected=concat_rejected(tables))


def _inter(path: Path) -> Path:
    try:
        folder = path.is_dir()
    except (OSError, ValueError):  # a NUL in the path, say: readable() tells it
        folder = False
    if not folder:
        return path
    named = path / f"{path.resolve().name}.inter"
    if named.exists():
        return named
    found = sorted(path.glob("*.inter"))
    if len(found) == 1:
        return found[0]
    what = "several .inter files" if found else "no .inter file"
    raise DataError(f"{path}: {what} in the folder; give the path of the one to read")


def _usual(table: Table) -> dict[str, str]:
    return {
        common: found
        for common, names in _USUAL.items()
        if (found := next((name for name in names if name in table.columns), None))
    }


def _read(path: Path) -> Table:
    table = Table(path)
    lines = LineReader(table.blocks())
    names = _header(path, next((line for _, line in lines if line.strip()), b""))
    table.add([], {name: [] for name in names})
    add_delimited(table, lines, "\t", names)
    return table


def _header(path: Path, line: bytes) -> list[str]:
    if reason := decoding_error(line):
        raise DataError(f"{path}: no header ({reason}); its first line must name the columns as name:type")
    names = []
    for field in line.decode().strip("\r").split("\t"):
        name, _, kind = field.rpartition(":")
        if not name or kind not in _TYPES:
            raise DataError(f"{path}: header field '{field[:40]}' is not name:type, the type one of {', '.join(_TYPES)}")
        names.append(name)
    check_header(path, names)
    return names
