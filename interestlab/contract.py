"""The contract: all that a plugin author has to read.

A plugin is a class of one of five kinds, named by an entry point of the group ``interestlab.<kind>``:

=============  ==============================================================================
kind           the one method
=============  ==============================================================================
Encoder        ``forward(inputs) -> [U, out_dim]``: what an item or a text means
FusionHead     ``forward({stream: [..., D]}, present) -> [..., D]``: joins streams of one thing
Dynamics       ``forward(x, dt, mask) -> z`` and ``step``: how the interest moves
Objective      ``forward(step) -> loss``: what is learnt
Source         ``read() -> EventLog``: events and items, as Polars frames
=============  ==============================================================================

Constructor arguments are plain values (numbers, strings, lists, mappings) with types and an ``Args:`` section: from
those come the command line, its help, and the checkpoint that rebuilds the plugin by itself. Shapes are those of
:mod:`interestlab.batch`. ``interestlab.testing`` turns each promise below into a test.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from interestlab.batch import Inputs
from interestlab.registry import REGISTRIES
from interestlab.step import Step

State = Any
"""What a dynamics carries from event to event: a tensor, or a tuple, list or dict of tensors, batch first.

Stability: stable.
"""


class Plugin(ABC):
    """Remembers how it was built, so that plain values rebuild it.

    Stability: stable.
    """

    _init_args: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        bound = inspect.signature(cls.__init__).bind_partial(self, *args, **kwargs)
        init_args = dict(list(bound.arguments.items())[1:])
        init_args |= init_args.pop("kwargs", {})
        object.__setattr__(self, "_init_args", init_args)
        return self

    @property
    def spec(self) -> dict[str, Any]:
        """``{"class_path": ..., "init_args": {...}}``, the form that configs use and checkpoints keep."""
        return {"class_path": class_path(type(self)), "init_args": {k: to_plain(v) for k, v in self._init_args.items()}}


class Part(Plugin, LightningModule):
    """A plugin inside the model: a LightningModule whose hooks the model calls and whose logs go to the model's.

    Stability: stable.
    """

    def log(self, *args: Any, **kwargs: Any) -> None:
        """Log as the running model does; nothing happens outside a trainer."""
        if self._trainer is not None:
            self.trainer.lightning_module.log(*args, **kwargs)

    def penalty(self) -> Tensor | None:
        """A scalar that is added to the loss of each training step, such as a regulariser; None for none."""
        return None


@dataclass(frozen=True)
class FrozenTrunk:
    """The start of an encoder, up to which nothing is trained: a constant function of each value.

    Stability: provisional.

    Attributes:
        forward: the function: prepared rows of U values -> rows ``[U, L, *shape]`` and their lengths ``[U]``.
        key: names the function by all that decides its numbers (weights, depth).
        row_shape: of one of its rows.
        rows_per_value: how many rows a value has; None: as many as were prepared.
        cache_dtype: how rows are kept on disk: ``float32``, ``bfloat16``, or ``off``: they are computed anew each time.
    """

    forward: Callable[[Inputs], Inputs]
    key: str
    row_shape: tuple[int, ...]
    rows_per_value: int | None = None
    cache_dtype: Literal["float32", "bfloat16", "off"] = "float32"


class Encoder(Part):
    """What a value (a title, a review, an item's id) means, as a vector.

    The model calls :meth:`forward` with each distinct value once. An encoder without trainable parameters is a constant:
    its vectors are computed once and kept on disk. One that is constant up to some depth says so in :meth:`frozen_trunk`.

    Stability: stable.

    Attributes:
        fields: what it reads, one stream each: ``item.COLUMN`` says what an item is, and so what a candidate is;
            ``event.COLUMN`` only colours what happened. ``+`` joins the words of several columns of one side, as in
            ``item.title+item.brand``.
        out_dim: width of its vectors, known once :meth:`build` has run.
        preprocess_key: names the way in which :meth:`preprocess` reads a value (a tokenizer, a length); None for an encoder
            that reads the index of a value, not its words.
    """

    fields: Sequence[str]
    out_dim: int
    preprocess_key: str | None = None

    def build(self, cardinalities: Mapping[str, int], dim: int) -> None:
        """Make what depends on the data or on the model. Called once, right after construction.

        Args:
            cardinalities: number of distinct values of each field, ``item.id`` being the catalogue.
            dim: width of the model, for an encoder that has none of its own.
        """

    def preprocess(self, values: Sequence[str]) -> list[np.ndarray]:
        """Turn texts into rows of numbers (tokens), kept on disk: called once a value, only when ``preprocess_key`` is set.

        Returns:
            one array a value, ``[length, ...]``, all of one dtype; one of length 0 says that the value counts as missing.
        """
        raise TypeError(f"{type(self).__name__} sets preprocess_key without a preprocess method")

    @abstractmethod
    def forward(self, inputs: Inputs) -> Tensor:
        """``inputs`` of U distinct values -> ``[U, out_dim]``, each row a function of its own value alone."""

    def frozen_trunk(self) -> FrozenTrunk | None:
        """What of :meth:`forward` is constant by now; None where training reaches everything.

        Asked before each use: weights that were to be trained may be frozen for a while.

        Stability: provisional.
        """
        return None

    def forward_from_trunk(self, inputs: Inputs) -> Tensor:
        """The rest of :meth:`forward`: from what :meth:`frozen_trunk` gives -> ``[U, out_dim]``.

        Stability: provisional.
        """
        raise TypeError(f"{type(self).__name__} gives a frozen_trunk without a forward_from_trunk method")

    def parameter_groups(self) -> Mapping[Literal["pretrained", "peft"], Iterable[nn.Parameter]]:
        """Parameters with rates of their own: ``pretrained`` weights, and what fine-tuning (``peft``) added to them."""
        return {}

    def export(self, folder: Path, *, merged: bool) -> None:
        """Write what was learnt into a folder that other programs load.

        Stability: provisional.

        Args:
            folder: where to; it is there and empty.
            merged: the whole model with what was learnt inside of it, not what was learnt alone.

        Raises:
            ValueError: there is no such form of this encoder.
        """
        raise ValueError(f"{type(self).__name__} has no form that other programs load")


class FusionHead(Part):
    """Joins streams of the same thing (words, id, image, behaviour) into one vector. Its constructor takes ``dim``.

    Stability: stable.
    """

    dim: int

    @abstractmethod
    def build(self, streams: Sequence[str]) -> None:
        """Make the weights that belong to each stream. Called once, right after construction."""

    @abstractmethod
    def forward(self, streams: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """Join any non-empty subset of the streams.

        Args:
            streams: ``[..., D]`` of each stream that is given.
            present: ``[...]`` bool of each, False where the value is missing; what stands there must not matter.

        Returns:
            ``[..., D]``
        """


class Dynamics(Part):
    """How an interest moves from event to event. Its constructor takes ``dim``.

    Causal: ``z[:, t]`` depends on nothing after ``t``; nor does it depend on the padding.

    Stability: stable.

    Attributes:
        num_interests: how many interests K a user has at once. With more than one, every ``z`` here has an axis more, ``[B, T,
            K, D]`` and ``[B, K, D]``; the score of an item is then its best over the K, and in training the interest nearest to
            the target is the one that learns (ComiRec, arXiv 2005.09347). Provisional.
    """

    dim: int
    num_interests: int = 1

    @abstractmethod
    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        """Follow whole histories.

        Args:
            x: ``[B, T, D]`` the events.
            dt: ``[B, T]`` days since the previous event, 0 at the first.
            mask: ``[B, T]`` bool, True where an event is real; the padding is on the right.

        Returns:
            ``[B, T, D]`` the interest after each event.
        """

    @abstractmethod
    def init_state(self, batch_size: int) -> State:
        """The state before the first event, on the module's device and in its dtype."""

    @abstractmethod
    def step(self, state: State, x: Tensor, dt: Tensor) -> tuple[State, Tensor]:
        """The same function as :meth:`forward`, one event at a time: ``x [B, D]``, ``dt [B]`` -> state and ``z [B, D]``.

        The given state stays as it is.
        """

    @abstractmethod
    def readout(self, state: State) -> Tensor:
        """The interest ``[B, D]`` that a state stands for: after a step its ``z``, after :meth:`advance` where it went."""

    def advance(self, state: State, dt: Tensor) -> State:
        """Where the interest is after a silence of ``dt [B]`` days. It stands still unless a dynamics says otherwise.

        The given state stays as it is.
        """
        return state


class Objective(Plugin, nn.Module):
    """What is learnt: the model's objective, or a term that is added to it with a weight.

    Stability: provisional.

    Attributes:
        candidates: ``batch`` (the items of the batch, encoded already) or ``catalogue`` (every item, encoded each step), at
            least: the objectives of a model share what the most demanding of them asks.
        num_sampled: how many items, drawn evenly from the catalogue at each step, join those of the batch.
        fields: fields of the items whose codes it reads in ``step.candidates.field_codes``, such as ``item.category``.
        auxiliary: True for a term that does not teach a model to rank by itself.
    """

    candidates: Literal["batch", "catalogue"] = "batch"
    num_sampled: int = 0
    fields: Sequence[str] = ()
    auxiliary: ClassVar[bool] = False

    @abstractmethod
    def forward(self, step: Step) -> Tensor:
        """The loss, a scalar: the mean over the positions of ``step.user_states [B, T, D]`` that have a target.

        ``step.target_mask`` says which do.
        """

    def probability(self, score: Tensor) -> Tensor:
        """How probable it is that an item of some score is wanted: scores of any shape -> values of that shape in (0, 1).

        Raises:
            ValueError: scores of this objective order items and mean nothing more.
        """
        raise ValueError(f"{type(self).__name__} orders items and gives no probability; train with `interest`, which does")


@dataclass(frozen=True)
class EventLog:
    """What a source gives: lazy frames in the common schema.

    Rows need not be right: the data layer checks types, ids and times, and puts each bad row in quarantine with its
    file, line and reason. A source therefore hands on what it read, and in ``rejected`` only what it could not parse.

    Stability: stable.

    Attributes:
        events: ``user_id``, ``item_id``, ``timestamp`` (unix seconds), and where known ``event`` (view, cart, favorite,
            purchase, review), ``rating``, ``text`` (the user's own words), ``position`` (the order of publication);
            any further column becomes a field ``event.COLUMN``. ``file`` and ``line`` (from 1), where given, tell
            where a row came from.
        items: ``item_id``, and where known ``title``, ``description``, ``brand``, ``category``, ``price``; further
            columns become fields ``item.COLUMN``. None: the items are those of the events, without words.
        rejected: ``file``, ``line``, ``reason`` of each line that could not be parsed.
        truth: what was planted, for a simulated log.
    """

    events: pl.LazyFrame
    items: pl.LazyFrame | None = None
    rejected: pl.LazyFrame | None = None
    truth: pl.LazyFrame | None = None


class Source(Plugin):
    """Where events come from.

    Stability: stable.

    Attributes:
        version: raise it when the same files would read differently, so that no store of the old reading is met.
    """

    version: ClassVar[int] = 1

    def files(self) -> list[Path]:
        """Every file that :meth:`read` will read; their contents name the store that is built from them."""
        return []

    @abstractmethod
    def read(self) -> EventLog:
        """The events and items, as they are found.

        Raises:
            DataError: a file is missing or is not of the form that this source reads.
        """


def class_path(cls: type) -> str:
    """The path that rebuilds ``cls``: by plugin name where it was loaded by name, else by its own module.

    Stability: internal.
    """
    for registry in REGISTRIES.values():
        if path := registry.path(cls):
            return path
    return f"{cls.__module__}.{cls.__qualname__}"


def to_plain(value: Any) -> Any:
    """A constructor argument as plain values, plugins among it as their specs.

    Stability: internal.
    """
    if isinstance(value, Plugin):
        return value.spec
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    return value
