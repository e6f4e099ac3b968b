"""Recommend items to any history by a trained model. Neither the user nor the items need to be in its data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import torch
from torch import Tensor

from interestlab.contract import State
from interestlab.data.datamodule import InterestData
from interestlab.errors import DataError
from interestlab.inference.featurize import Event, EventFeaturizer, Moment, to_unix_seconds
from interestlab.model.frozen import embed_all_values
from interestlab.training.lightning_module import InterestModel
from interestlab.utils.argument_checks import require_at_least

DAY = 86_400.0


@dataclass(frozen=True)
class UserState:
    """The state of a user after some events. It never changes: :meth:`Recommender.update` returns another.

    Stability: provisional.

    Attributes:
        dynamics_state: state of the dynamics.
        last_time: unix seconds of the last event with a timestamp.
        history_items: indices of the catalogue items so far.
        num_events: number of events that the dynamics has followed.
    """

    dynamics_state: State
    last_time: int | None = None
    history_items: tuple[int, ...] = ()
    num_events: int = 0


class Recommender:
    """A trained model that recommends for any history.

    An **event** is a mapping of what is known about it: ``item_id``; the columns of an item outside of the catalogue
    (``title``, ``brand``, ...), or ``words`` for all of its texts at once; ``timestamp`` (unix seconds, or a ``datetime``);
    columns of the event (``text``, ``event``, ``rating``, ...) that the model reads. Absent keys count as missing values. A
    key that is not a column of the log is an error. A history is a list of events in order; without timestamps no time passes
    between them.

    Stability: provisional.

    Args:
        model: trained, and attached to ``data``.
        data: the log that it was trained on.

    Attributes:
        frozen: the frozen model.
    """

    def __init__(self, model: InterestModel, data: InterestData) -> None:
        self.model, self.data = model.eval(), data
        backbone = model.backbone
        # The values of event streams arrive with the events, so only the catalogue is encoded here.
        self.frozen = model.freeze_catalogue(embed_all_values(backbone, backbone.item_streams))
        self._featurizer = EventFeaturizer(backbone, self.frozen, data)

    @torch.no_grad()
    def state(self, history: Sequence[Event]) -> UserState:
        """Compute the state of a user after the last ``max_history`` events of a history, as in training.

        Args:
            history: events in order; a plain string is an item's id.

        Raises:
            DataError: an event has an unknown key, or nothing that the model can read.
        """
        return self._start(self._featurizer.parse_events(history, "item_id"))

    @torch.no_grad()
    def update(self, state: UserState, event: Event) -> UserState:
        """Compute the state of a user after one more event, at the cost of one step of the dynamics.

        Args:
            state: the state before the event; it is not changed.
            event: the event; a plain string is an item's id.

        Raises:
            DataError: the event has an unknown key, or nothing that the model can read.
        """
        return self._follow(state, self._featurizer.parse_events([event], "item_id"))

    @torch.no_grad()
    def recommend(self, history: Sequence[Event] | UserState, k: int = 10, at: Moment | None = None) -> pl.DataFrame:
        """Recommend the ``k`` items with the highest scores, as ``interestlab predict`` ranks them.

        Args:
            history: events, or the state after them; a plain string is an item's id.
            k: number of items.
            at: time of the recommendation; None: that of the last event.

        Returns:
            ``rank`` (from 1), ``item_id`` and ``score``, best first. Items of the history are excluded if they were excluded
            when the model was evaluated (``data.exclude_history``).

        Raises:
            DataError: an event has an unknown key, or nothing that the model can read.
            ValueError: ``k`` is not positive.
        """
        require_at_least(1, k=k)
        state = history if isinstance(history, UserState) else self.state(history)
        excluded = state.history_items if self.data.exclude_history else ()
        items, scores = self.frozen.top_k(self._interest(state, at), torch.tensor([excluded], dtype=torch.int64), k)
        ranked = scores[0].isfinite()
        ids = self.data.catalogue["item_id"].gather(items[0][ranked].tolist())
        columns = {"rank": range(1, len(ids) + 1), "item_id": ids, "score": scores[0][ranked].tolist()}
        return pl.DataFrame(columns, {"rank": pl.Int64, "item_id": pl.String, "score": pl.Float64})

    @torch.no_grad()
    def predict_interest(self, history: Sequence[Event] | UserState, candidate: Event, at: Moment | None = None) -> float:
        """Predict the probability that a user wants an item.

        Args:
            history: events, or the state after them; a plain string is used for every item text that the model reads.
            candidate: an item, or its words; it need not be in the catalogue.
            at: time of the prediction; None: that of the last event.

        Raises:
            DataError: the model's objective gives no probability, or an event has nothing that the model can read.
        """
        state = history if isinstance(history, UserState) else self._start(self._featurizer.parse_events(history, "words"))
        item = self.frozen.normalize(self._featurizer.embed_items(self._featurizer.parse_events([candidate], "words")))
        score = self.frozen.score(self._interest(state, at), item)[0, 0]
        try:
            return float(self.model.objective.probability(score.float()))
        except ValueError as err:
            raise DataError(f"{err}.") from err

    def _start(self, history: Sequence[Mapping[str, Any]]) -> UserState:
        """Follow the events that training reads; earlier ones count for the last time and the items of the history alone."""
        first = max(len(history) - self.data.max_history, 0)
        time: int | None = None
        items: tuple[int, ...] = ()
        for event in history[:first]:
            time, items = self._record(event, time, items)
        return self._follow(UserState(self.frozen.init_state(1), time, items), history[first:])

    def _follow(self, state: UserState, events: Sequence[Mapping[str, Any]]) -> UserState:
        if not events:
            return state
        dynamics_state, time, items = state.dynamics_state, state.last_time, state.history_items
        embeddings = self._featurizer.embed_events(events, time)
        for count, (event, x) in enumerate(zip(events, embeddings, strict=True), state.num_events):
            before = time
            time, items = self._record(event, time, items)
            # In training the first event that is read has no time before it, whatever the user did earlier.
            elapsed = max(time - before, 0) if count and time is not None and before is not None else 0
            dynamics_state, _ = self.frozen.step(dynamics_state, x.unsqueeze(0), x.new_tensor([elapsed / DAY]))
        return UserState(dynamics_state, time, items, state.num_events + len(events))

    def _record(self, event: Mapping[str, Any], time: int | None, items: tuple[int, ...]) -> tuple[int | None, tuple[int, ...]]:
        """Return the last known time, and the items of the history, after one more event."""
        now, index = to_unix_seconds(event.get("timestamp")), self._featurizer.find_item(event)
        return (time if now is None else now), (items if index is None else (*items, index))

    def _interest(self, state: UserState, at: Moment | None) -> Tensor:
        if not state.num_events:
            raise DataError("the history is empty, so nothing is known about this user; give at least one event.")
        dynamics_state, now = state.dynamics_state, to_unix_seconds(at)
        if now is not None and state.last_time is not None:
            dt = self.frozen.catalogue.new_tensor([max(now - state.last_time, 0.0) / DAY])
            dynamics_state = self.frozen.advance(dynamics_state, dt)
        return self.frozen.normalize(self.frozen.readout(dynamics_state))
