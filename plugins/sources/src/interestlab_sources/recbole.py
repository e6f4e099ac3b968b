"""The source ``recbole``: datasets in RecBole's atomic files."""

from pathlib import Path

from interestlab.contract import EventLog, Source
from interestlab.errors import DataError
from interestlab_sources.columns import REQUIRED, check_header, check_mapping, check_required, map_names, rename
from interestlab_sources.delimited import add_delimited
from interestlab_sources.lines import LineReader, decoding_error
from interestlab_sources.paths import check_readable, expand_user
from interestlab_sources.table import Table, concat_rejected

_TYPES = ("token", "token_seq", "float", "float_seq")
_USUAL_NAMES = {
    "user_id": ("user_id", "user"),
    "item_id": ("item_id", "item", "product_id", "business_id", "artist_id"),
    "timestamp": ("timestamp", "time", "date"),
    "rating": ("rating", "stars", "score"),
    "text": ("text", "review", "review_text"),
    "title": ("title", "item_name", "movie_title", "name"),
    "category": ("category", "categories", "class", "genre", "genres"),
}


class RecBole(Source):
    """A dataset in RecBole's atomic files: ``NAME.inter`` and, in the same folder, ``NAME.item``. ``NAME.user`` is not read.

    Usual column names (``movie_title``, ``class``, ``genre``, ``stars``, ...) are mapped. Source: https://recbole.io.

    Args:
        path: the dataset's folder, or its ``.inter`` file.
        columns: name in the common schema -> name in the files, for columns without a usual name.
    """

    def __init__(self, path: str, columns: dict[str, str] | None = None) -> None:
        self.path = path
        self.columns = columns or {}

    def files(self) -> list[Path]:
        inter = check_readable(_find_inter_file(expand_user(self.path)))
        item = inter.with_suffix(".item")
        return [inter, check_readable(item)] if item.exists() else [inter]

    def read(self) -> EventLog:
        tables = [_read(path) for path in self.files()]
        check_mapping(self.columns, {str(table.path): table.columns for table in tables})
        frames = []
        for table, required in zip(tables, (REQUIRED, ("item_id",)), strict=False):
            mapped = map_names(table.columns, _find_usual_columns(table) | self.columns)
            check_required(table.path, mapped, required)
            frames.append(rename(table.rows(), mapped))
        return EventLog(events=frames[0], items=frames[1] if len(frames) > 1 else None, rejected=concat_rejected(tables))


def _find_inter_file(path: Path) -> Path:
    try:
        folder = path.is_dir()
    except (OSError, ValueError):  # for instance a NUL in the path, which check_readable() reports
        folder = False
    if not folder:
        return path
    expected = path / f"{path.resolve().name}.inter"
    if expected.exists():
        return expected
    files = sorted(path.glob("*.inter"))
    if len(files) == 1:
        return files[0]
    count = "several .inter files" if files else "no .inter file"
    raise DataError(f"{path}: {count} in the folder; give the path of the one to read")


def _find_usual_columns(table: Table) -> dict[str, str]:
    return {
        common: column
        for common, names in _USUAL_NAMES.items()
        if (column := next((name for name in names if name in table.columns), None))
    }


def _read(path: Path) -> Table:
    table = Table(path)
    lines = LineReader(table.blocks())
    names = _parse_header(path, next((line for _, line in lines if line.strip()), b""))
    table.add([], {name: [] for name in names})
    add_delimited(table, lines, "\t", names)
    return table


def _parse_header(path: Path, line: bytes) -> list[str]:
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
