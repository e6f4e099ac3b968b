"""Which weights are trained: all, or low-rank updates that are merged at the end."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from interestlab.errors import DataError
from interestlab.pretraining.objectives.base import PretrainObjective
from interestlab.pretraining.settings import LowRank


class TrainedWeights:
    """The trained weights of an objective.

    Args:
        objective: owns the model.
        low_rank: settings of low-rank updates; None: all weights are trained.
        known_tokens: number of tokens of the base; with low-rank updates the rows of further tokens are trained in full, since
            no update reaches a table.

    Raises:
        DataError: the settings do not fit the model.
    """

    def __init__(self, objective: PretrainObjective, low_rank: LowRank | None, known_tokens: int) -> None:
        self.objective, self.low_rank = objective, low_rank
        self._peft: Any = None
        self._rows: list[nn.Parameter] = []
        if low_rank is not None:
            self._add_updates(low_rank)
            table = objective.trained.get_input_embeddings().weight
            if len(table) > known_tokens:
                table.requires_grad_(True)
                table.register_hook(lambda gradient: _without_first_rows(gradient, known_tokens))
                self._rows = [table]

    def _add_updates(self, settings: LowRank) -> None:
        from peft import LoraConfig, TaskType, get_peft_model

        try:
            config = LoraConfig(
                r=settings.r,
                lora_alpha=settings.alpha,
                lora_dropout=settings.dropout,
                target_modules=settings.targets,
                task_type=TaskType.FEATURE_EXTRACTION,
            )
            # it replaces linear modules inside of the model, so that the objective runs them too
            self._peft = get_peft_model(self.objective.trained, config)
        except ValueError as err:
            raise DataError(f"lora: {' '.join(str(err).split())}") from err

    @property
    def groups(self) -> Mapping[str, list[nn.Parameter]]:
        """Parameters with learning rates of their own; those of a new head have none."""
        trained = [p for p in self.objective.trained.parameters() if p.requires_grad]
        if self.low_rank is None:
            return {"pretrained": self._old_head() + trained}
        # without weight decay by default, which would also change the rows that are not trained
        return {"pretrained": self._old_head(), "peft": trained}

    def _old_head(self) -> list[nn.Parameter]:
        """Return the parameters of a head that the base brought."""
        others = {id(p) for p in (*self.objective.new_parameters, *self.objective.trained.parameters())}
        return [p for p in self.objective.parameters() if id(p) not in others]

    def merge(self) -> None:
        """Add low-rank updates to the weights; the model is a plain one afterwards."""
        if self._peft is not None:
            self._peft.merge_and_unload(safe_merge=True)
            self._peft = None


def _without_first_rows(gradient: Tensor, count: int) -> Tensor:
    """Return a gradient that is zero in the first rows."""
    return torch.cat([torch.zeros_like(gradient[:count]), gradient[count:]])
