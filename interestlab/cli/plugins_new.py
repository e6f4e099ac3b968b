"""Write a package of one new plugin, with tests that pass."""

from pathlib import Path

from interestlab import scaffold
from interestlab.config.parser import CommandParser
from interestlab.errors import DataError


def run(args: list[str]) -> None:
    """Write the package of a plugin, and print the next steps.

    Args:
        args: the options.
    """
    parser = CommandParser("interestlab plugins new", description="Write a package of one new plugin, with tests that pass.")
    parser.add_argument("kind", help="encoder, fusion, dynamics, objective or source")
    parser.add_argument("name", help="name of the plugin, the package and its folder")
    parser.add_argument("--out", type=Path, default=Path(), help="parent folder (default: the working directory)")
    options = parser.parse_args(args)
    try:
        folder = scaffold.write(options.kind, options.name, options.out)
    except OSError as err:
        raise DataError(str(err)) from err
    print(scaffold.next_steps(options.kind, options.name, folder))
