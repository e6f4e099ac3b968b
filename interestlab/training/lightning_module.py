"""InterestModel: trains a backbone of encoders, fusion heads and dynamics on objectives. It knows no plugin by name."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer

from interestlab.batch import Batch, Candidates
from interestlab.contract import Dynamics, Encoder, FusionHead, Objective, to_plain
from interestlab.data.datamodule import InterestData
from interestlab.distributed.collectives import weight_by_targets
from interestlab.distributed.fsdp import with_gathered_weights
from interestlab.distributed.parallelize import parallelize
from interestlab.errors import DataError
from interestlab.model.added_items import AddedItemEmbeddings
from interestlab.model.amortized import Amortization, StepPosition, VectorTable
from interestlab.model.backbone import InterestBackbone, Similarity
from interestlab.model.chunking import EncoderChunking
from interestlab.step import Step
from interestlab.training.auxiliary import Auxiliary
from interestlab.training.candidates import choose_candidates
from interestlab.training.evaluation_loop import EvaluationLoop
from interestlab.training.frozen_check import FrozenWeightCheck
from interestlab.training.nonfinite import NonFiniteLossCheck
from interestlab.training.optimizers import Optim, make_optimizer, make_scheduler
from interestlab.training.seeding import seed_everything_from
from interestlab.utils.argument_checks import require_at_least

RESERVED_NAMES = {"loss", "penalty", "targets_per_second", "peak_memory_mb", "encoded_share", "staleness", *dir(nn.ModuleDict)}
"""Names that no term of the loss can have: other values are logged by them, or they are attributes of a ModuleDict."""


class InterestModel(EvaluationLoop):
    """Predict what a user wants next from what the user did and wrote.

    Args:
        encoder: embeds items and texts: one encoder, or a mapping of named ones.
        dynamics: updates the user state from event to event.
        objective: the main term of the loss.
        auxiliary: further terms of the loss, each with a weight, by names of your choice.
        cardinalities: number of distinct values of each field, linked from the data.
        fusion: fuses the streams of an item, and an item with the streams of its event; a single stream needs none.
        dim: width of the model, to which the output of every encoder is projected.
        similarity: how a user state and an item are compared: ``cosine`` similarity, or ``dot`` product.
        optim: optimiser, learning rates and warm-up.
        chunking: how many values an encoder reads at once, and how much memory that takes.
        amortize: how many texts of a training step are encoded with gradient; the vectors of the others are read from a table.
        ks: cut-offs k of recall, NDCG and MRR.
        top_k: number of items that ``predict`` returns per user.

    Raises:
        ValueError: there is no encoder, several streams have no fusion head, a name is reserved, or an objective does not fit.
    """

    def __init__(
        self,
        encoder: Encoder | dict[str, Encoder] | None,
        dynamics: Dynamics,
        objective: Objective,
        cardinalities: dict[str, int],
        fusion: FusionHead | None = None,
        auxiliary: dict[str, Auxiliary] = {},  # noqa: B006 (read only)
        dim: int = 64,
        similarity: Similarity = "cosine",
        optim: Optim = Optim(),  # noqa: B008 (frozen)
        chunking: EncoderChunking = EncoderChunking(),  # noqa: B008 (frozen)
        amortize: Amortization = Amortization(),  # noqa: B008 (frozen)
        ks: list[int] = [5, 10, 20],  # noqa: B006 (read only)
        top_k: int = 10,
    ) -> None:
        super().__init__(ks, top_k)
        require_at_least(1, dim=dim, top_k=top_k, k=min(ks, default=0))
        if not encoder:  # None is allowed so that the command line can replace one encoder by a mapping
            raise ValueError("there is no encoder; choose one that reads the items, such as `id`")
        self._objectives = [objective, *(term.objective for term in auxiliary.values())]
        check_objectives(objective, auxiliary)
        encoders = dict(encoder) if isinstance(encoder, Mapping) else {"main": encoder}
        # Plain values only, so that a checkpoint loads with weights_only=True and rebuilds its plugins on its own.
        self.save_hyperparameters(
            {
                "encoder": to_plain(encoder),
                "fusion": fusion and fusion.spec,
                "dynamics": dynamics.spec,
                "objective": objective.spec,
                "auxiliary": {
                    name: {"objective": term.objective.spec, "weight": term.weight} for name, term in auxiliary.items()
                },
                "cardinalities": dict(cardinalities),
                "dim": dim,
                "similarity": similarity,
                "optim": asdict(optim),
                "chunking": asdict(chunking),
                "amortize": asdict(amortize),
                "ks": list(ks),
                "top_k": top_k,
                "_instantiator": "lightning.pytorch.cli.instantiate_module",
            }
        )
        self.backbone = InterestBackbone(encoders, dynamics, cardinalities, fusion, dim, similarity, chunking, amortize)
        self.objective = objective
        self.auxiliary = nn.ModuleDict({name: term.objective for name, term in auxiliary.items()})
        self.term_weights = {name: term.weight for name, term in auxiliary.items()}
        self.optim = optim
        self.item_codes: dict[str, np.ndarray] = {}
        self._encoders = encoders
        self._frozen_check = FrozenWeightCheck({f"encoders.{key}": encoder for key, encoder in encoders.items()})
        self._loss_guard = NonFiniteLossCheck()
        self.log_q: Tensor
        self.register_buffer("log_q", torch.zeros(cardinalities["item.id"]), persistent=False)

    def setup(self, stage: str) -> None:
        parallelize(self.backbone, self.trainer.strategy)
        for part in self.parts():
            part.trainer = self.trainer  # Lightning sets it on direct children only
        super().setup(stage)
        self.attach(self.trainer.datamodule)  # type: ignore[attr-defined]

    def attach(self, data: InterestData) -> None:
        """Read items and events from ``data`` from now on.

        Args:
            data: the log.

        Raises:
            DataError: a field that an encoder or an objective reads has no value in any row.
        """
        self._set_frozen(None)
        backbone = self.backbone
        backbone.attach({s.name: data.feature(backbone.encoder_of(s), s.field) for s in backbone.streams})
        fields = {field for objective in self._objectives for field in objective.fields}
        self.item_codes = {field: data.codes(field) for field in sorted(fields)}
        if empty := [field for field, codes in self.item_codes.items() if not (codes >= 0).any()]:
            raise DataError(f"no item has a value for {', '.join(empty)}, which the objective reads.")
        self.event_log, self.num_added = data.log, data.num_added
        self.added_items = [AddedItemEmbeddings(backbone, added, data.cache) for added in data.added]
        counts = np.maximum(data.log.counts, 1)
        self.log_q.copy_(torch.from_numpy(np.log(counts / counts.sum())))

    # ---- training

    def make_step(self, batch: Batch) -> Step:
        """Embed the candidates and the events of a batch, as the objectives read them.

        Args:
            batch: the histories and their targets.
        """
        chosen = choose_candidates(batch, self._objectives, self.log_q)
        embeddings = self.backbone.embed_items(chosen.rows, shared=True)
        fields = {
            field: torch.from_numpy(codes[chosen.rows].astype(np.int64)).to(self.device)
            for field, codes in self.item_codes.items()
        }
        normalized = self.backbone.normalize_for_similarity(embeddings)
        candidates = Candidates(normalized, chosen.items, chosen.log_inclusion, len(self.log_q), fields)
        # The padding refers to item 0, which need not be a candidate; any embedding will do there.
        items = embeddings[candidates.index_of(batch.items)]
        return Step(batch, candidates, self.backbone.embed_events(batch, items), self.backbone, self.objective)

    def training_step(self, batch: Batch) -> Tensor:
        step = self.make_step(batch)
        loss = step.loss
        terms = {name: self.term_weights[name] * objective(step) for name, objective in self.auxiliary.items()}
        penalties = [penalty for part in self.parts() if (penalty := part.penalty()) is not None]
        if penalties:
            terms["penalty"] = torch.stack(penalties).sum()
        for term in terms.values():
            loss = loss + term
        weight, means = weight_by_targets(step.target_mask.sum(), {**terms, "loss": loss})
        for name, mean in means.items():
            self.log(f"train/{name}", mean, prog_bar=name == "loss", batch_size=len(batch.users))
        self.log_dict({f"train/{name}": value for name, value in self.backbone.amortized.metrics().items()})
        self._loss_guard.record(batch, means)
        return loss * weight

    def configure_optimizers(self) -> OptimizerLRScheduler:
        named: dict[str, list[nn.Parameter]] = {}
        for part in self.parts():
            for group, params in part.parameter_groups().items():
                named.setdefault(group, []).extend(params)
        fused = self.trainer.gradient_clip_val is None
        optimizer, rates = make_optimizer(self.optim, self.parameters(), named, fused=fused)
        scheduler = make_scheduler(optimizer, rates, self.optim.schedule, self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_fit_start(self) -> None:
        super().on_fit_start()
        self._fill_caches()

    def on_train_start(self) -> None:
        super().on_train_start()
        self._start_frozen_check()  # here, since a resumed training knows its step only now

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> int | None:
        # The seed depends on the position of the batch alone, so that a resumed training draws the same random numbers.
        seed = self.trainer.datamodule.seed  # type: ignore[attr-defined]
        position = StepPosition(seed, self.trainer.current_epoch, batch_idx, self.trainer.global_step)
        if stale := self.backbone.amortized.start_step(position):
            self.refresh_tables(stale)
        seed_everything_from([seed, self.trainer.current_epoch, batch_idx, self.trainer.global_rank])
        if batch_idx % self.trainer.accumulate_grad_batches == 0:
            self._loss_guard.reset()
        return super().on_train_batch_start(batch, batch_idx)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        self._loss_guard.check(self)
        super().on_before_optimizer_step(optimizer)

    def on_fit_end(self) -> None:
        super().on_fit_end()
        self._check_frozen_weights()  # here, since on_train_end does not run where a resumed training has nothing left to do

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["frozen_check"] = self._frozen_check.state_dict()
        if "optimizer_states" in checkpoint:  # otherwise it cannot be resumed
            batches = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["processed"]
            step = self.trainer.global_step
            checkpoint["amortized"] = self.backbone.amortized.state_dict(step, is_epoch_start=batches == 0)
        if self._loss_guard.failure:
            checkpoint["not_finite"] = self._loss_guard.failure

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self._frozen_check.load_state_dict(checkpoint.get("frozen_check"))
        self.backbone.amortized.load_state_dict(checkpoint.get("amortized", {}))

    # ---- hooks that read full weights, which a sharding strategy has to gather

    @with_gathered_weights
    def _fill_caches(self) -> None:
        for cache in self.backbone.caches.values():
            cache.fill()
        for key in self.backbone.projections:
            self.backbone.fit_whitening(key)

    @with_gathered_weights
    def refresh_tables(self, tables: list[VectorTable]) -> None:
        """Encode all values of some tables of amortised encoding again, in the precision of a training step.

        Args:
            tables: tables of the backbone.
        """
        with self.trainer.precision_plugin.train_step_context():
            for table in tables:
                table.refresh(self.backbone.dtype)

    @with_gathered_weights
    def _start_frozen_check(self) -> None:
        self._frozen_check.start(self.trainer.global_step)

    @with_gathered_weights
    def _check_frozen_weights(self) -> None:
        self._frozen_check.check(self.trainer.global_step)


def check_objectives(objective: Objective, auxiliary: Mapping[str, Auxiliary]) -> None:
    """Check that objectives can be the terms of a loss.

    Args:
        objective: the main term.
        auxiliary: further terms by name.

    Raises:
        ValueError: the main term is an auxiliary one, a name is reserved, or a class attribute of an objective is wrong.
    """
    if objective.auxiliary:
        raise ValueError(f"{type(objective).__name__} is an auxiliary term; name it under model.auxiliary instead")
    for one in (objective, *(term.objective for term in auxiliary.values())):
        if one.candidates not in ("batch", "catalogue"):
            raise ValueError(f"candidates must be 'batch' or 'catalogue', not {one.candidates!r}")
        if not all(field.startswith("item.") for field in one.fields):
            raise ValueError(f"an objective reads fields of the items, such as item.category, not {', '.join(one.fields)}")
    if names := [name for name in auxiliary if name in RESERVED_NAMES or not name.isidentifier()]:
        raise ValueError(f"a term of the loss cannot be called {', '.join(names)}; choose another name")
