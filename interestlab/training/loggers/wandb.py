"""Lightning's W&B logger, which continues offline when the server does not answer."""

import os
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_warn

TIMEOUT = 30
"""Seconds that the server has to answer when a run starts."""


class PatientWandbLogger(WandbLogger):
    """Log to W&B; offline after :data:`TIMEOUT` seconds without an answer, so that training does not depend on the server."""

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        import wandb

        if self._experiment is None:
            self._wandb_init.setdefault("settings", wandb.Settings(init_timeout=TIMEOUT))
        try:
            return super().experiment
        except wandb.errors.CommError as err:
            rank_zero_warn(
                f"W&B does not answer ({' '.join(str(err).split())[:200]}); the run is written offline, and "
                "`wandb sync` uploads it later."
            )
            wandb.teardown()  # W&B's service process still holds the id of the run
            os.environ.pop(wandb.env.SERVICE, None)  # a service that a parent process started survives the teardown
            self._wandb_init["mode"] = "offline"
            return super().experiment
