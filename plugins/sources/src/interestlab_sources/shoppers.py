"""The simulated users: what they want, when that changes, and what they therefore do."""

from dataclasses import dataclass, replace

import numpy as np

from interestlab_sources.choice import choose
from interestlab_sources.momentum import follow, popularity
from interestlab_sources.shop import Bools, Floats, Ints, Shop
from interestlab_sources.words import LEAVES

KINDS = ("null", "migrate", "evolve", "momentum")
NULL, MIGRATE, EVOLVE, MOMENTUM = range(4)

EVENTS = ("view", "cart", "purchase", "review")
_SHALLOW = np.array([0.55, 0.15, 0.10, 0.20])
_DEEP = np.array([0.10, 0.25, 0.40, 0.25])

_COMPANION = 0.5  # share of the steps within a session that go to the last item's companion
_LONGEST = 4  # times the mean: events in a session


@dataclass(frozen=True)
class Shoppers:
    """What was planted in each of U users.

    Attributes:
        kind: ``[U]`` index into :data:`KINDS`.
        source: ``[U]`` the category that holds most of the user's attention.
        destination: ``[U]`` the category that a migrator goes to; the leaf of ``source`` that an evolver settles in.
        interests: ``[U, 2, C]`` share of attention of each category, before and after the change.
        depths: ``[U, 2, C, LEAVES]`` share of each leaf within its category, before and after.
        appetite: ``[U, 2]`` how far down the funnel, from views (0) to purchases (1), before and after.
        sessions: ``[U]`` number of sessions.
        change: ``[U]`` the first session after the change.
        category: ``[S]`` of each session, user after user, where it does not follow from ``interests``.
    """

    kind: Ints
    source: Ints
    destination: Ints
    interests: Floats
    depths: Floats
    appetite: Floats
    sessions: Ints
    change: Ints
    category: Ints | None = None


@dataclass(frozen=True)
class Visits:
    """The sessions, by user and time, and the events in them.

    Attributes:
        user: ``[S]`` of each session.
        start: ``[S]`` seconds since the shop opened.
        after: ``[S]`` whether it follows its user's change.
        session: ``[E]`` of each event.
        offset: ``[E]`` seconds since its session began.
        item: ``[E]``
        event: ``[E]`` index into :data:`EVENTS`.
    """

    user: Ints
    start: Ints
    after: Bools
    session: Ints
    offset: Ints
    item: Ints
    event: Ints


def plant(
    rng: np.random.Generator,
    users: int,
    categories: int,
    sessions: float,
    migrate: float,
    evolve: float,
    strength: float,
    moved: float,
) -> Shoppers:
    """Users of ``sessions`` on average, of which exact shares migrate and evolve, each in the middle of its sessions."""
    kind = np.full(users, NULL)
    migrators, evolvers = round(users * migrate), round(users * evolve)
    kind[:migrators] = MIGRATE
    kind[migrators : migrators + evolvers] = EVOLVE
    kind = rng.permutation(kind)
    everyone = np.arange(users)

    source = rng.integers(categories, size=users)
    elsewhere = (source + rng.integers(1, max(categories, 2), size=users)) % categories
    leaf = rng.integers(LEAVES, size=users)

    before = (1 - strength) * rng.dirichlet(np.full(categories, 0.5), size=users)
    after = before.copy()
    before[everyone, source] += strength
    taken = strength * np.where(kind == MIGRATE, moved, 0.0)
    after[everyone, source] += strength - taken
    after[everyone, elsewhere] += taken

    broad = rng.dirichlet(np.full(LEAVES, 4.0), size=(users, categories))
    narrow = broad.copy()
    deepens = np.flatnonzero(kind == EVOLVE)
    narrow[deepens, source[deepens]] *= 1 - strength
    narrow[deepens, source[deepens], leaf[deepens]] += strength

    # At least two, so that there is a before and an after.
    number = 2 + rng.poisson(rng.gamma(2.0, max(sessions - 2, 0) / 2, size=users))
    change = np.clip((number * rng.uniform(0.35, 0.65, size=users)).astype(np.int64), 1, number - 1)
    return Shoppers(
        kind=kind,
        source=source,
        destination=np.where(kind == MIGRATE, elsewhere, source * LEAVES + leaf),
        interests=np.stack([before, after], axis=1),
        depths=np.stack([broad, narrow], axis=1),
        appetite=np.stack([np.zeros(users), np.where(kind == EVOLVE, strength, 0.0)], axis=1),
        sessions=number,
        change=change,
    )


def drift(rng: np.random.Generator, still: Shoppers, alpha: float, beta: float) -> Shoppers:
    """The same users, but what they turn to follows the heavy ball: see :func:`interestlab_sources.momentum.follow`."""
    base = popularity(rng, still.interests.shape[-1])
    category = follow(rng, still.sessions, base, alpha, beta)
    return replace(still, kind=np.full_like(still.kind, MOMENTUM), category=category)


def visit(rng: np.random.Generator, shoppers: Shoppers, shop: Shop, seconds: int, mean: float) -> Visits:
    """What the users do within ``seconds``: a session stays in one leaf and goes from items to their companions.

    A session has a geometric number of events, ``mean`` on average but for a cut at four times that.
    """
    users = shoppers.kind.size
    user = np.repeat(np.arange(users), shoppers.sessions)
    first = np.repeat(np.cumsum(shoppers.sessions) - shoppers.sessions, shoppers.sessions)
    after = np.arange(user.size) - first >= shoppers.change[user]

    arrives = rng.uniform(0.0, 0.2, size=users)[user]
    leaves = rng.uniform(0.8, 0.99, size=users)[user]
    start = ((arrives + (leaves - arrives) * rng.random(user.size)) * seconds).astype(np.int64)
    start = start[np.lexsort((start, user))]

    now = after.astype(np.int64)
    category = choose(shoppers.interests[user, now], rng) if shoppers.category is None else shoppers.category
    leaf = category * LEAVES + choose(shoppers.depths[user, now, category], rng)
    appetite = shoppers.appetite[user, now][:, None]
    funnel = (1 - appetite) * _SHALLOW + appetite * _DEEP

    length = np.minimum(rng.geometric(1 / mean, size=user.size), round(_LONGEST * mean))
    item, offset = shop.draw(leaf, rng.random(user.size)), np.zeros_like(start)
    steps = []
    for step in range(int(length.max())):
        if step:
            follow = rng.random(user.size) < _COMPANION
            item = np.where(follow, shop.companion[item], shop.draw(leaf, rng.random(user.size)))
            offset = offset + rng.integers(20, 300, size=user.size)
        here = np.flatnonzero(length > step)
        steps.append((here, offset[here], item[here], choose(funnel[here], rng)))
    session, offset, item, event = (np.concatenate(part) for part in zip(*steps, strict=True))
    order = np.lexsort((offset, session))
    return Visits(user, start, after, session[order], offset[order], item[order], event[order])
