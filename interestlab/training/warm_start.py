"""Start a training from the weights of another run, whose log may have had other users and items.

Tables with one row per value, such as those of item ids, are matched by the values, which every run writes into its folder.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

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
            file.write(values_file(backbone, stream).read_bytes())


def warm_start(model: InterestModel, data: InterestData, run: Path) -> None:
    """Copy the weights of a run's best checkpoint into a new model.

    A table row whose value the run knew is copied; the others keep their initial weights, like all weights that the run did not
    have.

    Args:
        model: it is attached to the data, and changed.
        data: the log to train on.
        run: folder of the run.

    Raises:
        DataError: the run has no checkpoint or no id maps, a weight has another shape, or a text model is another one.
    """
    checkpoint = run / "checkpoints" / "best.ckpt"
    if not checkpoint.is_file():
        raise DataError(f"{checkpoint} does not exist; give --from_run the folder of a finished fit.")
    source, contents = load_model(checkpoint)
    warn_of_leaks(contents.get("fingerprint", {}), data.fingerprint, run)
    model.attach(data)
    tables = {
        f"backbone.encoders.{s.encoder}.": match_rows(source, model, s, run / FOLDER / f"{s.name}.parquet")
        for s in table_streams(model.backbone)
    }
    own = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers())
    weights = model.state_dict()
    for name, old in source.state_dict().items():
        if name in own:
            rows = next((rows for prefix, rows in tables.items() if name.startswith(prefix)), None)
            weights[name] = start_weight(name, old, own[name].detach(), rows, run)
    try:
        model.load_state_dict(weights, strict=False)  # an encoder checks that its pretrained model is the same
    except RuntimeError as err:
        raise DataError(f"--from_run={run}: {' '.join(str(err).split())}") from err
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


def start_weight(name: str, old: Tensor, new: Tensor, rows: MatchedRows | None, run: Path) -> Tensor:
    """Return the weight that a training starts from.

    Args:
        name: its name.
        old: the weight of the run.
        new: the initial weight of the new model.
        rows: the rows that two tables share; None if the weight belongs to an encoder without a table.
        run: folder of the run.

    Raises:
        DataError: the shapes differ.
    """
    if rows and old.ndim and new.ndim and (len(old), len(new)) == rows.sizes and old.shape[1:] == new.shape[1:]:
        weight = new.clone()
        weight[rows.new] = old[rows.old].to(new)
        return weight
    if old.shape != new.shape:
        shapes = f"{list(old.shape)} in {run} and {list(new.shape)} here"
        raise DataError(f"--from_run: {name} is {shapes}; leave out the options that change the model.")
    return old


def table_streams(backbone: InterestBackbone) -> list[Stream]:
    """Return the streams whose encoder reads the indices of the values, and so has tables with one row per value.

    Args:
        backbone: the backbone.
    """
    return [s for s in backbone.streams if backbone.encoder_of(s).preprocess_key is None]


def values_file(backbone: InterestBackbone, stream: Stream) -> Path:
    """Return the file with the column ``value``, the values of a stream in the order of the rows.

    Args:
        backbone: with its fields attached.
        stream: the stream.
    """
    return backbone.features[stream.name].folder / "values.parquet"


def match_rows(source: InterestModel, model: InterestModel, stream: Stream, id_map: Path) -> MatchedRows:
    """Match the rows of a table by their values.

    Args:
        source: the model of the run.
        model: the new model, attached to its data.
        stream: the stream.
        id_map: file with the values of the run.

    Raises:
        DataError: the run has no id map of the stream, or its encoder has tables of several fields.
    """
    if len(model.backbone.encoder_of(stream).fields) > 1:
        raise DataError(f"--from_run cannot match the tables of encoder {stream.encoder}, which reads several fields.")
    if not id_map.is_file():
        raise DataError(f"{id_map} does not exist: the run has no stream {stream.name}, or an older version wrote it.")
    known = pl.read_parquet(id_map, glob=False).with_row_index("old")
    mine = pl.read_parquet(values_file(model.backbone, stream), glob=False).with_row_index("new")
    both = mine.join(known, on="value", how="inner", maintain_order="left")
    log.info(f"{both.height:,} of {mine.height:,} values of {stream.field} are known from {id_map}")
    old, new = (torch.from_numpy(both[name].cast(pl.Int64).to_numpy()) for name in ("old", "new"))
    # A table may have more rows than the log has values: one of hours always has 24.
    heights = [m.hparams["cardinalities"].get(stream.field) for m in (source, model)]
    return MatchedRows(old, new, (heights[0] or known.height, heights[1] or mine.height))


def warn_of_leaks(before: Mapping[str, Any], now: Mapping[str, Any], run: Path) -> None:
    """Warn if a run may have been trained on events that validation and test rank now.

    Args:
        before: fingerprint of the run.
        now: fingerprint of the new data.
        run: folder of the run.
    """
    if before.get("split") != now["split"]:
        reason = f"{run} has split={before.get('split')} and this run {now['split']}"
    elif now["split"] == "leave_one_out" and "shuffle" in (before.get("ties"), now["ties"]):
        reason = "ties are shuffled differently in another log (--data.ties=file keeps their order)"
    else:
        return
    log.warning(f"{reason}, so {run} may have been trained on targets of validation and test; do not publish these metrics.")
