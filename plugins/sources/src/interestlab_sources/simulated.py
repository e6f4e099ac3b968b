"""The source ``simulated``: a shop where it is known whose interests changed, when, and how."""

import numpy as np
import polars as pl

from interestlab.contract import EventLog, Source
from interestlab.errors import DataError
from interestlab_sources.momentum import GAIN
from interestlab_sources.reviews import write_reviews
from interestlab_sources.shop import leaf_path, open_shop
from interestlab_sources.shoppers import (
    EVENTS,
    EVOLVE,
    KINDS,
    MIGRATE,
    Shoppers,
    Visits,
    add_momentum,
    plant_interests,
    simulate_visits,
)
from interestlab_sources.words import CATEGORIES, LEAVES

_DAY = 86_400
_MAX_EVENTS = 10_000  # per user


class Simulated(Source):
    """A shop whose users' interests migrate, evolve, or stay the same, with the ground truth.

    A user has an interest share of ``strength`` in one category, and spreads the rest over the others. In the middle of the
    history, a migrator's main interest moves to another category; an evolver's narrows down to one leaf of its category and
    moves down the funnel from views to purchases. Sessions stay within a leaf and often move from an item to its companion,
    so that the order of events is informative. The same arguments give the same log.

    With ``momentum`` no user migrates or evolves: the category of each session depends on the previous sessions through
    heavy-ball momentum (:func:`interestlab_sources.momentum.simulate_categories`), every user is of kind ``momentum``, and
    the truth also contains ``alpha``, ``beta`` and ``gain``.

    Args:
        users: number of users.
        items: number of items, at least 4 per category.
        categories: number of categories, 2 to 20, with 4 leaves each.
        events: mean number of events per user, at least 4; it varies widely.
        migrate: share of users who migrate.
        evolve: share of users who evolve; the interests of the others do not change.
        strength: interest share of the main category, and size of a change, 0 to 1.
        moved: share of the main interest that a migrator moves, 0 to 1; the rest stays in the old category.
        visit: mean number of events per session, from 1 (every event is a session) to half of ``events``.
        momentum: (alpha, beta): momentum between -1 and 1, step size between 0 and 2 (1 + alpha).
        chinese: share of users who write Chinese, and of items with Chinese titles; the others are English.
        days: length of the log.
        start: its first second, in unix seconds.
        seed: seed of the random generator.
    """

    def __init__(
        self,
        users: int = 500,
        items: int = 400,
        categories: int = 8,
        events: float = 40,
        migrate: float = 0.3,
        evolve: float = 0.3,
        strength: float = 0.6,
        chinese: float = 0.3,
        days: int = 365,
        start: int = 1_704_067_200,
        seed: int = 0,
        moved: float = 1.0,
        visit: float = 2.0,
        momentum: tuple[float, float] | None = None,
    ) -> None:
        shares = (migrate, evolve, strength, moved, chinese, migrate + evolve)
        alpha, beta = momentum or (0.0, 1.0)
        for wrong, reason in (
            (users < 1, "users must be at least 1"),
            (not 2 <= categories <= len(CATEGORIES), f"categories must be 2 to {len(CATEGORIES)}"),
            (items < categories * LEAVES, f"items must be at least {LEAVES} per category"),
            (not 4 <= events <= _MAX_EVENTS, f"events must be 4 to {_MAX_EVENTS}"),
            (days < 1, "days must be at least 1"),
            (seed < 0, "seed must not be negative"),
            (not all(0 <= s <= 1 for s in shares), "shares must be 0 to 1, and migrate + evolve at most 1"),
            (not 1 <= visit <= events / 2, "visit must be 1 to half of events"),
            (not (abs(alpha) < 1 and 0 < beta < 2 * (1 + alpha)), "momentum must be -1 < alpha < 1, 0 < beta < 2 (1 + alpha)"),
        ):
            if wrong:
                raise DataError(f"simulated: {reason}; change it")
        self.users, self.items, self.categories, self.events = users, items, categories, events
        self.migrate, self.evolve, self.strength, self.chinese = migrate, evolve, strength, chinese
        self.moved, self.visit, self.momentum = moved, visit, momentum
        self.days, self.start, self.seed = days, start, seed

    def read(self) -> EventLog:
        rng = np.random.default_rng(self.seed)
        shop = open_shop(rng, self.items, self.categories, self.chinese)
        migrate, evolve = (0.0, 0.0) if self.momentum else (self.migrate, self.evolve)
        sessions = self.events / self.visit
        shoppers = plant_interests(rng, self.users, self.categories, sessions, migrate, evolve, self.strength, self.moved)
        if self.momentum:
            shoppers = add_momentum(rng, shoppers, *self.momentum)
        visits = simulate_visits(rng, shoppers, shop, self.days * _DAY, self.visit)
        writes_chinese = rng.permutation(self.users) < round(self.users * self.chinese)

        user = visits.user[visits.session]
        rating, text = write_reviews(rng, shop, visits.item, visits.event, writes_chinese[user])
        events = pl.DataFrame(
            {
                "user_id": self._ids()[user],
                "item_id": shop.frame["item_id"].gather(visits.item),
                "timestamp": self.start + visits.start[visits.session] + visits.offset,
                "event": pl.Series(EVENTS).gather(visits.event),
                "rating": rating,
                "text": text,
            },
            schema_overrides={"rating": pl.Float32},
        )
        return EventLog(
            events=events.sort("timestamp", maintain_order=True).lazy(),
            items=shop.frame.lazy(),
            truth=self._truth(shoppers, visits).lazy(),
        )

    def _ids(self) -> pl.Series:
        return pl.Series([f"u{user + 1:05}" for user in range(self.users)])

    def _truth(self, shoppers: Shoppers, visits: Visits) -> pl.DataFrame:
        changed = np.isin(shoppers.kind, (MIGRATE, EVOLVE))
        first = np.cumsum(shoppers.sessions) - shoppers.sessions
        change_time = self.start + visits.start[first + shoppers.change]
        destinations = zip(shoppers.kind, shoppers.destination, strict=True)
        destination = [CATEGORIES[d].name if kind == MIGRATE else leaf_path(d) for kind, d in destinations]
        truth = pl.DataFrame(
            {
                "user_id": self._ids(),
                "kind": [KINDS[kind] for kind in shoppers.kind],
                "timestamp": change_time,
                "source": [CATEGORIES[category].name for category in shoppers.source],
                "destination": destination,
            }
        )
        mask = pl.Series(changed)
        truth = truth.with_columns(pl.when(mask).then(pl.col(c)).alias(c) for c in ("timestamp", "source", "destination"))
        if self.momentum:
            alpha, beta = self.momentum
            truth = truth.with_columns(alpha=pl.lit(float(alpha)), beta=pl.lit(float(beta)), gain=pl.lit(GAIN))
        return truth
