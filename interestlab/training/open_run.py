"""Open a finished run: its trained model, attached to its data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from interestlab.config import import_policy, safe_yaml
from interestlab.config.parser import CommandParser, install
from interestlab.config.plugin_options import write
from interestlab.data.datamodule import InterestData
from interestlab.errors import DataError
from interestlab.training.checkpoint_io import read_checkpoint
from interestlab.training.lightning_module import InterestModel
from interestlab.training.run_arguments import extension_options

LOG_FINGERPRINT_KEYS = (
    "data",
    "k_core",
    "min_history",
    "ties",
    "ties_seed",
    "split",
    "split_quantiles",
    "target_events",
    "clean",
    "items",
    "users",
    "events",
)
"""Entries of a fingerprint that decide which items and users an index means, and which events training read."""


def open_run(folder: Path, checkpoint: str = "best", overrides: Sequence[str] = ()) -> tuple[InterestModel, InterestData]:
    """Load the model of a finished run, attached to its data, without encoding the items.

    Args:
        folder: folder of the run.
        checkpoint: ``best`` or ``last``.
        overrides: options of the data as on the command line.

    Raises:
        DataError: the folder has no finished run, the checkpoint cannot be loaded, or the data differs from the run's.
    """
    config, file = folder / "config.yaml", folder / "checkpoints" / f"{checkpoint}.ckpt"
    for path in (config, file):
        if not path.is_file():
            raise DataError(f"{path} does not exist; give the folder of a finished fit.")
    data = load_data(config, [*extension_options(folder), *overrides])
    model, contents = load_model(file)
    expected, actual = contents.get("fingerprint", {}), data.fingerprint
    if differing := [key for key in LOG_FINGERPRINT_KEYS if expected.get(key) != actual.get(key)]:
        details = ", ".join(f"{key}={actual.get(key)} where the run had {expected.get(key)}" for key in differing)
        raise DataError(f"the data is not that of {folder}: {details}; give the same files.")
    model.attach(data)
    return model, data


def load_model(file: Path) -> tuple[InterestModel, dict[str, Any]]:
    """Load the model of a checkpoint on the CPU.

    Args:
        file: the checkpoint.

    Returns:
        The model, and the contents of the checkpoint.

    Raises:
        DataError: the file is damaged or not a checkpoint, or the installed plugins cannot rebuild the model.
    """
    install()
    contents = read_checkpoint(file)
    try:
        return InterestModel.load_from_checkpoint(file, map_location="cpu", weights_only=True), contents
    except Exception as err:  # whatever a checkpoint of another version makes torch or a plugin raise
        raise DataError(f"{file} cannot be loaded: {import_policy.explain(' '.join(str(err).split()))}") from err


def load_data(config: Path, overrides: Sequence[str]) -> InterestData:
    """Open the data of a run.

    Args:
        config: ``config.yaml`` of the run.
        overrides: options of the data as on the command line.

    Raises:
        DataError: the config is wrong, or a file does not exist.
    """
    parser = CommandParser()
    parser.add_class_arguments(InterestData, "data")
    parser.add_argument("--config", action="config")
    settings = safe_yaml.config_file(config)
    try:
        seed = settings["data"]["seed"]
        data = settings["data"] | {"seed": settings["seed_everything"] if seed is None else seed}
        options = parser.parse_args([f"--config={write({'data': data})}", *overrides])
    except Exception as err:  # a config that was edited by hand may contain anything
        raise DataError(f"{config}: {import_policy.explain(' '.join(str(err).split()))}") from err
    try:
        return parser.instantiate(options)["data"]
    except DataError:
        raise
    except Exception as err:
        raise DataError(f"{config}: {import_policy.explain(' '.join(str(err).split()))}") from err
