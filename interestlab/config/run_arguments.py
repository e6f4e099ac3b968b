"""The command line as typed -> as Lightning takes it: what a run folder or a checkpoint adds comes first, and loses."""

import json
from pathlib import Path

from interestlab.errors import DataError
from interestlab.training.checkpoint_io import read_checkpoint


def values(args: list[str], name: str) -> list[str]:
    """All values of an option in a command line."""
    pairs = zip(args, [*args[1:], ""], strict=False)
    return [after if arg == name else arg.partition("=")[2] for arg, after in pairs if arg.partition("=")[0] == name]


def option(args: list[str], name: str) -> str | None:
    """The last value of an option in a command line."""
    return next(reversed(values(args, name)), None)


def with_run(args: list[str]) -> list[str]:
    """The config and the checkpoint of ``--run_dir``, for the commands that look at a run that is there or go on with it.

    Raises:
        DataError: the folder holds no run, or no such checkpoint.
    """
    command, rest = args[0], args[1:]
    folder = option(rest, "--run_dir")
    if folder is None:
        return args
    asked = option(rest, "--ckpt_path")
    config = Path(folder) / "config.yaml"
    if config.exists() and (command != "fit" or asked):
        rest = [f"--config={config}", *rest]
        asked = asked or "best"
    elif command != "fit" and asked is None:
        raise DataError(f"{folder} holds no config.yaml, so no run was kept there; give the folder of a finished fit.")
    if asked in ("best", "last"):
        checkpoint = Path(folder) / "checkpoints" / f"{asked}.ckpt"
        if command == "fit" and asked == "last" and config.exists() and not checkpoint.exists():
            return [command, *rest]  # killed before its first checkpoint
        if not checkpoint.exists():
            raise DataError(f"{checkpoint} is not there; the run kept no such checkpoint.")
        rest = [*rest, f"--ckpt_path={checkpoint}"]
    return [command, *rest]


def with_checkpoint(args: list[str]) -> list[str]:
    """The model that ``--ckpt_path`` holds as the first config, so that whatever the user gives wins over it."""
    path, folder = option(args[1:], "--ckpt_path"), option(args[1:], "--run_dir")
    if path is None or (path == "last" and folder is not None and (Path(folder) / "config.yaml").exists()):
        return args
    if not Path(path).is_file():
        raise DataError(f"--ckpt_path={path} is no file; best and last are those of a --run_dir on the command line.")
    model = {
        k: v for k, v in read_checkpoint(Path(path))["hyper_parameters"].items() if k not in ("cardinalities", "_instantiator")
    }
    for part in [part for part in ("fusion", "dynamics") if model[part]]:
        model[part] = model[part] | {"init_args": {k: v for k, v in model[part]["init_args"].items() if k != "dim"}}
    return [args[0], f"--config={json.dumps({'model': model})}", *args[1:]]
