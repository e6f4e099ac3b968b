"""The contract between the core and its plugins: the base classes that a plugin author subclasses.

A plugin is a class of one of five kinds, with a name in the entry-point group ``interestlab.<kind>``:

=============  ==============================================================================
kind           main method
=============  ==============================================================================
Encoder        ``forward(inputs) -> [U, out_dim]``: embeds items or texts
FusionHead     ``forward({stream: [..., D]}, present) -> [..., D]``: fuses streams
Dynamics       ``forward(x, dt, mask) -> z`` and ``step``: updates the user state
Objective      ``forward(step) -> loss``: a term of the loss
Source         ``read() -> EventLog``: events and items as Polars frames
=============  ==============================================================================

Constructor arguments are plain values (numbers, strings, lists, mappings) with types and an
``Args:`` section. The command line, its help and the checkpoint that rebuilds the plugin are made from them. Shapes are
those of :mod:`interestlab.batch`. ``interestlab.testing`` has a test for each requirement below.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from interestlab._event_log import EventLog as EventLog
from interestlab._frozen_trunk import FrozenTrunk as FrozenTrunk
from interestlab._plugin import ParameterGroup as ParameterGroup
from interestlab._plugin import Plugin as Plugin
from interestlab._plugin import class_path as class_path
from interestlab._plugin import to_plain as to_plain
from interestlab.batch import Inputs
from interestlab.step import Step

State = Any
"""What a dynamics stores between events: a tensor, or a tuple, list or dict of tensors, batch first.

Stability: stable.
"""


class Part(Plugin, LightningModule):
    """A plugin inside the model: a LightningModule whose hooks the model calls and whose values the model logs.

    Stability: stable.
    """

    def log(self, *args: Any, **kwargs: Any) -> None:
        """Log a value through the model; nothing happens outside of a trainer."""
        if self._trainer is not None:
            self.trainer.lightning_module.log(*args, **kwargs)

    def parameter_groups(self) -> Mapping[ParameterGroup, Iterable[nn.Parameter]]:
        """Return the parameters with learning rates of their own. All others train at the learning rate of the model.

        ``pretrained`` are weights of a pretrained model, ``peft`` those that fine-tuning adds to them. ``gains`` are numbers,
        mapped by a sigmoid or softplus, that set how fast the user state changes; they need larger steps than matrices.
        """
        return {}

    def penalty(self) -> Tensor | None:
        """Return a scalar that is added to the loss of each training step, such as a regulariser; None for none."""
        return None


class Encoder(Part):
    """Embeds the values of a field: titles, reviews, item ids.

    The model calls :meth:`forward` with each distinct value once per step. The embeddings of an encoder without trainable
    parameters are computed once and stored on disk. An encoder whose first layers are frozen returns them in
    :meth:`frozen_trunk`, and their output is stored instead.

    Stability: stable.

    Attributes:
        fields: the fields that it reads, one stream each: ``item.COLUMN`` describes an item, and so a candidate;
            ``event.COLUMN`` describes an event only. ``+`` joins the texts of several columns of one side, as in
            ``item.title+item.brand``.
        out_dim: width of its embeddings, set by the time :meth:`build` returns.
        preprocess_key: identifies everything that the output of :meth:`preprocess` depends on (a tokenizer, a length); None for
            an encoder that reads the index of a value, not its text.
        whiten: whether the model maps the embeddings to its width by PCA and scales each component to variance 1 over the
            distinct values of the fields, instead of by a learnt layer. Provisional.
        min_count: a value of an item field counts as missing if the items that have it occur in fewer training events than
            this. The embedding of a value without training then affects no result. Provisional.
        is_lookup: whether :meth:`forward` only reads rows of a table, so that many more values fit into one call. Provisional.
    """

    fields: Sequence[str]
    out_dim: int
    preprocess_key: str | None = None
    whiten: bool = False
    min_count: int = 0
    is_lookup: bool = False

    def build(self, cardinalities: Mapping[str, int], dim: int) -> None:
        """Create what depends on the data or on the model. Called once, right after construction.

        Args:
            cardinalities: number of distinct values of each field, ``item.id`` being the catalogue.
            dim: width of the model, for an encoder without a width of its own.
        """

    def preprocess(self, values: Sequence[str]) -> list[np.ndarray]:
        """Convert texts to rows of numbers (tokens), which are stored on disk.

        Called once per value, if ``preprocess_key`` is set.

        Args:
            values: distinct values of a field.

        Returns:
            One array ``[length, ...]`` per value, all of one dtype; a value with an array of length 0 counts as missing.
        """
        raise TypeError(f"{type(self).__name__} sets preprocess_key but has no preprocess method")

    @abstractmethod
    def forward(self, inputs: Inputs) -> Tensor:
        """Embed values. Each embedding depends on its own value alone.

        Args:
            inputs: U distinct values.

        Returns:
            ``[U, out_dim]``
        """

    def frozen_trunk(self) -> FrozenTrunk | None:
        """Return the first layers of :meth:`forward` if they are currently frozen, else None.

        Called before each use, since weights may be frozen or unfrozen during training.

        Stability: provisional.
        """
        return None

    def forward_from_trunk(self, inputs: Inputs) -> Tensor:
        """Run the layers of :meth:`forward` above the frozen trunk.

        Stability: provisional.

        Args:
            inputs: output of the trunk, ``[U, L, *row_shape]``, and its lengths ``[U]``.

        Returns:
            ``[U, out_dim]``
        """
        raise TypeError(f"{type(self).__name__} has a frozen_trunk method but no forward_from_trunk method")

    def export(self, folder: Path, *, merged: bool) -> None:
        """Write the trained weights in a format that other programs can load.

        Stability: provisional.

        Args:
            folder: an empty folder.
            merged: whether to write a full model with the trained weights merged into it, instead of these weights alone.

        Raises:
            ValueError: there is no such format for this encoder.
        """
        raise ValueError(f"{type(self).__name__} cannot be exported to other programs")


class FusionHead(Part):
    """Fuses the streams of one item or event (words, id, image, behaviour) into one embedding. Its constructor takes ``dim``.

    Stability: stable.
    """

    dim: int

    @abstractmethod
    def build(self, streams: Sequence[str]) -> None:
        """Create the weights of each stream. Called once, right after construction.

        Args:
            streams: names of the streams.
        """

    @abstractmethod
    def forward(self, streams: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """Fuse any non-empty subset of the streams.

        Args:
            streams: by name, embeddings ``[..., D]``.
            present: by name, ``[...]`` bool, False where a value is missing; the output must not depend on its embedding.

        Returns:
            ``[..., D]``
        """


class Dynamics(Part):
    """Updates the user state from event to event. Its constructor takes ``dim``.

    It is causal: ``z[:, t]`` depends neither on later events nor on the padding.

    Stability: stable.

    Attributes:
        num_interests: number K of vectors in a user state. If K > 1, every ``z`` below has one more axis, ``[B, T, K, D]`` and
            ``[B, K, D]``. The score of an item is then its best over the K vectors, called interests, and only the one
            nearest to the target is trained (ComiRec, arXiv 2005.09347). Provisional.
    """

    dim: int
    num_interests: int = 1

    @abstractmethod
    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        """Compute the user state after each event of complete histories.

        Args:
            x: ``[B, T, D]`` embeddings of the events.
            dt: ``[B, T]`` days since the previous event, 0 at the first.
            mask: ``[B, T]`` bool, True where an event is real; the padding is on the right.

        Returns:
            ``[B, T, D]`` user state ``z`` after each event.
        """

    @abstractmethod
    def init_state(self, batch_size: int) -> State:
        """Return the state before the first event, on the module's device and in its dtype.

        Args:
            batch_size: number of users B.
        """

    @abstractmethod
    def step(self, state: State, x: Tensor, dt: Tensor) -> tuple[State, Tensor]:
        """Process one event of each user. It computes the same function as :meth:`forward`.

        Args:
            state: before the event; it must not be changed.
            x: ``[B, D]`` embedding of the event.
            dt: ``[B]`` days since the previous event.

        Returns:
            The state after the event, and the user state ``z [B, D]``.
        """

    @abstractmethod
    def readout(self, state: State) -> Tensor:
        """Return the user state ``z [B, D]`` that follows from a state.

        After :meth:`step` it equals the returned ``z``; after :meth:`advance` it is that of the later time.

        Args:
            state: state of B users.
        """

    def advance(self, state: State, dt: Tensor) -> State:
        """Let time pass without an event. By default nothing changes.

        Args:
            state: state of B users; it must not be changed.
            dt: ``[B]`` days.

        Returns:
            The state after that time.
        """
        return state


class Objective(Plugin, nn.Module):
    """A term of the loss: the main one of a model, or an auxiliary one that is added with a weight.

    Stability: provisional.

    Attributes:
        candidates: the candidates that it needs at least: ``batch`` (the items of the batch) or ``catalogue`` (every item,
            encoded in each step). All objectives of a model share the candidates of the most demanding one.
        num_sampled: number of items that are sampled uniformly from the catalogue in each step and join those of the batch.
        fields: item fields whose codes it reads in ``step.candidates.field_codes``, such as ``item.category``.
        auxiliary: True for a term that cannot train a model to rank on its own.
    """

    candidates: Literal["batch", "catalogue"] = "batch"
    num_sampled: int = 0
    fields: Sequence[str] = ()
    auxiliary: ClassVar[bool] = False

    @abstractmethod
    def forward(self, step: Step) -> Tensor:
        """Compute the loss, a scalar: the mean over the positions with a target (``step.target_mask``).

        Args:
            step: the training step.
        """

    def probability(self, score: Tensor) -> Tensor:
        """Return the probability that a user wants an item with a score.

        Args:
            score: scores of any shape.

        Returns:
            Values in (0, 1) of the same shape.

        Raises:
            ValueError: the scores of this objective only rank items.
        """
        raise ValueError(
            f"{type(self).__name__} only ranks items and gives no probability; train with the objective `interest`"
        )


class Source(Plugin):
    """Reads events and items.

    Stability: stable.

    Attributes:
        version: increase it when the code reads the same files differently, so that older stores are not reused.
    """

    version: ClassVar[int] = 1

    def files(self) -> list[Path]:
        """Return every file that :meth:`read` will read. The store is named after their contents."""
        return []

    @abstractmethod
    def read(self) -> EventLog:
        """Read the events and items.

        Raises:
            DataError: a file is missing, or does not have the format that this source reads.
        """
