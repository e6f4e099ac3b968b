"""InterestModel: composes an encoder, a fusion head, a dynamics and an objective, and never asks for their names."""

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.optim import Optimizer

from interestlab.batch import Batch, Candidates
from interestlab.contract import Dynamics, Encoder, FusionHead, Objective, to_plain
from interestlab.data.datamodule import InterestData
from interestlab.data.fields import FieldValues
from interestlab.distributed import collectives, fsdp
from interestlab.errors import DataError
from interestlab.metrics import TargetRankMetric, TargetRanks, per_user_metrics, target_ranks, top_k_items
from interestlab.model.embedding_cache import Chunking, Encoding, constant
from interestlab.model.evaluation import Evaluation, float64_weights, to_float64
from interestlab.model.streams import Stream, streams
from interestlab.stats.bootstrap import bootstrap_mean_interval
from interestlab.step import Step
from interestlab.training.auxiliary import Auxiliary
from interestlab.training.frozen_check import FrozenWeightCheck
from interestlab.training.hooks import HookRelay
from interestlab.training.logq import log_inclusion
from interestlab.training.nonfinite import NonFiniteLossGuard
from interestlab.training.optimizers import Optim, optimizer, schedule
from interestlab.training.seeding import seed_everything_from
from interestlab.utils.argument_checks import require_at_least

TAKEN = {"loss", "penalty", "targets_per_second", "peak_memory_mb", *dir(nn.ModuleDict)}
"""Names that no term of the loss can have: they are logged already, or a ModuleDict has them itself."""

ALL = slice(None)
"""Every item of the catalogue."""

STRETCH = 65_536
"""Items that are fused at once in an evaluation."""


class InterestModel(HookRelay):
    """What a user wants next, from what the user did and wrote.

    Args:
        encoder: what items and texts mean: one encoder, or a mapping of named ones.
        dynamics: how the interest moves from event to event.
        objective: what is learnt.
        auxiliary: further objectives, each added to the loss with its weight, by a name of your choice.
        cardinalities: number of distinct values of each field, linked from the data.
        fusion: joins the streams of one item, and an item with the streams of its event; not needed for a lone stream.
        dim: width of the model, to which every encoder's vectors are projected.
        similarity: how an interest and an item are compared: ``cosine``, or their ``dot`` product.
        optim: optimiser, rates and warm-up.
        chunking: how many texts are encoded at once, and what memory that takes.
        ks: the cut-offs k of recall, NDCG and MRR.
        top_k: how many items ``predict`` gives each user.

    Raises:
        ValueError: no encoder is given, streams have no fusion head to join them, a name is taken, or an objective is
            none or asks for what is not there.
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
        similarity: Literal["cosine", "dot"] = "cosine",
        optim: Optim = Optim(),  # noqa: B008 (frozen)
        chunking: Chunking = Chunking(),  # noqa: B008 (frozen)
        ks: list[int] = [5, 10, 20],  # noqa: B006 (read only)
        top_k: int = 10,
    ) -> None:
        super().__init__()
        require_at_least(1, dim=dim, top_k=top_k, k=min(ks, default=0))
        if not encoder:  # None is a value so that the command line can drop one encoder for a mapping of them
            raise ValueError("no encoder is given; say what reads the items, such as `id`")
        if objective.auxiliary:
            raise ValueError(f"{type(objective).__name__} is a term to be added; name it under model.auxiliary instead")
        self._objectives = [objective, *(term.objective for term in auxiliary.values())]
        for one in self._objectives:
            if one.candidates not in ("batch", "catalogue"):
                raise ValueError(f"candidates must be 'batch' or 'catalogue', not {one.candidates!r}")
            if not all(field.startswith("item.") for field in one.fields):
                raise ValueError(f"an objective reads fields of the items, such as item.category, not {', '.join(one.fields)}")
        if bad := [name for name in auxiliary if name in TAKEN or not name.isidentifier()]:
            raise ValueError(f"no term of the loss can be called {', '.join(bad)}; give it another name")
        encoders = dict(encoder) if isinstance(encoder, Mapping) else {"main": encoder}
        # Plain values only, so that a checkpoint loads with weights_only=True and rebuilds its parts by itself.
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
                "ks": list(ks),
                "top_k": top_k,
                "_instantiator": "lightning.pytorch.cli.instantiate_module",
            }
        )
        self.streams = streams(encoders)
        self.item_streams, self.event_streams = ([s for s in self.streams if s.side == side] for side in ("item", "event"))
        for e in encoders.values():
            e.build(cardinalities, dim)
        # An encoder is looked up here by type; the ModuleDict is what registers it.
        self._encoders = encoders
        self.encoders = nn.ModuleDict(encoders)
        self.projections = nn.ModuleDict({key: projection(e.out_dim, dim) for key, e in encoders.items()})
        # A lone stream needs no fusion; items and events are joined by heads of one kind, each with its own weights.
        self.fusion = nn.ModuleDict()
        for side, names in {
            "item": [s.name for s in self.item_streams],
            "event": ["item", *(s.name for s in self.event_streams)],
        }.items():
            if len(names) > 1:
                if fusion is None:
                    raise ValueError(f"streams {', '.join(names)} need a fusion head to join them, such as `attention`")
                head = deepcopy(fusion)
                head.build(names)
                self.fusion[side] = head
        self.dynamics, self.objective = dynamics, objective
        self.auxiliary = nn.ModuleDict({name: term.objective for name, term in auxiliary.items()})
        self.term_weights = {name: term.weight for name, term in auxiliary.items()}
        self.dim, self.similarity, self.optim, self.chunking = dim, similarity, optim, chunking
        self.ks, self.top_k = ks, top_k
        self.places, self.popular = TargetRankMetric(), TargetRankMetric()
        self.intervals: dict[str, tuple[float, float]] = {}
        self.popularity: dict[str, float] = {}
        self.features: dict[str, FieldValues] = {}
        self.encodings: dict[str, Encoding] = {}
        self.item_codes: dict[str, np.ndarray] = {}
        self.counts = np.empty(0, np.int64)
        self._guard = FrozenWeightCheck({f"encoders.{key}": encoder for key, encoder in encoders.items()})
        self._finite = NonFiniteLossGuard()
        self._evaluation = Evaluation()
        self.log_q: Tensor
        self.register_buffer("log_q", torch.zeros(cardinalities["item.id"]), persistent=False)

    def setup(self, stage: str) -> None:
        fsdp.check_strategy(self.trainer.strategy)
        for part in self.parts():
            part.trainer = self.trainer  # Lightning reaches only direct children
        super().setup(stage)
        self.attach(self.trainer.datamodule)  # type: ignore[attr-defined]

    def attach(self, data: InterestData) -> None:
        """Read items and events from ``data`` from now on.

        Raises:
            DataError: a field that the model reads has no value in any row.
        """
        self._evaluation = Evaluation()
        self.features = {s.name: data.feature(self._encoders[s.encoder], s.field) for s in self.streams}
        self.encodings = {
            s.name: Encoding(self._encoders[s.encoder], self.features[s.name], self.chunking) for s in self.streams
        }
        void = [s for s in self.streams if not (self.features[s.name].codes >= 0).any()]
        fields = ", ".join(s.field for s in void)
        if set(void) >= set(self.item_streams):
            raise DataError(
                f"no item has a value for {fields}, so all would be alike; add `id`, or a source of items with words."
            )
        if void:
            without = ", ".join(dict.fromkeys(s.encoder for s in void))
            raise DataError(f"no row of the log has a value for {fields}; leave out {without}.")
        asked = {field for objective in self._objectives for field in objective.fields}
        self.item_codes = {field: data.codes(field) for field in sorted(asked)}
        if empty := [field for field, codes in self.item_codes.items() if not (codes >= 0).any()]:
            raise DataError(f"no item has a value for {', '.join(empty)}, which the objective reads.")
        self.counts = data.log.counts
        counts = np.maximum(self.counts, 1)
        self.log_q.copy_(torch.from_numpy(np.log(counts / counts.sum())))

    # ---- what items and events are

    def embed_values(self, stream: Stream, codes: np.ndarray) -> Tensor:
        """``[U, dim]`` of distinct values of a stream, each encoded once."""
        if stream.name in self._evaluation.values:
            return self._evaluation.values[stream.name][torch.from_numpy(codes).to(self.device)]
        encoded = self.encodings[stream.name](codes).to(self.log_q.dtype)
        return self.projections[stream.encoder](encoded)

    def embed_rows(self, stream: Stream, rows: np.ndarray | slice, together: bool = False) -> tuple[Tensor, Tensor]:
        """Vectors of a stream at some rows of its items or events.

        Args:
            stream: what is encoded.
            rows: any shape; ``ALL`` of them, which are the same in each step, are told apart once.
            together: whether all processes ask for the same rows, each of which then need be encoded in one process alone.

        Returns:
            ``[*rows, dim]``, zero where a row has no value, and ``[*rows]`` bool: whether it has one.
        """
        feature = self.features[stream.name]
        codes = feature.codes[rows]
        present = torch.from_numpy(codes >= 0).to(self.device)
        distinct, inverse = feature.distinct if rows is ALL else np.unique(codes[codes >= 0], return_inverse=True)
        if not len(distinct):
            return self.zero_embeddings(stream, *codes.shape), present
        if together and self.is_costly(stream):
            table = collectives.encode_sharded(distinct, lambda codes: self.share(stream, codes))
        else:
            table = self.embed_values(stream, distinct)
        found = table[torch.from_numpy(inverse).to(self.device)]
        if len(found) == codes.size:
            return found.view(*codes.shape, self.dim), present
        out = found.new_zeros(*codes.shape, self.dim)
        return out.masked_scatter(present[..., None], found), present

    def zero_embeddings(self, stream: Stream, *shape: int) -> Tensor:
        """``[*shape, dim]`` zeros, of which every weight of a stream gets a gradient, as each process must give it one."""
        idle = self.embed_values(stream, self.features[stream.name].some)[:0].to(self.log_q.dtype)
        return torch.cat([idle, idle.new_zeros(math.prod(shape), self.dim)]).view(*shape, self.dim)

    def share(self, stream: Stream, codes: np.ndarray) -> Tensor:
        """``[U, dim]`` of what one process encodes of a stream, which may be nothing; of one type whatever autocast does."""
        return (self.embed_values(stream, codes) if len(codes) else self.zero_embeddings(stream, 0)).to(self.log_q.dtype)

    def is_costly(self, stream: Stream) -> bool:
        """Whether to encode a value costs more than to send its vector: not a look into a table, nor at what is kept."""
        return self.features[stream.name].rows is not None and not constant(self._encoders[stream.encoder])

    def embed_items(self, items: np.ndarray | slice, together: bool = False) -> Tensor:
        """``[M, dim]`` what items are, from all their streams; ``together`` as in :meth:`embed_rows`."""
        encoded = {s.name: self.embed_rows(s, items, together) for s in self.item_streams}
        if "item" not in self.fusion:
            return next(iter(encoded.values()))[0]
        return self.fusion["item"](*transposed(encoded))

    def event_inputs(self, batch: Batch, item: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The item of each event ``[B, T, dim]``, and the event's own streams, as a fusion head takes them."""
        rows = batch.event_index.cpu().numpy()
        return transposed({"item": (item, batch.mask)} | {s.name: self.embed_rows(s, rows) for s in self.event_streams})

    def normalize_for_similarity(self, x: Tensor) -> Tensor:
        """Interests or items as they are compared: by cosine, vectors of unit length."""
        return F.normalize(x, dim=-1) if self.similarity == "cosine" else x

    # ---- training

    def step(self, batch: Batch) -> Step:
        """What the objectives see of a batch."""
        everything = len(self.log_q)
        rows: np.ndarray | slice = ALL
        if any(o.candidates == "catalogue" for o in self._objectives):
            items = torch.arange(everything, device=self.device)
            inclusion = torch.zeros_like(self.log_q)
        else:
            drawn = torch.randint(everything, (max(o.num_sampled for o in self._objectives),), device=self.device)
            own = torch.cat([batch.items[batch.mask], batch.targets[batch.targets >= 0]])
            # Of all processes the first one draws, so that as many are drawn as in one process.
            items = collectives.all_union(torch.cat([own, drawn]) if collectives.is_rank_zero() else own)
            # One event more than the history shows: the target of its last position.
            events = collectives.all_sum(batch.mask.sum() + len(batch.users))
            inclusion = log_inclusion(self.log_q[items], events, len(drawn), everything)
            rows = items.cpu().numpy()
        table = self.embed_items(rows, together=True)
        fields = {f: torch.from_numpy(codes[rows].astype(np.int64)).to(self.device) for f, codes in self.item_codes.items()}
        candidates = Candidates(self.normalize_for_similarity(table), items, inclusion, everything, fields)
        # Item 0 stands in the padding, where any vector will do: position 0 is one.
        x = table[candidates.index_of(batch.items)]
        if "event" in self.fusion:
            x = self.fusion["event"](*self.event_inputs(batch, x))
        return Step(
            batch, candidates, x, lambda *history: self.normalize_for_similarity(self.dynamics(*history)), self.objective
        )

    def training_step(self, batch: Batch) -> Tensor:
        step = self.step(batch)
        loss = step.loss
        terms = {name: self.term_weights[name] * objective(step) for name, objective in self.auxiliary.items()}
        penalties = [penalty for part in self.parts() if (penalty := part.penalty()) is not None]
        if penalties:
            terms["penalty"] = torch.stack(penalties).sum()
        for term in terms.values():
            loss = loss + term
        weight, means = collectives.weight_by_targets(step.target_mask.sum(), {**terms, "loss": loss})
        for name, mean in means.items():
            self.log(f"train/{name}", mean, prog_bar=name == "loss", batch_size=len(batch.users))
        self._finite.record(batch, means)
        return loss * weight

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        self._finite.check(self)
        super().on_before_optimizer_step(optimizer)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        named: dict[str, list[nn.Parameter]] = {}
        for encoder in self._encoders.values():
            for group, params in encoder.parameter_groups().items():
                named.setdefault(group, []).extend(params)
        fused = self.trainer.gradient_clip_val is None
        chosen, groups = optimizer(self.optim, self.parameters(), named, fused=fused)
        scheduler = schedule(chosen, groups, self.optim.schedule, self.trainer.estimated_stepping_batches)
        return {"optimizer": chosen, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_fit_start(self) -> None:
        super().on_fit_start()
        with fsdp.gathered_weights(self):
            for encoding in self.encodings.values():
                encoding.keep()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> int | None:
        # All chance of a step follows from its number, so that a resumed run draws what it would have drawn.
        seed = self.trainer.datamodule.seed  # type: ignore[attr-defined]
        seed_everything_from([seed, self.trainer.current_epoch, batch_idx, self.trainer.global_rank])
        if batch_idx % self.trainer.accumulate_grad_batches == 0:
            self._finite.reset()
        return super().on_train_batch_start(batch, batch_idx)

    def on_train_start(self) -> None:
        super().on_train_start()
        with fsdp.gathered_weights(self):
            self._guard.start(self.trainer.global_step)  # a resumed training knows it only now

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["guard"] = self._guard.state_dict()
        if self._finite.found:
            checkpoint["not_finite"] = self._finite.found

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self._guard.load_state_dict(checkpoint.get("guard"))

    def on_fit_end(self) -> None:
        super().on_fit_end()
        with fsdp.gathered_weights(self):  # here, since a run that goes on with nothing left to train ends no training
            self._guard.check(self.trainer.global_step)

    # ---- evaluation

    def last_user_state(self, batch: Batch) -> Tensor:
        """``[B, dim]``, or ``[B, K, dim]``, the interest of each user after the last event, as it is compared."""
        held = self._evaluation
        x = held.items[batch.items]
        if "event" in self.fusion:
            x = self.fuse_events(*self.event_inputs(batch, x))
        z = functional_call(self.dynamics, held.weights["dynamics"], (x, to_float64(batch.dt), batch.mask))
        return self.normalize_for_similarity(z[torch.arange(len(z), device=z.device), batch.mask.sum(1) - 1])

    def fuse_events(self, streams: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """Events from their streams, as the fusion head of events has it in an evaluation."""
        given = {name: to_float64(s) for name, s in streams.items()}
        return functional_call(self.fusion["event"], self._evaluation.weights["fusion"], (given, present))

    def begin_evaluation(self, streams: Sequence[Stream]) -> Evaluation:
        """The catalogue and every value of some streams as the weights are by now, and those weights."""
        held = self._evaluation = Evaluation()
        held.values = {s.name: self.embed_values(s, np.arange(self.features[s.name].size)) for s in streams}
        catalogue = np.arange(len(self.log_q))
        stretches = np.array_split(catalogue, range(STRETCH, len(catalogue), STRETCH))
        held.items = to_float64(torch.cat([self.embed_items(stretch) for stretch in stretches]))
        held.catalogue = self.normalize_for_similarity(held.items)
        held.weights = {"dynamics": float64_weights(self.dynamics)}
        if "event" in self.fusion:
            held.weights["fusion"] = float64_weights(self.fusion["event"])
        return held

    def _start(self) -> None:
        self.places.reset()
        self.popular.reset()
        with fsdp.gathered_weights(self):
            self.begin_evaluation(self.streams)

    def _place(self, places: TargetRankMetric, batch: Batch, z: Tensor, table: Tensor) -> None:
        targets = batch.targets.max(1).values
        places.update(TargetRanks(batch.users, targets, *target_ranks(z, table, targets, batch.history_items)))

    def _report(self, part: str) -> None:
        measured = per_user_metrics(self.places.gather(), self.ks)
        self.log_dict({f"{part}/{name}": float(values.mean()) for name, values in measured.items()})
        self.intervals = {f"{part}/{name}": bootstrap_mean_interval(values) for name, values in measured.items()}
        self._evaluation = Evaluation()

    def on_validation_epoch_start(self) -> None:
        super().on_validation_epoch_start()
        self._start()

    def validation_step(self, batch: Batch) -> None:
        self._place(self.places, batch, self.last_user_state(batch), self._evaluation.catalogue)

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self._report("val")

    def on_test_epoch_start(self) -> None:
        super().on_test_epoch_start()
        self._start()

    def test_step(self, batch: Batch) -> None:
        self._place(self.places, batch, self.last_user_state(batch), self._evaluation.catalogue)
        often = torch.from_numpy(self.counts).float().to(self.device).unsqueeze(1)
        self._place(self.popular, batch, often.new_ones(len(batch.users), 1), often)

    def on_test_epoch_end(self) -> None:
        super().on_test_epoch_end()
        self._report("test")
        measured = per_user_metrics(self.popular.gather(), self.ks)
        self.popularity = {f"test/{name}": float(values.mean()) for name, values in measured.items()}

    def on_predict_epoch_start(self) -> None:
        super().on_predict_epoch_start()
        self._start()

    def on_predict_epoch_end(self) -> None:
        super().on_predict_epoch_end()
        self._evaluation = Evaluation()

    def predict_step(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Users ``[B]``, their best items ``[B, top_k]`` and the scores ``[B, top_k]``, best first."""
        return batch.users, *top_k_items(
            self.last_user_state(batch), self._evaluation.catalogue, batch.history_items, self.top_k
        )


def projection(out_dim: int, dim: int) -> nn.Module:
    """To the width of the model; nothing where an encoder has it already."""
    return nn.Identity() if out_dim == dim else nn.Linear(out_dim, dim)


def transposed(encoded: Mapping[str, tuple[Tensor, Tensor]]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Streams and their presence, as a fusion head takes them."""
    return {k: v for k, (v, _) in encoded.items()}, {k: p for k, (_, p) in encoded.items()}
