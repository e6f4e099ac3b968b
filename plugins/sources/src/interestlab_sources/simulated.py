"""A simulated shop, in which it is known whose interests moved, when, and where to."""

import numpy as np
import polars as pl

from interestlab.contract import EventLog, Source
from interestlab.errors import DataError
from interestlab_sources.momentum import GAIN
from interestlab_sources.reviews import write_reviews
from interestlab_sources.shop import leaf_path, open_shop
from interestlab_sources.shoppers import EVENTS, EVOLVE, KINDS, MIGRATE, Shoppers, Visits, drift, plant, visit
from interestlab_sources.words import CATEGORIES, LEAVES

_DAY = 86_400
_MOST = 10_000  # events a user


class Simulated(Source):
    """A shop whose users' interests migrate, evolve, or stay: the truth is planted and handed on.

    A user gives ``strength`` of their attention to one category and the rest to others. At a moment in the middle of
    their history a migrator's moves to another category; an evolver's narrows to one leaf of its category and goes down
    the funnel from views to purchases. Sessions stay within a leaf and go from an item to its companion, so that order
    tells something. Same arguments, same log.

    With ``momentum`` nobody migrates or evolves: the category of each session follows from those before it by the heavy
    ball (:func:`interestlab_sources.momentum.follow`), every user is of the kind ``momentum``, and the truth also tells
    ``alpha``, ``beta`` and ``gain``.

    Args:
        users: number of users.
        items: number of items, at least 4 a category.
        categories: number of categories, 2 to 20, of 4 leaves each.
        events: mean number of events a user, at least 4; it varies widely.
        migrate: share of the users who migrate.
        evolve: share of the users who evolve; the others are the null.
        strength: share of attention that the main interest holds and a change moves, 0 to 1.
        moved: share of that attention which a migrator takes along, 0 to 1; the rest stays where it was.
        visit: mean number of events a session, from 1 (each its own session) to half of ``events``.
        momentum: (alpha, beta) of the heavy ball, alpha between -1 and 1, beta between 0 and 2 (1 + alpha).
        chinese: share of users who write, and of items titled, in Chinese; the others are English.
        days: length of the log.
        start: when it begins, in unix seconds.
        seed: of the one random generator.
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
            (items < categories * LEAVES, f"items must be at least {LEAVES} a category"),
            (not 4 <= events <= _MOST, f"events must be 4 to {_MOST}"),
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
        shoppers = plant(rng, self.users, self.categories, sessions, migrate, evolve, self.strength, self.moved)
        if self.momentum:
            shoppers = drift(rng, shoppers, *self.momentum)
        visits = visit(rng, shoppers, shop, self.days * _DAY, self.visit)
        speaks = rng.permutation(self.users) < round(self.users * self.chinese)

        user = visits.user[visits.session]
        rating, text = write_reviews(rng, shop, visits.item, visits.event, speaks[user])
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
        moment = self.start + visits.start[first + shoppers.change]
        goals = zip(shoppers.kind, shoppers.destination, strict=True)
        destination = [CATEGORIES[d].name if kind == MIGRATE else leaf_path(d) for kind, d in goals]
        truth = pl.DataFrame(
            {
                "user_id": self._ids(),
                "kind": [KINDS[kind] for kind in shoppers.kind],
                "timestamp": moment,
                "source": [CATEGORIES[category].name for category in shoppers.source],
                "destination": destination,
            }
        )
        told = pl.Series(changed)
        truth = truth.with_columns(pl.when(told).then(pl.col(c)).alias(c) for c in ("timestamp", "source", "destination"))
        if self.momentum:
            alpha, beta = self.momentum
            truth = truth.with_columns(alpha=pl.lit(float(alpha)), beta=pl.lit(float(beta)), gain=pl.lit(GAIN))
        return truth
