"""Stop training on a NaN or infinite loss."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule
from torch import Tensor

from interestlab.batch import Batch
from interestlab.distributed import fsdp
from interestlab.errors import TrainingError
from interestlab.training.run_state import is_fast_dev_run


class NonFiniteLossCheck:
    """Record the losses of an optimiser step and check them just before it.

    Reading each loss at once would make the host wait for the GPU; before the optimiser step it waits anyway.

    Attributes:
        failure: where the loss was not finite, its terms and its batch, as a checkpoint stores them; empty before a failure.
    """

    def __init__(self) -> None:
        self._recorded: list[tuple[Batch, Mapping[str, Tensor]]] = []
        self.failure: dict[str, Any] = {}

    def reset(self) -> None:
        """Drop the batches of the previous optimiser step."""
        self._recorded = []

    def record(self, batch: Batch, terms: Mapping[str, Tensor]) -> None:
        """Record a batch and its loss.

        Args:
            batch: the batch of this process.
            terms: scalars without gradient, means over all processes; ``loss`` is the sum of the others and the objective.
        """
        self._recorded.append((batch, terms))

    def check(self, module: LightningModule) -> None:
        """Check the recorded losses.

        Args:
            module: the model; its trainer writes a checkpoint from before the step, with the batch under ``not_finite``.

        Raises:
            TrainingError: a loss is NaN or infinite. The message names the checkpoint.
        """
        trainer = module.trainer
        finite = [bool(terms["loss"].isfinite()) for _, terms in self._recorded]
        if all(finite):
            return
        position = finite.index(False)
        batch, terms = self._recorded[position]
        batch_idx = trainer.fit_loop.batch_idx - len(finite) + 1 + position
        self.failure = {
            "epoch": trainer.current_epoch,
            "batch": batch_idx,
            "step": trainer.global_step,
            "terms": {name: float(term) for name, term in terms.items()},
            **{name: tensor.cpu() for name, tensor in batch._asdict().items()},
        }
        with fsdp.gathered_weights(module):
            weights = [name for name, p in module.named_parameters() if not p.isfinite().all()]
        values = ", ".join(f"{name} {value}" for name, value in self.failure["terms"].items())
        where = f"epoch {trainer.current_epoch}, batch {batch_idx}, step {trainer.global_step}"
        message = f"training stopped at {where}, before the weights changed: {values}."
        if weights:
            message += f" {len(weights)} weight tensors were not finite before the step, the first is {weights[0]}."
        raise TrainingError(message + self._save_checkpoint(module))

    def _save_checkpoint(self, module: LightningModule) -> str:
        trainer = module.trainer
        if is_fast_dev_run(trainer) or not trainer.checkpoint_callbacks:
            return ""
        path = Path(trainer.default_root_dir) / "checkpoints" / "not_finite.ckpt"
        trainer.save_checkpoint(path, weights_only=False)
        return f" The batch is in {path}; --ckpt_path={path} repeats the step."
