"""Validate, test and predict with a frozen model: every user against the whole catalogue."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from interestlab.batch import Batch
from interestlab.distributed.fsdp import with_gathered_weights
from interestlab.metrics import TargetRankMetric, TargetRanks, per_user_metrics, target_ranks
from interestlab.model.backbone import InterestBackbone
from interestlab.model.frozen import FrozenModel, freeze, to_tensor
from interestlab.stats.bootstrap import bootstrap_mean_interval
from interestlab.training.hooks import PluginHooks


class EvaluationLoop(PluginHooks):
    """The part of the LightningModule that validates, tests and predicts. The model is frozen once per evaluation.

    Args:
        ks: cut-offs k of recall, NDCG and MRR.
        top_k: number of items that ``predict`` returns per user.

    Attributes:
        ranks: rank of each user's target.
        popularity_ranks: the same, ranked by popularity.
        intervals: 95% interval of each metric of the last evaluation.
        popularity: each metric of the last test, ranked by popularity.
        counts: ``[N]`` events of each item in training.
    """

    backbone: InterestBackbone

    def __init__(self, ks: Sequence[int], top_k: int) -> None:
        super().__init__()
        self.ks, self.top_k = ks, top_k
        self.ranks, self.popularity_ranks = TargetRankMetric(), TargetRankMetric()
        self.intervals: dict[str, tuple[float, float]] = {}
        self.popularity: dict[str, float] = {}
        self.counts = np.empty(0, np.int64)
        self._set_frozen(None)

    @property
    def frozen(self) -> FrozenModel:
        """The frozen model of the evaluation that is running."""
        frozen: FrozenModel | None = vars(self)["_frozen"]
        assert frozen is not None, "no evaluation is running"
        return frozen

    def _set_frozen(self, frozen: FrozenModel | None) -> None:
        # Set around nn.Module.__setattr__: as a submodule it would be trained and saved.
        vars(self)["_frozen"] = frozen

    @with_gathered_weights
    def start_evaluation(self) -> FrozenModel:
        """Freeze the model as its weights are now, and return it."""
        self.ranks.reset()
        self.popularity_ranks.reset()
        self._set_frozen(freeze(self.backbone))
        return self.frozen

    def last_user_state(self, batch: Batch) -> Tensor:
        """Return the user state after the last event of each history, from the frozen model.

        Args:
            batch: the histories.

        Returns:
            ``[B, D]``, or ``[B, K, D]``, ready to be compared.
        """
        codes = {}
        if self.backbone.event_streams:
            rows = batch.event_index.cpu().numpy()
            for stream in self.backbone.event_streams:
                codes[stream.name] = to_tensor(self.backbone.features[stream.name].codes[rows], batch.items.device)
        return self.frozen.last_user_state(batch, codes)

    def _rank_targets(self, metric: TargetRankMetric, batch: Batch, user_states: Tensor, items: Tensor) -> None:
        targets = batch.targets.max(1).values
        metric.update(TargetRanks(batch.users, targets, *target_ranks(user_states, items, targets, batch.history_items)))

    def _log_metrics(self, prefix: str) -> None:
        values = per_user_metrics(self.ranks.gather(), self.ks)
        self.log_dict({f"{prefix}/{name}": float(by_user.mean()) for name, by_user in values.items()})
        self.intervals = {f"{prefix}/{name}": bootstrap_mean_interval(by_user) for name, by_user in values.items()}
        self._set_frozen(None)

    def on_validation_epoch_start(self) -> None:
        super().on_validation_epoch_start()
        self.start_evaluation()

    def validation_step(self, batch: Batch) -> None:
        self._rank_targets(self.ranks, batch, self.last_user_state(batch), self.frozen.catalogue)

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self._log_metrics("val")

    def on_test_epoch_start(self) -> None:
        super().on_test_epoch_start()
        self.start_evaluation()

    def test_step(self, batch: Batch) -> None:
        self._rank_targets(self.ranks, batch, self.last_user_state(batch), self.frozen.catalogue)
        counts = torch.from_numpy(self.counts).float().to(self.device).unsqueeze(1)
        self._rank_targets(self.popularity_ranks, batch, counts.new_ones(len(batch.users), 1), counts)

    def on_test_epoch_end(self) -> None:
        super().on_test_epoch_end()
        self._log_metrics("test")
        values = per_user_metrics(self.popularity_ranks.gather(), self.ks)
        self.popularity = {f"test/{name}": float(by_user.mean()) for name, by_user in values.items()}

    def on_predict_epoch_start(self) -> None:
        super().on_predict_epoch_start()
        self.start_evaluation()

    def predict_step(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return users ``[B]``, their best items ``[B, top_k]`` and the scores ``[B, top_k]``, best first.

        Args:
            batch: the histories.
        """
        return batch.users, *self.frozen.top_k(self.last_user_state(batch), batch.history_items, self.top_k)

    def on_predict_epoch_end(self) -> None:
        super().on_predict_epoch_end()
        self._set_frozen(None)
