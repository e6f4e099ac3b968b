"""A loss that is no number stops the training before it reaches a weight."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule
from torch import Tensor

from interestlab.batch import Batch
from interestlab.distributed import fsdp
from interestlab.errors import TrainingError
from interestlab.training.run_state import is_fast_dev_run


class NonFiniteLossGuard:
    """Remembers the losses of a step of the optimiser, and looks at them just before it.

    To look at each loss as it comes would let a GPU wait for its host; before the step it waits in any case.
    """

    def __init__(self) -> None:
        self._met: list[tuple[Batch, Mapping[str, Tensor]]] = []
        self.found: dict[str, Any] = {}

    def reset(self) -> None:
        """Forget the batches of the step before."""
        self._met = []

    def record(self, batch: Batch, terms: Mapping[str, Tensor]) -> None:
        """Remember a batch and the terms of its loss over all processes, without gradient; ``loss`` is their sum."""
        self._met.append((batch, terms))

    def check(self, module: LightningModule) -> None:
        """Look at the losses of the step.

        Raises:
            TrainingError: one is NaN or infinite; the message names the checkpoint that was written, from before the step,
                which holds the batch under ``not_finite``.
        """
        trainer = module.trainer
        finite = [bool(terms["loss"].isfinite()) for _, terms in self._met]
        if not all(finite):
            at = finite.index(False)
            batch, terms = self._met[at]
            number = trainer.fit_loop.batch_idx - len(finite) + 1 + at
            self.found = {
                "epoch": trainer.current_epoch,
                "batch": number,
                "step": trainer.global_step,
                "terms": {name: float(term) for name, term in terms.items()},
                **{name: tensor.cpu() for name, tensor in batch._asdict().items()},
            }
            with fsdp.gathered_weights(module):
                weights = [name for name, p in module.named_parameters() if not p.isfinite().all()]
            told = ", ".join(f"{name} {value}" for name, value in self.found["terms"].items())
            where = f"epoch {trainer.current_epoch}, batch {number}, step {trainer.global_step}"
            said = f"training stopped at {where}, before the weights changed: {told}."
            if weights:
                said += f" {len(weights)} tensors of weights were not finite before, {weights[0]} among them."
            raise TrainingError(said + self._kept(module))

    def _kept(self, module: LightningModule) -> str:
        trainer = module.trainer
        if is_fast_dev_run(trainer) or not trainer.checkpoint_callbacks:
            return ""
        path = Path(trainer.default_root_dir) / "checkpoints" / "not_finite.ckpt"
        trainer.save_checkpoint(path, weights_only=False)
        return f" The batch is in {path}; --ckpt_path={path} takes the same step again."
