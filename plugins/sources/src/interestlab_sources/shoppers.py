"""The simulated users: their interests, when those change, and the events that follow from them."""

from dataclasses import dataclass, replace

import numpy as np

from interestlab_sources.choice import sample_rows
from interestlab_sources.momentum import sample_popularity, simulate_categories
from interestlab_sources.shop import Bools, Floats, Ints, Shop
from interestlab_sources.words import LEAVES

KINDS = ("null", "migrate", "evolve", "momentum")
NULL, MIGRATE, EVOLVE, MOMENTUM = range(4)

EVENTS = ("view", "cart", "purchase", "review")
_SHALLOW = np.array([0.55, 0.15, 0.10, 0.20])
_DEEP = np.array([0.10, 0.25, 0.40, 0.25])

_COMPANION = 0.5  # probability that the next item of a session is the companion of the last
_LONGEST = 4  # longest session, as a multiple of the mean number of events


@dataclass(frozen=True)
class Shoppers:
    """What is planted in each of U users.

    Attributes:
        kind: ``[U]`` index into :data:`KINDS`.
        source: ``[U]`` the main category of the user's interest.
        destination: ``[U]`` the category that a migrator moves to; the leaf of ``source`` that an evolver narrows down to.
        interests: ``[U, 2, C]`` interest share of each category, before and after the change.
        depths: ``[U, 2, C, LEAVES]`` share of each leaf within its category, before and after.
        funnel_depth: ``[U, 2]`` position in the funnel, from views (0) to purchases (1), before and after.
        sessions: ``[U]`` number of sessions.
        change: ``[U]`` the first session after the change.
        category: ``[S]`` category of each session, ordered by user; None where it is sampled from ``interests``.
    """

    kind: Ints
    source: Ints
    destination: Ints
    interests: Floats
    depths: Floats
    funnel_depth: Floats
    sessions: Ints
    change: Ints
    category: Ints | None = None


@dataclass(frozen=True)
class Visits:
    """The sessions, by user and time, and the events in them.

    Attributes:
        user: ``[S]`` user of each session.
        start: ``[S]`` seconds since the shop opened.
        after: ``[S]`` whether the session is after its user's change.
        session: ``[E]`` session of each event.
        offset: ``[E]`` seconds since the start of the session.
        item: ``[E]`` item of each event.
        event: ``[E]`` index into :data:`EVENTS`.
    """

    user: Ints
    start: Ints
    after: Bools
    session: Ints
    offset: Ints
    item: Ints
    event: Ints


def plant_interests(
    rng: np.random.Generator,
    users: int,
    categories: int,
    sessions: float,
    migrate: float,
    evolve: float,
    strength: float,
    moved: float,
) -> Shoppers:
    """Create users; exact shares of them migrate or evolve, each in the middle of the history.

    Args:
        rng: random generator.
        users: their number U.
        categories: number of categories C.
        sessions: mean number of sessions per user.
        migrate: share of users who migrate.
        evolve: share of users who evolve.
        strength: interest share of the main category, and size of a change.
        moved: share of ``strength`` that a migrator moves.
    """
    kind = np.full(users, NULL)
    migrators, evolvers = round(users * migrate), round(users * evolve)
    kind[:migrators] = MIGRATE
    kind[migrators : migrators + evolvers] = EVOLVE
    kind = rng.permutation(kind)
    all_users = np.arange(users)

    source = rng.integers(categories, size=users)
    elsewhere = (source + rng.integers(1, max(categories, 2), size=users)) % categories
    leaf = rng.integers(LEAVES, size=users)

    before = (1 - strength) * rng.dirichlet(np.full(categories, 0.5), size=users)
    after = before.copy()
    before[all_users, source] += strength
    taken = strength * np.where(kind == MIGRATE, moved, 0.0)
    after[all_users, source] += strength - taken
    after[all_users, elsewhere] += taken

    broad = rng.dirichlet(np.full(LEAVES, 4.0), size=(users, categories))
    narrow = broad.copy()
    evolving = np.flatnonzero(kind == EVOLVE)
    narrow[evolving, source[evolving]] *= 1 - strength
    narrow[evolving, source[evolving], leaf[evolving]] += strength

    # At least two sessions: one before and one after the change.
    number = 2 + rng.poisson(rng.gamma(2.0, max(sessions - 2, 0) / 2, size=users))
    change = np.clip((number * rng.uniform(0.35, 0.65, size=users)).astype(np.int64), 1, number - 1)
    return Shoppers(
        kind=kind,
        source=source,
        destination=np.where(kind == MIGRATE, elsewhere, source * LEAVES + leaf),
        interests=np.stack([before, after], axis=1),
        depths=np.stack([broad, narrow], axis=1),
        funnel_depth=np.stack([np.zeros(users), np.where(kind == EVOLVE, strength, 0.0)], axis=1),
        sessions=number,
        change=change,
    )


def add_momentum(rng: np.random.Generator, shoppers: Shoppers, alpha: float, beta: float) -> Shoppers:
    """Let the interests of users follow heavy-ball momentum; see :func:`interestlab_sources.momentum.simulate_categories`.

    Args:
        rng: random generator.
        shoppers: the users.
        alpha: momentum.
        beta: step size.

    Returns:
        The users, all of kind ``momentum``.
    """
    base = sample_popularity(rng, shoppers.interests.shape[-1])
    category = simulate_categories(rng, shoppers.sessions, base, alpha, beta)
    return replace(shoppers, kind=np.full_like(shoppers.kind, MOMENTUM), category=category)


def simulate_visits(rng: np.random.Generator, shoppers: Shoppers, shop: Shop, seconds: int, mean: float) -> Visits:
    """Simulate the sessions and events of users. A session stays in one leaf, and often moves to the companion of an item.

    Args:
        rng: random generator.
        shoppers: the users.
        shop: the items.
        seconds: length of the log.
        mean: mean number of events per session before it is truncated; geometric, at most four times the mean.
    """
    users = shoppers.kind.size
    user = np.repeat(np.arange(users), shoppers.sessions)
    first = np.repeat(np.cumsum(shoppers.sessions) - shoppers.sessions, shoppers.sessions)
    after = np.arange(user.size) - first >= shoppers.change[user]

    arrives = rng.uniform(0.0, 0.2, size=users)[user]
    leaves = rng.uniform(0.8, 0.99, size=users)[user]
    start = ((arrives + (leaves - arrives) * rng.random(user.size)) * seconds).astype(np.int64)
    start = start[np.lexsort((start, user))]

    phase = after.astype(np.int64)
    category = sample_rows(shoppers.interests[user, phase], rng) if shoppers.category is None else shoppers.category
    leaf = category * LEAVES + sample_rows(shoppers.depths[user, phase, category], rng)
    depth = shoppers.funnel_depth[user, phase][:, None]
    funnel = (1 - depth) * _SHALLOW + depth * _DEEP

    length = np.minimum(rng.geometric(1 / mean, size=user.size), round(_LONGEST * mean))
    item, offset = shop.sample_items(leaf, rng.random(user.size)), np.zeros_like(start)
    steps = []
    for step in range(int(length.max())):
        if step:
            to_companion = rng.random(user.size) < _COMPANION
            item = np.where(to_companion, shop.companion[item], shop.sample_items(leaf, rng.random(user.size)))
            offset = offset + rng.integers(20, 300, size=user.size)
        active = np.flatnonzero(length > step)
        steps.append((active, offset[active], item[active], sample_rows(funnel[active], rng)))
    session, offset, item, event = (np.concatenate(part) for part in zip(*steps, strict=True))
    order = np.lexsort((offset, session))
    return Visits(user, start, after, session[order], offset[order], item[order], event[order])
