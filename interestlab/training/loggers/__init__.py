"""Lightning loggers that write into a run folder."""

import os
import secrets
from pathlib import Path

from lightning.pytorch.loggers import Logger, TensorBoardLogger

from interestlab.distributed.rank import is_rank_zero
from interestlab.errors import DataError
from interestlab.training.loggers.jsonl import JsonlLogger
from interestlab.training.loggers.wandb import PatientWandbLogger
from interestlab.utils.atomic_files import write_text_atomic


def create_loggers(names: list[str], run_dir: Path, *, resume: bool = False) -> list[Logger]:
    """Create the loggers of a run.

    Args:
        names: any of ``jsonl``, ``tensorboard`` and ``wandb``.
        run_dir: folder of the run.
        resume: continue the metrics of the run that the folder holds.

    Raises:
        DataError: a logger is not installed.
    """
    try:
        return [_create(name, run_dir, resume) for name in names]
    except ModuleNotFoundError as err:
        raise DataError(f"one of the loggers {names} is not installed: pip install 'interestlab[tracking]'.") from err


def _create(name: str, run_dir: Path, resume: bool) -> Logger:
    if name == "tensorboard":
        return TensorBoardLogger(run_dir, name="", version="", sub_dir="tensorboard")
    if name == "wandb":
        return PatientWandbLogger(name=run_dir.name, save_dir=run_dir, project="interestlab", id=wandb_id(run_dir))
    return JsonlLogger(run_dir, resume=resume)


def wandb_id(run_dir: Path) -> str | None:
    """Return the id of a run folder's W&B run; it is stored in the folder, so that a resumed run keeps it.

    Args:
        run_dir: folder of the run.
    """
    file = run_dir / "wandb_id.txt"
    if file.exists():
        return file.read_text("utf-8").strip()
    new = os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4)  # an agent of a W&B sweep sets the id
    if run_dir.exists() and is_rank_zero():
        write_text_atomic(file, new)
    return new
