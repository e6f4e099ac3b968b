"""The entry point: picks a command and imports no more than it needs."""

import importlib
import sys

from interestlab import __version__
from interestlab.config.import_policy import OPTION, taken
from interestlab.errors import PluginError
from interestlab.install_hints import library_hint

COMMANDS = {
    "fit": ("train", "train a model, then test its best checkpoint"),
    "validate": ("train", "measure a model on the validation part"),
    "test": ("train", "measure a model on the test part; --run_dir DIR repeats the test of a run"),
    "predict": ("train", "write each user's top items to Parquet"),
    "sweep": ("sweep", "run many trials from one file, and compare them"),
    "export": ("export", "write the adapter that a run trained, as other programs load it"),
    "drift": ("drift", "measure how interests moved and deepened, of a log or of a run"),
    "data": ("data", "describe a log, or prepare its store"),
    "plugins": ("plugins", "list what is installed; `plugins show NAME` gives the arguments of one"),
    "doctor": ("doctor", "print what a bug report needs"),
}

USAGE = "usage: interestlab COMMAND [options]\n\n" + "\n".join(f"  {name:9} {about}" for name, (_, about) in COMMANDS.items())


ALLOWING = f"{OPTION} MODULE, with any command, lets a config name classes of a module of your own."


def main(args: list[str] | None = None) -> None:
    """Run one command.

    Args:
        args: the command line without the program's name; default ``sys.argv[1:]``.

    Raises:
        SystemExit: with 2 and one line on standard error where the user can mend what is wrong.
    """
    args = sys.argv[1:] if args is None else args
    if not args or args[0] in ("-h", "--help"):
        print(f"{USAGE}\n\n`interestlab COMMAND --help` tells more.\n{ALLOWING}")
        return
    if args[0] == "--version":
        print(f"interestlab {__version__}")
        return
    if args[0] not in COMMANDS:
        raise SystemExit(f"interestlab: there is no command '{args[0]}'\n\n{USAGE}")
    try:
        module = importlib.import_module(f"interestlab.cli.{COMMANDS[args[0]][0]}")
        module.run(taken(args))
    except PluginError as err:
        message = str(err)
    except ModuleNotFoundError as err:
        if not (hint := library_hint(err)):
            raise
        message = f"{err}{hint}"
    else:
        return
    print(f"interestlab: {message}", file=sys.stderr)
    raise SystemExit(2)
