"""``metrics.jsonl``: the metrics of a run over its steps, one JSON object per line, only ever appended to."""

import json
import math
from argparse import Namespace
from pathlib import Path
from typing import Any

import polars as pl
from lightning.pytorch.core.saving import save_hparams_to_yaml
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from interestlab.errors import DataError
from interestlab.utils.atomic_files import RESUME_HINT, cannot_write_message

FILE = "metrics.jsonl"


class JsonlLogger(Logger):
    """Append metrics to ``metrics.jsonl``, and write hyperparameters to ``hparams.yaml``, in the folder of a run.

    A resumed run logs some steps again; :func:`read_metrics` drops the earlier lines.

    Args:
        folder: folder of the run.
        resume: append to the file of the run that the folder holds; otherwise the first line replaces it.
    """

    def __init__(self, folder: Path, *, resume: bool = False) -> None:
        super().__init__()
        self.folder, self.resume = Path(folder), resume

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self.folder)

    @property
    def file(self) -> Path:
        """Return the file that metrics are written to."""
        return self.folder / FILE

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        save_hparams_to_yaml(str(self.folder / "hparams.yaml"), params)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        values = {name: float(value) for name, value in metrics.items()}
        # JSON has no NaN.
        row = {"step": step} | {name: value if math.isfinite(value) else None for name, value in values.items()}
        if "epoch" in row:
            row["epoch"] = int(values["epoch"])
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self.file.open("a" if self.resume else "w", encoding="utf-8") as file:
                # A kill may have cut the line before.
                file.write("\n" if file.tell() and not self._ends_a_line() else "")
                file.write(json.dumps(row) + "\n")
        except OSError as err:
            raise DataError(cannot_write_message(self.file, err, RESUME_HINT)) from err
        self.resume = True

    def _ends_a_line(self) -> bool:
        with self.file.open("rb") as file:
            file.seek(-1, 2)
            return file.read() == b"\n"


def read_metrics(file: str | Path) -> pl.DataFrame:
    """Read the metrics of a run, as if the run had never been interrupted.

    Rows that were logged again after a resume replace the earlier ones: those of the same step and the same metrics, and,
    where the steps go back, all from that step on. Of several tests, as of a run that was extended, the last counts.

    Stability: provisional.

    Args:
        file: ``metrics.jsonl`` of a run.

    Returns:
        One row per step and group of metrics that were logged together: ``step``, ``epoch``, and a column per metric,
        null where it was not logged or not finite.
    """
    rows: dict[tuple[int, frozenset[str]], dict[str, Any]] = {}
    last_step = 0
    with Path(file).open(encoding="utf-8") as lines:
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:  # cut by a kill
                continue
            step = row["step"]
            if step < last_step:
                rows = {key: earlier for key, earlier in rows.items() if key[0] < step}
            names = frozenset(row)
            if any(name.startswith("test/") for name in names):
                rows = {key: earlier for key, earlier in rows.items() if key[1] != names}
            rows[step, names] = row
            last_step = step
    return pl.DataFrame(list(rows.values()), infer_schema_length=None)
