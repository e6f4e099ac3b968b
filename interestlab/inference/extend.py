"""Extend a finished run: items that came after training are ranked from their words, without training."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import polars as pl

from interestlab.data.added_items import fit_schema, place_items, read_item_table
from interestlab.data.fields import parse_field
from interestlab.errors import DataError, TrainingError
from interestlab.model.added_items import AddedItemEmbeddings
from interestlab.model.backbone import InterestBackbone
from interestlab.training.open_run import open_run
from interestlab.training.run_arguments import EXTENSION_FILE, read_extensions
from interestlab.utils import artifact_store
from interestlab.utils.output_folders import new_folder

CHECKPOINT = "checkpoints/best.ckpt"


class Extension(NamedTuple):
    """What :func:`extend` wrote.

    Attributes:
        folder: folder of the extended run.
        new: number of items that the run did not have.
        replaced: number of items whose words were replaced.
    """

    folder: Path
    new: int
    replaced: int


def extend(run: str | Path, items: str | Path, out: str | Path | None = None, *, replace: bool = False) -> Extension:
    """Write a run that ranks further items too. The run itself is not changed, nor is anything trained.

    The trained encoders encode the words of the new items. An encoder with one vector per value, such as ``id``, has none for
    a value that the log does not have, so the fusion head represents the item by its other streams.

    Args:
        run: folder of a finished run, which may be extended already.
        items: Parquet, CSV or JSONL file in the item schema of a log.
        out: folder to write; None: the folder of the run with ``-extended`` at its end.
        replace: whether a row may have the id of an item of the catalogue; its words then replace those of the item.

    Raises:
        DataError: the run is not finished, ranks by ids alone, or can read nothing of an item; the file has invalid rows, lacks
            a column, or has ids of the catalogue; or the folder exists.
        TrainingError: an embedding is not finite.
    """
    folder, file = Path(run), Path(items)
    run_folder = folder.resolve()  # "." has no name
    out = run_folder.with_name(f"{run_folder.name}-extended") if out is None else Path(out)
    with new_folder(out) as draft:
        model, data = open_run(folder)
        check_reads_words(model.backbone, folder)
        table = read_item_table(file)
        check_columns(table, model.backbone, file)
        existing = table.join(data.catalogue, on="item_id", how="semi", maintain_order="left")["item_id"]
        if len(existing) and not replace:
            count = f"{len(existing):,} of {table.height:,} ids are in the catalogue already, such as {existing[0]}"
            raise DataError(f"{file}: {count}; leave them out, or replace their words with --replace.")
        table = fit_schema(table, data.log.items.schema, file)
        added = place_items(table, data.catalogue, data.preparation.clean, artifact_store.content_hash([file]))
        check_embeddings(AddedItemEmbeddings(model.backbone, added, data.cache), table["item_id"], file)
        new = table.height - len(existing)
        earlier = read_extensions(folder)
        for name in (CHECKPOINT, "config.yaml", "versions.json", *(entry["table"] for entry in earlier)):
            if (folder / name).is_file():
                (draft / name).parent.mkdir(exist_ok=True)
                shutil.copyfile(folder / name, draft / name)
        name = f"added_items-{len(earlier) + 1}.parquet"
        table.write_parquet(draft / name)
        entry = {
            "table": name,
            "digest": artifact_store.content_hash([draft / name]),
            "run": str(folder),
            "checkpoint": artifact_store.content_hash([folder / CHECKPOINT]),
            "file": str(file),
            "file_digest": added.digest,
            "new": new,
            "replaced": len(existing),
        }
        (draft / EXTENSION_FILE).write_text(json.dumps([*earlier, entry], indent=1, ensure_ascii=False), "utf-8")
    return Extension(out, new, len(existing))


def check_reads_words(backbone: InterestBackbone, folder: Path) -> None:
    """Check that a model reads something of an item besides its id.

    Args:
        backbone: the model.
        folder: folder of the run, for the error.

    Raises:
        DataError: it reads ids alone.
    """
    if all(s.field == "item.id" and backbone.encoder_of(s).preprocess_key is None for s in backbone.item_streams):
        raise DataError(
            f"{folder} ranks by ids alone, and a new item has no trained id; train a run that reads words too, such as "
            "--model.encoder=configs/encoder/id_and_static_title.yaml --model.fusion=delta."
        )


def check_columns(table: pl.DataFrame, backbone: InterestBackbone, file: Path) -> None:
    """Check that a table has every column that a model reads.

    Args:
        table: items.
        backbone: the model.
        file: where the table was read, for the error.

    Raises:
        DataError: a column is missing.
    """
    columns = {c for s in backbone.item_streams if s.field != "item.id" for c in parse_field(s.field)[1]}
    if missing := sorted(columns - set(table.columns)):
        raise DataError(f"{file} has no column {', '.join(missing)}, which the run's encoders read; add it.")


def check_embeddings(embeddings: AddedItemEmbeddings, ids: pl.Series, file: Path) -> None:
    """Check that a model reads something of each item, and encode all of them.

    Args:
        embeddings: the added items.
        ids: their ids.
        file: where they were read, for the error.

    Raises:
        DataError: the model can read nothing of an item.
        TrainingError: an embedding is not finite.
    """
    unreadable = ids.filter(pl.Series(~embeddings.is_readable))
    if len(unreadable):
        fields = ", ".join(s.field for s in embeddings.backbone.item_streams)
        raise DataError(
            f"{file}: the model can read nothing of {len(unreadable):,} items, such as {unreadable[0]}; it reads {fields}. "
            "Give them values, or leave them out."
        )
    finite = embeddings.embed().isfinite().all(1).cpu()
    if not finite.all():
        raise TrainingError(f"the embedding of {ids.filter(pl.Series(~finite.numpy()))[0]} of {file} is not finite.")
