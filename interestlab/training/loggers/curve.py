"""``metrics.csv``: one curve for one run, however often it was resumed."""

import csv
from itertools import islice
from pathlib import Path
from typing import Any, cast

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_only

from interestlab.distributed.rank import is_rank_zero
from interestlab.errors import DataError
from interestlab.utils.atomic_files import RESUME_HINT, atomic_write, cannot_write_message


class Writer(ExperimentWriter):
    """Lightning's, which neither empties the file of a run that goes on nor leaves a header half written.

    Args:
        log_dir: folder of ``metrics.csv`` and ``hparams.yaml``.
    """

    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir)
        self.rows = 0
        self.file = Path(self.metrics_file_path)

    def _check_log_dir_exists(self) -> None:
        """Nothing: Lightning's own removes the file."""

    def keep(self, rows: int | None) -> None:
        """Go on below the first ``rows`` rows of the file, or below all; what was logged after them is logged again."""
        if not self.file.exists():
            return
        with self.file.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            kept = list(islice(reader, rows))
            self.metrics_keys = list(reader.fieldnames or [])
        self._write(kept)
        self.rows = len(kept)

    def save(self) -> None:
        if not self.metrics:
            return
        if self._record_new_keys():
            self._write([*self._read(), *self.metrics])
        else:
            try:
                with self.file.open("a", encoding="utf-8", newline="") as file:
                    csv.DictWriter(file, self.metrics_keys).writerows(self.metrics)
            except OSError as err:
                raise DataError(cannot_write_message(self.file, err, RESUME_HINT)) from err
        self.rows += len(self.metrics)
        self.metrics = []

    def _read(self) -> list[dict[str, Any]]:
        if not self.rows:  # a file that is there is of another run
            return []
        with self.file.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def _write(self, rows: list[dict[str, Any]]) -> None:
        with atomic_write(self.file, hint=RESUME_HINT) as file:
            writer = csv.DictWriter(file, self.metrics_keys)
            writer.writeheader()
            writer.writerows(rows)


class Curve(CSVLogger):
    """Writes ``metrics.csv`` and ``hparams.yaml`` into the folder of a run.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, name="", version="")

    @property
    @rank_zero_experiment
    def experiment(self) -> Writer:
        """What writes, in the first process; in the others a stand-in."""
        if self._experiment is None:
            self._experiment = Writer(self.log_dir)
        return cast(Writer, self._experiment)

    @property
    def rows(self) -> int:
        """How many rows are in the file, of which every one is on its way to the disk."""
        return self.experiment.rows if is_rank_zero() else 0

    @rank_zero_only
    def keep(self, rows: int | None) -> None:
        """Go on below the first ``rows`` rows, or below all."""
        self.experiment.keep(rows)
