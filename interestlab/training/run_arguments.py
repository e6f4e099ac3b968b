"""Complete a command line of a run: the run folder and the checkpoint come first, as configs, and lose to what is typed."""

import json
from pathlib import Path
from typing import Any

from interestlab.config.arguments import last_value
from interestlab.errors import DataError
from interestlab.training.checkpoint_io import read_checkpoint
from interestlab.utils import artifact_store

EXTENSION_FILE = "extension.json"
"""File of an extended run that lists its tables of added items and where they came from."""


def add_run(args: list[str]) -> list[str]:
    """Add the config and the checkpoint of ``--run_dir``, for commands that read a run, and for a fit that resumes one.

    Args:
        args: the command line, which starts with the command.

    Raises:
        DataError: the folder contains no run, or no such checkpoint; or an extended run would be trained.
    """
    command, rest = args[0], args[1:]
    folder, checkpoint_name = last_value(rest, "--run_dir"), last_value(rest, "--ckpt_path")
    if command == "fit" and checkpoint_name is None and (source := last_value(rest, "--from_run")) is not None:
        return [command, *add_source(rest, Path(source))]
    if folder is None:
        return args
    if command == "fit" and (Path(folder) / EXTENSION_FILE).exists():
        raise DataError(f"{folder} is an extended run, which is not trained further; resume its parent, and extend that again.")
    config = Path(folder) / "config.yaml"
    if config.exists() and (command != "fit" or checkpoint_name):
        rest = [f"--config={config}", *extension_options(Path(folder)), *rest]
        checkpoint_name = checkpoint_name or "best"
    elif command != "fit" and checkpoint_name is None:
        raise DataError(f"{folder} has no config.yaml, so it is not a run folder; give the folder of a finished fit.")
    if checkpoint_name in ("best", "last"):
        checkpoint = Path(folder) / "checkpoints" / f"{checkpoint_name}.ckpt"
        if command == "fit" and checkpoint_name == "last" and config.exists() and not checkpoint.exists():
            return [command, *rest]  # killed before its first checkpoint
        if not checkpoint.exists():
            raise DataError(f"{checkpoint} does not exist; the run wrote no such checkpoint.")
        rest = [*rest, f"--ckpt_path={checkpoint}"]
    return [command, *rest]


def add_source(args: list[str], source: Path) -> list[str]:
    """Add the config of the run whose weights a training starts from.

    Args:
        args: the options of ``fit``.
        source: folder of that run.

    Raises:
        DataError: the folder contains no run, or an extended one.
    """
    if (source / EXTENSION_FILE).exists():
        raise DataError(f"{source} is an extended run; give --from_run its parent, and a log that contains the added items.")
    if not (source / "config.yaml").is_file():
        raise DataError(f"{source} has no config.yaml, so it is not a run; give --from_run the folder of a finished fit.")
    return [f"--config={source / 'config.yaml'}", *args]


def read_extensions(folder: Path) -> list[dict[str, Any]]:
    """Return the entries of an extended run, one per table of added items; none for any other run.

    Args:
        folder: folder of the run.

    Raises:
        DataError: a table is missing or was altered.
    """
    file = folder / EXTENSION_FILE
    if not file.is_file():
        return []
    try:
        entries: list[dict[str, Any]] = json.loads(file.read_text("utf-8"))
        altered = [e["table"] for e in entries if artifact_store.content_hash([folder / e["table"]]) != e["digest"]]
    except (ValueError, TypeError, KeyError, DataError):
        altered = [EXTENSION_FILE]
    if altered:
        raise DataError(f"{folder / altered[0]} is missing or was altered since the run was extended; extend its parent again.")
    return entries


def extension_options(folder: Path) -> list[str]:
    """Return the option that adds the items of an extended run; none for any other run.

    Args:
        folder: folder of the run.

    Raises:
        DataError: a table is missing or was altered.
    """
    tables = [str(folder / entry["table"]) for entry in read_extensions(folder)]
    return [f"--data.added_items+={json.dumps(tables)}"] if tables else []  # the config may add some already


def add_checkpoint(args: list[str]) -> list[str]:
    """Add the model of the checkpoint ``--ckpt_path`` as the first config, so that everything typed wins over it.

    Args:
        args: the command line, which starts with the command.

    Raises:
        DataError: the checkpoint is missing, damaged, or not one of interestlab.
    """
    path, folder = last_value(args[1:], "--ckpt_path"), last_value(args[1:], "--run_dir")
    if path is None or (path == "last" and folder is not None and (Path(folder) / "config.yaml").exists()):
        return args
    if not Path(path).is_file():
        raise DataError(f"--ckpt_path={path} is not a file; best and last need a --run_dir on the command line.")
    saved = read_checkpoint(Path(path))["hyper_parameters"]
    model = {key: value for key, value in saved.items() if key not in ("cardinalities", "_instantiator")}
    for part in [part for part in ("fusion", "dynamics") if model[part]]:
        model[part] = model[part] | {"init_args": {k: v for k, v in model[part]["init_args"].items() if k != "dim"}}
    return [args[0], f"--config={json.dumps({'model': model})}", *args[1:]]
