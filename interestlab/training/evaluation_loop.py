"""Validate, test and predict with a frozen model: every user against the whole catalogue."""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from torch import Tensor, nn

from interestlab.baselines import Baseline
from interestlab.baselines.measurement import TEST_BASELINES, build_test_baselines
from interestlab.batch import Batch
from interestlab.data.event_store import EventStore
from interestlab.distributed.fsdp import with_gathered_weights
from interestlab.metrics import MetricSummary, TargetRankMetric, TargetRanks, summarise, target_ranks
from interestlab.model.added_items import AddedItemEmbeddings
from interestlab.model.backbone import InterestBackbone
from interestlab.model.frozen import FrozenModel, freeze, to_tensor
from interestlab.training.hooks import PluginHooks


class EvaluationLoop(PluginHooks):
    """The part of the LightningModule that validates, tests and predicts. The model is frozen once per evaluation.

    Args:
        ks: cut-offs k of recall, NDCG and MRR.
        top_k: number of items that ``predict`` returns per user.

    Attributes:
        ranks: rank of each user's target.
        baseline_ranks: the same of each baseline.
        summary: metrics of the last evaluation.
        baselines: metrics of each baseline in the last test.
    """

    backbone: InterestBackbone
    event_log: EventStore
    """The log that is evaluated; :meth:`InterestModel.attach` sets it."""
    num_added: int = 0
    """Number of ranked items that are not in this log."""
    added_items: Sequence[AddedItemEmbeddings] = ()
    """Items that came after training, by table."""

    def __init__(self, ks: Sequence[int], top_k: int) -> None:
        super().__init__()
        self.ks, self.top_k = ks, top_k
        self.ranks = TargetRankMetric()
        self.baseline_ranks = nn.ModuleDict({name: TargetRankMetric() for name in TEST_BASELINES})
        self.summary = MetricSummary({}, {}, {})
        self.baselines: dict[str, MetricSummary] = {}
        self._baselines: list[Baseline] = []
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
        for metric in self.baseline_ranks.values():
            cast(TargetRankMetric, metric).reset()
        self._set_frozen(self.freeze_catalogue())
        return self.frozen

    def freeze_catalogue(self, values: Mapping[str, Tensor] | None = None) -> FrozenModel:
        """Return the model as its weights are now, with its whole catalogue encoded, and the added items.

        Args:
            values: as for :func:`interestlab.model.frozen.freeze`.
        """
        frozen = freeze(self.backbone, values)
        for added in self.added_items:
            frozen = added.extend(frozen)
        return frozen

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

    def _rank_targets(self, batch: Batch) -> None:
        targets = batch.targets.max(1).values
        counts = target_ranks(self.last_user_state(batch), self.frozen.catalogue, targets, batch.history_items)
        self.ranks.update(TargetRanks(batch.users, targets, *counts))

    def _log_metrics(self, prefix: str, item_counts: np.ndarray | None = None) -> None:
        self.summary = summarise(self.ranks.gather(), self.ks, item_counts)
        self.log_dict({f"{prefix}/{name}": mean for name, mean in self.summary.means.items()})
        self._set_frozen(None)

    def on_validation_epoch_start(self) -> None:
        super().on_validation_epoch_start()
        self.start_evaluation()

    def validation_step(self, batch: Batch) -> None:
        self._rank_targets(batch)

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self._log_metrics("val")

    def on_test_epoch_start(self) -> None:
        super().on_test_epoch_start()
        self.start_evaluation()
        self._baselines = build_test_baselines(self.event_log, self.num_added)

    def test_step(self, batch: Batch) -> None:
        self._rank_targets(batch)
        for baseline in self._baselines:
            cast(TargetRankMetric, self.baseline_ranks[baseline.name]).update(baseline.rank_targets(batch))

    def on_test_epoch_end(self) -> None:
        super().on_test_epoch_end()
        counts = self.event_log.counts
        self._log_metrics("test", counts)
        self._baselines = []
        self.baselines = {
            name: summarise(cast(TargetRankMetric, metric).gather(), self.ks, counts)
            for name, metric in self.baseline_ranks.items()
        }

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
