"""The server without HTTP: events in, states moved and stored, lists out."""

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from interestlab.data.dataset import DAY
from interestlab.errors import DataError
from interestlab.serving.exploration import explore, uniform_draw
from interestlab.serving.index import EXACT_UP_TO, MEASURED_USERS, Index, Ranked, choose_index
from interestlab.serving.messages import (
    EVENT_DECODER,
    ITEM_DECODER,
    Basis,
    Event,
    EventResult,
    ImaginedEvent,
    ItemResult,
    ItemWords,
    ModelInfo,
    RankedItem,
    Recommendations,
    Status,
    UserInfo,
    WhatIf,
    WhatIfResult,
    event_body,
    item_body,
)
from interestlab.serving.metrics import Metrics
from interestlab.serving.served_model import ServedModel
from interestlab.serving.store import Store, StoredEvent, StoredState
from interestlab.serving.users import Step, User, Users

MAX_ID = 200
USERS_PER_BUILD = 512


class ConflictError(DataError):
    """Something of this id exists already, and differs."""


class NotFoundError(DataError):
    """There is nothing of this id."""


@dataclass(frozen=True)
class Settings:
    """How a core answers.

    Attributes:
        exact_up_to: catalogues up to this size are searched exactly.
        log_exposure: whether lists that were shown are logged.
        explore: probability of a random item in each place of a list.
        seed: seed of this randomness; None: of the operating system.
    """

    exact_up_to: int = EXACT_UP_TO
    log_exposure: bool = False
    explore: float = 0.0
    seed: int | None = None


class Served(NamedTuple):
    """A model with its users and its index; a swap replaces all three at once.

    Attributes:
        model: the model.
        users: the users, as this model reads them.
        item_index: finds items.
        index_note: which index was chosen, and why.
    """

    model: ServedModel
    users: Users
    item_index: Index
    index_note: str


class Question(NamedTuple):
    """A list that is asked for.

    Attributes:
        user_id: for whom.
        k: number of items.
        at: unix seconds of the recommendation; None: of the user's last event.
        words: what is known of a user without events.
    """

    user_id: str
    k: int
    at: float | None = None
    words: str | None = None


class Choice(NamedTuple):
    """The best items for a user.

    Attributes:
        basis: what decided.
        ranked: the items, best first.
        score: returns the score of any item, by its position.
    """

    basis: Basis
    ranked: Ranked
    score: Callable[[int], float]


class Core:
    """Applies events and answers questions. One thread at a time may call it.

    Args:
        model: the model to serve first.
        store: the log and the states.
        settings: how it answers.
        metrics: where it counts.
    """

    def __init__(
        self,
        model: ServedModel,
        store: Store,
        settings: Settings = Settings(),
        metrics: Metrics | None = None,
    ) -> None:
        self.store, self.settings, self.metrics = store, settings, metrics or Metrics()
        self._random = random.Random(settings.seed)
        self._changed: set[str] | None = None
        self.served = self.prepare(model, store)
        self.switch_to(self.served)

    # ---- models

    def prepare(self, model: ServedModel, store: Store) -> Served:
        """Make a model ready: read the items that were added, and choose an index by real user states.

        It changes nothing that is served, so it may run beside other calls if it has a store of its own, after
        :meth:`watch_changes`.

        Args:
            model: the model.
            store: the log and the states.
        """
        add_stored_items(model, store)
        users = Users(model, store)
        sample = [user for user in users.load(store.latest_users(MEASURED_USERS)).values() if user.is_known]
        vectors = user_vectors(model, [user.state for user in sample]) if sample else None
        return Served(model, users, *choose_index(model.items, vectors, self.settings.exact_up_to))

    def build_states(self) -> None:
        """Build the states of all users from the log, so that none is built within a request."""
        model, users = self.served.model, self.served.users
        if not model.stepper.stores_states:
            return
        counts = sorted(self.store.all_counts().items(), key=lambda entry: entry[1])  # those of one length share their batches
        for first in range(0, len(counts), USERS_PER_BUILD):
            states = users.rebuild(dict(counts[first : first + USERS_PER_BUILD]))
            with self.store.transaction():
                self.store.put_states(model.version, states)

    def watch_changes(self) -> None:
        """Remember from now on which users change, so that what :meth:`prepare` read of them is not used."""
        self._changed = set()

    def forget_changes(self) -> None:
        """End :meth:`watch_changes`, since the model that was prepared is not served."""
        self._changed = None

    def switch_to(self, served: Served) -> None:
        """Serve a model from the next call on.

        Args:
            served: the model, from :meth:`prepare`.
        """
        model = served.model
        for position in add_stored_items(model, self.store):
            served.item_index.add(position)
        with self.store.transaction():
            self.store.serve_model(model.version, model.stepper.header, str(model.run))
            for position in range(model.items.num_trained, len(model.items)):
                self.store.put_vector(model.version, model.items.ids[position], model.items.vectors[position].numpy().tobytes())
        for user_id in self._changed or ():
            served.users.forget(user_id)
        self._changed = None
        served.users.store = self.store
        self.served = served
        self.metrics.set_model(model.version, served.item_index.name, served.item_index.recall)

    def describe_model(self) -> ModelInfo:
        """Describe the model that is served."""
        model, index = self.served.model, self.served.item_index
        return ModelInfo(model.version, str(model.run), index.name, index.recall)

    # ---- events

    def apply(self, events: Sequence[Event]) -> list[EventResult]:
        """Apply events: log them, move the states, and commit both, before anything is answered.

        Args:
            events: events of different users and with different ids.

        Raises:
            DataError: the store cannot be written; nothing was applied.
        """
        model, users = self.served.model, self.served.users
        with self.metrics.time("load"):
            bodies = {event.event_id: event_body(event) for event in events}
            stored = self.store.find_bodies(list(bodies))
            loaded = users.load(event.user_id.strip() for event in events)
        results: dict[str, EventResult] = {}
        steps: dict[str, tuple[Event, Step]] = {}
        for event in events:
            user_id = event.user_id.strip()
            if event.event_id in stored:
                same = stored[event.event_id] == bodies[event.event_id]
                status: Status = "duplicate" if same else "conflict"
                error = None if same else "there is another event of this event_id"
                results[event.event_id] = EventResult(event.event_id, status, error)
                continue
            try:
                steps[user_id] = event, self._read(event, user_id, loaded[user_id])
            except NotFoundError as err:
                results[event.event_id] = EventResult(event.event_id, "unknown_item", str(err))
            except DataError as err:
                results[event.event_id] = EventResult(event.event_id, "invalid", str(err))
        if steps:
            self.metrics.batch_size.observe(len(steps))
            with self.metrics.time("step"):
                after = dict(zip(steps, users.follow([step for _, step in steps.values()]), strict=True))
            with self.metrics.time("commit"), self.store.transaction():
                self.store.add_events(
                    StoredEvent(e.event_id, user, step.state.num_events, step.time, e.item_id.strip(), bodies[e.event_id])
                    for user, (e, step) in steps.items()
                )
                if model.stepper.stores_states:
                    self.store.put_states(model.version, after)
            for user_id, (event, step) in steps.items():
                is_late = step.state.last_time is not None and step.time < step.state.last_time
                results[event.event_id] = EventResult(event.event_id, "late" if is_late else "applied")
                self._move(user_id, loaded[user_id], step, after[user_id])
        for result in results.values():
            self.metrics.events.labels(result.status).inc()
        self._answer_events(events, results)
        return [results[event.event_id] for event in events]

    def _read(self, event: Event, user_id: str, user: User) -> Step:
        model, users = self.served.model, self.served.users
        clean_id(user_id)
        position = model.items.find(event.item_id)
        if position is None:
            raise NotFoundError("the model has no item of this item_id; add it with PUT /v1/items/{item_id}.")
        state = users.before_next(user_id, user)
        return Step(state, position, int(event.timestamp), model.reader.embed(event, state.last_time))

    def _move(self, user_id: str, user: User, step: Step, after: StoredState) -> None:
        """Remember the state after an event that was committed."""
        assert step.position is not None
        if user.shown:
            self.metrics.hits.labels("yes" if step.position in user.shown else "no").inc()
        user.state, user.shown = after, ()
        user.history.add(step.position)
        self.served.users.keep(user_id, user)
        self._note_change(user_id)

    def _note_change(self, user_id: str) -> None:
        if self._changed is not None:
            self._changed.add(user_id)

    def _answer_events(self, events: Sequence[Event], results: Mapping[str, EventResult]) -> None:
        asking = [event for event in events if event.k and results[event.event_id].status in ("applied", "late", "duplicate")]
        questions = [Question(event.user_id.strip(), event.k or 0) for event in asking]
        for event, answer in zip(asking, self.recommend(questions), strict=True):
            results[event.event_id].recommendations = answer

    # ---- lists

    def recommend(self, questions: Sequence[Question]) -> list[Recommendations]:
        """Recommend items.

        Args:
            questions: the lists that are asked for.

        """
        if not questions:
            return []
        questions = [question._replace(user_id=clean_id(question.user_id)) for question in questions]
        with self.metrics.time("rank"):
            users = self.served.users.load(question.user_id for question in questions)
            choices = self._rank([(question, users[question.user_id]) for question in questions])
        answers = []
        for question, choice in zip(questions, choices, strict=True):
            user = users[question.user_id]
            items = self._explored(choice, question.k, user) if self.settings.explore else self._as_items(choice)
            user.shown = tuple(self.served.model.items.positions[item.item_id] for item in items)
            answers.append(Recommendations(question.user_id, choice.basis, self.served.model.version, items))
            self.metrics.lists.labels(choice.basis).inc()
        if self.settings.log_exposure:
            with self.store.transaction():
                self.store.add_exposures(as_exposure(answer) for answer in answers)
        return answers

    @torch.no_grad()
    def _rank(self, asked: Sequence[tuple[Question, User]]) -> list[Choice]:
        """Return the best items of each user."""
        model, index = self.served.model, self.served.item_index
        vectors: dict[int, tuple[Basis, Tensor]] = {}
        known = [i for i, (_, user) in enumerate(asked) if user.is_known]
        if known:
            states = [asked[i][1].state for i in known]
            days = [days_until(state, asked[i][0].at) for i, state in zip(known, states, strict=True)]
            vectors |= {i: ("state", vector) for i, vector in zip(known, user_vectors(model, states, days), strict=True)}
        for i, (question, user) in enumerate(asked):
            if not user.is_known and question.words:
                with suppress(DataError):  # the model can read nothing of them, so the list is the popular one
                    vectors[i] = "words", model.words_state(question.words)[0]
        choices = {}
        if vectors:
            together = torch.stack([vector for _, vector in vectors.values()])
            found = index.search(together, max(asked[i][0].k for i in vectors), [self._excluded(asked[i][1]) for i in vectors])
            for (i, (basis, vector)), ranked in zip(vectors.items(), found, strict=True):
                choices[i] = Choice(basis, ranked[: asked[i][0].k], partial(score_item, model, vector))
        return [choices.get(i) or self._popular(user, question.k) for i, (question, user) in enumerate(asked)]

    def _excluded(self, user: User) -> set[int]:
        return user.history if self.served.model.exclude_history else set()

    def _popular(self, user: User, k: int) -> Choice:
        items, excluded = self.served.model.items, self._excluded(user)
        eligible = (p for p in items.by_popularity if p not in excluded and not items.is_retired[p])
        ranked: Ranked = [(position, items.count_of(position)) for position in islice(eligible, k)]
        return Choice("popular", ranked, items.count_of)

    def _as_items(self, choice: Choice) -> list[RankedItem]:
        ids = self.served.model.items.ids
        return [RankedItem(ids[position], score) for position, score in choice.ranked]

    def _explored(self, choice: Choice, k: int, user: User) -> list[RankedItem]:
        """Return a list in which some items are random, with the probability of each choice."""
        items, excluded = self.served.model.items, self._excluded(user)
        retired = items.is_retired
        eligible = len(items) - items.num_retired - sum(not retired[position] for position in excluded)
        draw = uniform_draw(len(items), lambda position: position in excluded or bool(retired[position]), self._random)
        chosen = explore(choice.ranked, k, self.settings.explore, draw, eligible, self._random)
        scores = dict(choice.ranked)
        return [RankedItem(items.ids[p], scores[p] if p in scores else choice.score(p), chance) for p, chance in chosen]

    # ---- users

    def describe_user(self, user_id: str) -> UserInfo:
        """Describe a user.

        Args:
            user_id: the user.

        Raises:
            NotFoundError: the user has no event.
        """
        user_id = clean_id(user_id)
        user = self.served.users.load([user_id])[user_id]
        if not user.state.num_events:
            raise NotFoundError("there is no event of this user.")
        basis: Basis = "state" if user.is_known else "popular"
        return UserInfo(user_id, user.state.num_events, user.state.last_time, basis, self.served.model.version)

    def erase_user(self, user_id: str) -> bool:
        """Erase a user from the log, the states and the exposures, and return whether there was anything.

        Args:
            user_id: the user.
        """
        user_id = clean_id(user_id)
        with self.store.transaction():
            found = self.store.erase(user_id)
        self.served.users.forget(user_id)
        self._note_change(user_id)
        self.store.truncate_journal()
        return found

    def what_if(self, question: WhatIf) -> WhatIfResult:
        """Recommend after events that did not happen, or without some that did. Nothing is written.

        Args:
            question: the events.

        Raises:
            NotFoundError: an event to remove is not one of the user's, or an added item is unknown.
            DataError: the log has no such column.
        """
        model, users = self.served.model, self.served.users
        user_id = clean_id(question.user_id)
        before = users.load([user_id])[user_id]
        logged = self.store.events_of(user_id)
        if unknown := set(question.remove) - {event.event_id for event in logged}:
            raise NotFoundError(f"the user has no event {min(unknown)}.")
        removed = set(question.remove)
        kept = [EVENT_DECODER.decode(event.body) for event in logged if event.event_id not in removed]
        for added in question.add:
            if model.items.find(added.item_id) is None:
                raise NotFoundError(f"the model has no item {added.item_id}.")
            model.reader.embed(added, None)
        history: list[Event | ImaginedEvent] = [*kept, *question.add]
        first = model.stepper.first_event(len(history))
        latest = max((int(event.timestamp) for event in history[:first]), default=None)
        start = users.start._replace(num_events=first, last_time=latest)
        state = users.replay({user_id: (start, history[first:])})[user_id]
        positions = (model.items.find(event.item_id) for event in history)
        after = User(state, {position for position in positions if position is not None})
        asked = Question(user_id, question.k, question.at)
        version = model.version
        lists = (
            Recommendations(user_id, choice.basis, version, self._as_items(choice))
            for choice in self._rank([(asked, before), (asked, after)])
        )
        return WhatIfResult(*lists)

    # ---- items

    def put_item(self, item_id: str, words: ItemWords) -> ItemResult:
        """Add an item by its words, or restore a retired one.

        Args:
            item_id: its id.
            words: its words; those of an item of the run are not read again.

        Raises:
            ConflictError: the item was added before, with other words.
            DataError: the model can read nothing of the item, or the id is not one.
        """
        model, item_id = self.served.model, clean_id(item_id)
        body, position = item_body(words), model.items.find(item_id)
        if position is None:
            vector = model.embed_item(words)
            with self.store.transaction():
                self.store.add_item(item_id, body)
                self.store.put_vector(model.version, item_id, vector.numpy().tobytes())
                self.store.set_retired(item_id, False)
            self.served.item_index.add(model.items.add(item_id, vector, model.compare_form(vector)))
            return ItemResult(item_id, "added")
        if position >= model.items.num_trained and self.store.item(item_id) != body:
            raise ConflictError("the item was added before, with other words; retire it, and add another id.")
        if not model.items.is_retired[position]:
            return ItemResult(item_id, "known")
        with self.store.transaction():
            self.store.set_retired(item_id, False)
        model.items.set_retired(position, False)
        return ItemResult(item_id, "restored")

    def retire_item(self, item_id: str) -> ItemResult:
        """Recommend an item no more; events of it still move states.

        Args:
            item_id: its id.

        Raises:
            NotFoundError: there is no such item.
        """
        item_id = clean_id(item_id)
        position = self.served.model.items.find(item_id)
        if position is None:
            raise NotFoundError("there is no item of this item_id.")
        with self.store.transaction():
            self.store.set_retired(item_id, True)
        self.served.model.items.set_retired(position, True)
        return ItemResult(item_id, "retired")


def user_vectors(model: ServedModel, states: Sequence[StoredState], days: Sequence[float] | None = None) -> Tensor:
    """Return user states ``[B, D]``, or ``[B, K, D]``, ready to be compared.

    Args:
        model: the model.
        states: states that follow at least one event.
        days: days since the last event of each; None: none.
    """
    return model.stepper.user_states([state.tensors for state in states], days or [0.0] * len(states))


def days_until(state: StoredState, at: float | None) -> float:
    """Return the days between a user's last event and a time.

    Args:
        state: the state of the user.
        at: unix seconds; None: the time of the last event.
    """
    return 0.0 if at is None or state.last_time is None else max(at - state.last_time, 0.0) / DAY


def as_exposure(answer: Recommendations) -> tuple[str, float, str, str, str]:
    """Return the row of the log of exposures for a list that is shown now.

    Args:
        answer: the list.
    """
    items = json.dumps([[item.item_id, item.score, item.propensity] for item in answer.items])
    return answer.user_id, time.time(), answer.model, answer.basis, items


def score_item(model: ServedModel, vector: Tensor, position: int) -> float:
    """Score one item for a user.

    Args:
        model: the model.
        vector: ``[D]`` or ``[K, D]`` user state, ready to be compared.
        position: position of the item.
    """
    return float((vector @ model.items.catalogue[position]).max())


def add_stored_items(model: ServedModel, store: Store) -> list[int]:
    """Add the items of a store that a model does not have, and retire those that are retired there.

    Args:
        model: the model.
        store: the store.

    Returns:
        Positions of the items that were added.
    """
    vectors, added = store.vectors(model.version), []
    for item_id, body in store.items().items():
        if model.items.find(item_id) is not None:
            continue
        if item_id in vectors:
            vector = torch.from_numpy(np.frombuffer(bytearray(vectors[item_id]), np.float32))
        else:
            vector = model.embed_item(ITEM_DECODER.decode(body))
        added.append(model.items.add(item_id, vector, model.compare_form(vector)))
    positions = (model.items.find(item_id) for item_id in store.retired())
    retired = {position for position in positions if position is not None}
    for position in retired | set(np.flatnonzero(model.items.is_retired).tolist()):
        model.items.set_retired(position, position in retired)
    return added


def clean_id(text: str) -> str:
    """Return an id without the white space around it, as a log has it.

    Args:
        text: id of a user or an item.

    Raises:
        DataError: it is empty or too long.
    """
    text = text.strip()
    if not 0 < len(text) <= MAX_ID:
        raise DataError(f"the id of a user or an item has 1 to {MAX_ID} characters that are not white space around it.")
    return text
