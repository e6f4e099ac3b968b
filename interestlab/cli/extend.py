"""Make items that came after training rankable by a finished run, from their words."""

from pathlib import Path

from interestlab.config.parser import CommandParser
from interestlab.inference.extend import extend


def run(args: list[str]) -> None:
    """Write the extended run, and print its folder.

    Args:
        args: the options.
    """
    parser = CommandParser("interestlab extend", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--items", type=Path, required=True, help="new items: Parquet, CSV or JSONL, with the columns of items")
    parser.add_argument("--out", type=Path | None, help="folder to write (default RUN-extended)")
    parser.add_argument("--replace", action="store_true", help="let rows with ids of the catalogue replace their words")
    options = parser.parse_args(args)
    written = extend(options.run, options["items"], options.out, replace=options.replace)
    print(f"written: {written.folder} ({written.new:,} new items, {written.replaced:,} replaced)")
