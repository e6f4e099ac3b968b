"""``interestlab.load``: a run folder -> something to ask."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from interestlab.config import import_policy, safe_yaml
from interestlab.config.parser import CommandParser, install
from interestlab.config.plugin_options import write
from interestlab.data.datamodule import InterestData
from interestlab.errors import DataError
from interestlab.inference.recommender import Recommender
from interestlab.training.checkpoint_io import read_checkpoint
from interestlab.training.lightning_module import InterestModel

OF_THE_LOG = (
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
"""What of a fingerprint says which items and users an index means, and what training has seen."""


def load(run: str | Path, checkpoint: str = "best", overrides: Sequence[str] = ()) -> Recommender:
    """The model of a finished run, on the CPU; ``recommender.model`` and ``recommender.data`` are what it is made of.

    Its data is opened as the run had it, from the store where there is one, and every item is encoded once.

    Stability: provisional.

    Args:
        run: folder of the run.
        checkpoint: ``best`` or ``last``.
        overrides: options of the data as on the command line, such as ``--data.source.path=FILE`` where the file has moved.

    Raises:
        DataError: the folder holds no such run, the checkpoint cannot be loaded, or the data is not that of the run.
    """
    folder = Path(run)
    config, file = folder / "config.yaml", folder / "checkpoints" / f"{checkpoint}.ckpt"
    for path in (config, file):
        if not path.is_file():
            raise DataError(f"{path} is not there; give the folder of a finished fit.")
    data = load_data(config, overrides)
    model, checkpoint_held = load_model(file)
    kept, found = checkpoint_held.get("fingerprint", {}), data.fingerprint
    if other := [k for k in OF_THE_LOG if kept.get(k) != found.get(k)]:
        told = ", ".join(f"{k}={found.get(k)} where the run had {kept.get(k)}" for k in other)
        raise DataError(f"the data is not that of {folder}: {told}; give the same files.")
    model.attach(data)
    return Recommender(model, data)


def load_model(file: Path) -> tuple[InterestModel, dict[str, Any]]:
    """The model of a checkpoint, on the CPU, and what else the checkpoint holds.

    Raises:
        DataError: the file is damaged or no checkpoint, or its model cannot be made of the plugins that are installed.
    """
    install()
    kept = read_checkpoint(file)
    try:
        return InterestModel.load_from_checkpoint(file, map_location="cpu", weights_only=True), kept
    except Exception as err:  # whatever a checkpoint of another form makes torch or a plugin raise
        raise DataError(f"{file} cannot be loaded: {import_policy.explain(' '.join(str(err).split()))}") from err


def load_data(config: Path, overrides: Sequence[str]) -> InterestData:
    """The data of a run.

    Raises:
        DataError: its config does not fit, or the files are not there.
    """
    parser = CommandParser()
    parser.add_class_arguments(InterestData, "data")
    parser.add_argument("--config", action="config")
    run = safe_yaml.config_file(config)
    try:
        data = run["data"] | {"seed": run["seed_everything"] if run["data"]["seed"] is None else run["data"]["seed"]}
        options = parser.parse_args([f"--config={write({'data': data})}", *overrides])
    except Exception as err:  # a config that was edited by hand may contain anything
        raise DataError(f"{config}: {import_policy.explain(' '.join(str(err).split()))}") from err
    try:
        return parser.instantiate(options)["data"]
    except DataError:
        raise
    except Exception as err:
        raise DataError(f"{config}: {import_policy.explain(' '.join(str(err).split()))}") from err
