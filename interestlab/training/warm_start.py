"""Start a training from the weights of another run, whose log may have had other users and items.

Tables with one row per value, such as those of item ids, are matched by the values, which every run writes into its folder.
"""

import logging
from pathlib import Path
from typing import NamedTuple

import polars as pl
import torch
from torch import Tensor

from interestlab.data.datamodule import InterestData
from interestlab.errors import DataError
from interestlab.model.backbone import InterestBackbone
from interestlab.model.streams import Stream
from interestlab.training.lightning_module import InterestModel
from interestlab.training.open_run import load_model
from interestlab.utils.atomic_files import atomic_write

FOLDER = "id_maps"
"""Folder in a run with one file per stream: the values that rows of a table stand for, in order."""

log = logging.getLogger(__name__)


def write_id_maps(backbone: InterestBackbone, run: Path) -> None:
    """Write which value each row of a table stands for.

    Args:
        backbone: with its fields attached.
        run: folder of the run.
    """
    for stream in table_streams(backbone):
        (run / FOLDER).mkdir(exist_ok=True)
        with atomic_write(run / FOLDER / f"{stream.name}.parquet", "wb") as file:
            pl.DataFrame({"value": values_of(backbone, stream)}).write_parquet(file)


@torch.no_grad()
def warm_start(model: InterestModel, data: InterestData, run: Path) -> None:
    """Copy the weights of a run's best checkpoint into a new model.

    A table row whose value the run knew is copied; the others keep their initial weights, like all weights that the run did not
    have.

    Args:
        model: it is attached to the data, and changed.
        data: the log to train on.
        run: folder of the run.

    Raises:
        DataError: the run has no checkpoint or no id maps, or a weight has another shape.
    """
    checkpoint = run / "checkpoints" / "best.ckpt"
    if not checkpoint.is_file():
        raise DataError(f"{checkpoint} does not exist; give --from_run the folder of a finished fit.")
    if data.preparation.ties == "shuffle":
        log.warning(
            f"ties are shuffled differently in another log, so {run} may have been trained on targets that validation and test "
            "rank here; use --data.ties=file in both runs to measure."
        )
    model.attach(data)
    source = load_model(checkpoint)[0].state_dict()
    tables = {f"backbone.encoders.{s.encoder}.": match_rows(model.backbone, s, run) for s in table_streams(model.backbone)}
    for name, target in model.state_dict().items():
        if (old := source.get(name)) is None:
            continue
        rows = next((rows for prefix, rows in tables.items() if name.startswith(prefix)), None)
        if rows is not None and (len(old), len(target)) == rows.sizes and old.shape[1:] == target.shape[1:]:
            target[rows.new] = old[rows.old].to(target)
        elif old.shape == target.shape:
            target.copy_(old)
        else:
            shapes = f"{list(old.shape)} in {run} and {list(target.shape)} here"
            raise DataError(f"--from_run: {name} is {shapes}; leave out the options that change the model.")
    log.info(f"the weights start from {checkpoint}")


class MatchedRows(NamedTuple):
    """The rows of two tables that stand for the same values.

    Attributes:
        old: ``[n]`` rows of the run.
        new: ``[n]`` rows of the new model.
        sizes: number of rows of both tables.
    """

    old: Tensor
    new: Tensor
    sizes: tuple[int, int]


def table_streams(backbone: InterestBackbone) -> list[Stream]:
    """Return the streams whose encoder has one row per value of its field.

    Args:
        backbone: the backbone.
    """
    return [s for s in backbone.streams if backbone.encoder_of(s).preprocess_key is None]


def values_of(backbone: InterestBackbone, stream: Stream) -> pl.Series:
    """Return the values of a stream, in the order of the rows.

    Args:
        backbone: with its fields attached.
        stream: the stream.
    """
    return pl.read_parquet(backbone.features[stream.name].folder / "values.parquet", glob=False)["value"]


def match_rows(backbone: InterestBackbone, stream: Stream, run: Path) -> MatchedRows:
    """Match the rows of a table by their values.

    Args:
        backbone: of the new model, with its fields attached.
        stream: the stream.
        run: folder of the run.

    Raises:
        DataError: the run has no id map of the stream.
    """
    file = run / FOLDER / f"{stream.name}.parquet"
    if not file.is_file():
        raise DataError(f"{file} does not exist: the run has no stream {stream.name}, or an older version wrote it.")
    known = pl.read_parquet(file, glob=False).with_row_index("old")
    mine = values_of(backbone, stream).alias("value").to_frame().with_row_index("new")
    both = mine.join(known, on="value", how="inner", maintain_order="left")
    log.info(f"{both.height:,} of {mine.height:,} values of {stream.field} are known from {run}")
    old, new = (torch.from_numpy(both[name].cast(pl.Int64).to_numpy()) for name in ("old", "new"))
    return MatchedRows(old, new, (known.height, mine.height))
