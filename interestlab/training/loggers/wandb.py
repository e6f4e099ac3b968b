"""Lightning's W&B logger, which works offline where the server gives no answer: training does not depend on it."""

from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_warn

PATIENCE = 30
"""Seconds that the server has to answer when a run begins."""


class PatientWandbLogger(WandbLogger):
    """As Lightning's, but offline after :data:`PATIENCE` seconds without an answer."""

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        import wandb

        if self._experiment is None:
            self._wandb_init.setdefault("settings", wandb.Settings(init_timeout=PATIENCE))
        try:
            return super().experiment
        except wandb.errors.CommError as err:
            rank_zero_warn(
                f"W&B gives no answer ({' '.join(str(err).split())[:200]}); the run is written offline, and "
                "`wandb sync` uploads it later."
            )
            self._wandb_init["mode"] = "offline"
            return super().experiment
