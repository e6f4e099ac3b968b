"""A trained model in Python: whom it is asked about need not be in its data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import torch
from torch import Tensor

from interestlab.contract import State
from interestlab.data.datamodule import InterestData
from interestlab.errors import DataError
from interestlab.inference.featurize import Event, EventFeaturizer, Moment, seconds
from interestlab.model.frozen import embed_all_values, freeze
from interestlab.training.lightning_module import InterestModel
from interestlab.utils.argument_checks import require_at_least

DAY = 86_400.0


@dataclass(frozen=True)
class UserState:
    """Where a user stands after some events. Never changed: :meth:`Recommender.update` makes another.

    Stability: provisional.

    Attributes:
        dynamics_state: what the dynamics carries from event to event.
        last_time: of the last event that told one, unix seconds.
        history_items: the items of the catalogue met so far.
        num_events: how many were followed.
    """

    dynamics_state: State
    last_time: int | None = None
    history_items: tuple[int, ...] = ()
    num_events: int = 0


class Recommender:
    """A trained model, to be asked about any history.

    An **event** is a mapping of what is known of it: ``item_id``, the columns of the item (``title``, ``brand``, ...) where
    it is not in the catalogue, or ``words`` for all of its texts at once; ``timestamp`` (unix seconds, or a ``datetime``),
    and columns of the event (``text``, ``event``, ``rating``, ...) where the model reads them. What is left out counts as
    missing. A key that the log does not know is an error. A history is in the order of its events; without times, no time
    passes.

    Stability: provisional.

    Args:
        model: trained, and attached to ``data``.
        data: the catalogue that it was trained on.
    """

    def __init__(self, model: InterestModel, data: InterestData) -> None:
        self.model, self.data = model.eval(), data
        backbone = model.backbone
        # Only the catalogue is encoded: the values of events come with the events that are asked about.
        self.frozen = freeze(backbone, embed_all_values(backbone, backbone.item_streams))
        self._featurizer = EventFeaturizer(backbone, self.frozen, data)

    @torch.no_grad()
    def state(self, history: Sequence[Event]) -> UserState:
        """Where a user stands after a history, of which the last ``max_history`` events of training are read.

        A plain string is an item's id.

        Raises:
            DataError: an event names nothing that the model can read.
        """
        return self._start(self._featurizer.mappings(history, "item_id"))

    @torch.no_grad()
    def update(self, state: UserState, event: Event) -> UserState:
        """Where the user stands after one event more, at the cost of one step of the dynamics.

        Raises:
            DataError: the event names nothing that the model can read.
        """
        return self._follow(state, self._featurizer.mappings([event], "item_id"))

    @torch.no_grad()
    def recommend(self, history: Sequence[Event] | UserState, k: int = 10, at: Moment | None = None) -> pl.DataFrame:
        """The ``k`` items that the user wants most, as ``interestlab predict`` ranks them.

        Args:
            history: events, or the state after them; a plain string is an item's id.
            k: how many.
            at: the moment that is asked about; by default that of the last event.

        Returns:
            ``rank`` (from 1), ``item_id`` and ``score``, best first. Items of the history are left out where the model was
            measured so (``data.exclude_history``).

        Raises:
            DataError: an event names nothing that the model can read.
            ValueError: ``k`` is not positive.
        """
        require_at_least(1, k=k)
        state = history if isinstance(history, UserState) else self.state(history)
        seen = state.history_items if self.data.exclude_history else ()
        items, scores = self.frozen.top_k(self._interest(state, at), torch.tensor([seen], dtype=torch.int64), k)
        found = scores[0].isfinite()
        ids = self.data.log.items["item_id"].gather(items[0][found].tolist())
        columns = {"rank": range(1, len(ids) + 1), "item_id": ids, "score": scores[0][found].tolist()}
        return pl.DataFrame(columns, {"rank": pl.Int64, "item_id": pl.String, "score": pl.Float64})

    @torch.no_grad()
    def predict_interest(self, history: Sequence[Event] | UserState, candidate: Event, at: Moment | None = None) -> float:
        """The probability that a user of this history wants this item.

        Args:
            history: events, or the state after them; a plain string is words, for each text that the model reads of an item.
            candidate: an item, or its words; it need not be in the catalogue.
            at: the moment that is asked about; by default that of the last event.

        Raises:
            DataError: the model was trained with an objective that gives no probability, or can read nothing of an event.
        """
        state = history if isinstance(history, UserState) else self._start(self._featurizer.mappings(history, "words"))
        item = self.frozen.normalize(self._featurizer.items(self._featurizer.mappings([candidate], "words")))
        score = self.frozen.score(self._interest(state, at), item)[0, 0]
        try:
            return float(self.model.objective.probability(score.float()))
        except ValueError as err:
            raise DataError(f"{err}.") from err

    def _start(self, history: Sequence[Mapping[str, Any]]) -> UserState:
        """The state after the events that training would have read; of those before them, what an evaluation knows."""
        cut = max(len(history) - self.data.max_history, 0)
        time: int | None = None
        seen: tuple[int, ...] = ()
        for event in history[:cut]:
            time, seen = self._met(event, time, seen)
        return self._follow(UserState(self.frozen.init_state(1), time, seen), history[cut:])

    def _follow(self, state: UserState, events: Sequence[Mapping[str, Any]]) -> UserState:
        if not events:
            return state
        held, time, seen = state.dynamics_state, state.last_time, state.history_items
        for count, (event, x) in enumerate(zip(events, self._featurizer.events(events, time), strict=True), state.num_events):
            before = time
            time, seen = self._met(event, time, seen)
            # The first event that is followed has none before it, though the user may have had.
            passed = max(time - before, 0) if count and time is not None and before is not None else 0
            held, _ = self.frozen.step(held, x.unsqueeze(0), x.new_tensor([passed / DAY]))
        return UserState(held, time, seen, state.num_events + len(events))

    def _met(self, event: Mapping[str, Any], time: int | None, seen: tuple[int, ...]) -> tuple[int | None, tuple[int, ...]]:
        """The last time that is known, and the items met, after an event more."""
        now, index = seconds(event.get("timestamp")), self._featurizer.index(event)
        return (time if now is None else now), (seen if index is None else (*seen, index))

    def _interest(self, state: UserState, at: Moment | None) -> Tensor:
        if not state.num_events:
            raise DataError("the history is empty, so nothing is known of this user; give an event at least.")
        held, moment = state.dynamics_state, seconds(at)
        if moment is not None and state.last_time is not None:
            dt = self.frozen.catalogue.new_tensor([max(moment - state.last_time, 0.0) / DAY])
            held = self.frozen.advance(held, dt)
        return self.frozen.normalize(self.frozen.readout(held))
