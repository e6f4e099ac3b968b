"""The map of interests and of the paths of users."""

import numpy as np
import polars as pl
import pytest
from session_logs import DAY, START, context_of, drawn, made, shop

from interestlab.drift.interests import Interests
from interestlab.drift.population import calendar_edges
from interestlab.drift.sections.map import project
from interestlab.drift.settings import Settings
from interestlab.drift.verdicts import INSUFFICIENT_EVIDENCE, MIGRATED, NO_CHANGE


def people(log, verdict, q=None):
    q = q or [0.5] * len(verdict)
    frame = pl.DataFrame({"user_id": log.users, "verdict": verdict, "q_migration": q})
    return frame.with_columns(q_evolution=pl.lit(None, pl.Float64))


def draw_map(log, interests, edges, users, examples):
    settings = Settings(example_users=examples)
    return project(context_of(log, interests, settings=settings, window_edges=edges, tables={"users": users}))


def test_a_user_of_one_interest_lies_at_its_items_and_moves_with_them():
    shopped = shop(3, leaves=1)
    log = made([[[0]] * 3 + [[4]] * 3])
    table = draw_map(log, shopped, START + np.array([0, 3, 6]) * DAY, people(log, [MIGRATED]), 1)
    interests, path = table.filter(kind="interest"), table.filter(kind="user").sort("window")
    assert interests["name"].to_list() == shopped.names
    assert set(interests["window"]) == {-1}
    np.testing.assert_allclose(path.select("x", "y").to_numpy(), interests.select("x", "y").to_numpy()[[0, 2]], atol=1e-5)
    assert path["window"].to_list() == [0, 1]


def test_items_of_which_nothing_is_known_are_in_no_path():
    shopped = shop(3, leaves=1)
    vectors = shopped.vectors.copy()
    vectors[[1, 5]] = 0
    held = Interests(shopped.names, shopped.item_interest, shopped.leaves, shopped.leaf, vectors, "")
    log = made([[[0]] * 3 + [[4]] * 3, [[0], [1], [1], [4], [5]], [[1], [5]]])
    table = draw_map(log, held, START + np.array([0, 3, 6]) * DAY, people(log, [MIGRATED] * 3), 1).filter(kind="user")
    assert set(table["name"]) == {"u0", "u1"}
    places = table.filter(name="u0").select("x", "y").to_numpy()
    for x, y in table.filter(name="u1").select("x", "y").iter_rows():
        assert np.abs(places - [x, y]).sum(1).min() < 1e-5


def test_two_axes_keep_the_distances_of_three_interests():
    shopped = shop(3, leaves=1)
    log = made([[[0]]])
    places = draw_map(log, shopped, calendar_edges(log, 2), people(log, [INSUFFICIENT_EVIDENCE]), 1).filter(kind="interest")
    told, real = places.select("x", "y").to_numpy(), shopped.centroids
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.linalg.norm(told[a] - told[b]) == pytest.approx(np.linalg.norm(real[a] - real[b]), rel=1e-5)


def test_changed_users_come_first_surest_first_and_unknown_ones_never():
    shopped = shop(2)
    log = drawn(np.ones((20, 1, 2)) / 2, 4, shopped, 0)
    verdict = [NO_CHANGE] * 10 + [MIGRATED] * 6 + [INSUFFICIENT_EVIDENCE] * 4
    q = [0.001] * 10 + [0.04, 0.01, 0.03, 0.02, 0.05, 0.04] + [None] * 4
    table = draw_map(log, shopped, calendar_edges(log, 2), people(log, verdict, q), 1).filter(kind="user")
    assert set(table["name"]) == {"u10", "u11", "u12", "u13", "u15"}


@pytest.mark.parametrize(("interests", "width"), [(1, 4), (2, 1), (2, 6)])
def test_few_interests_or_dimensions_have_a_map_too(interests, width):
    shopped = shop(interests, width=width)
    log = drawn(np.ones((3, 1, interests)) / interests, 4, shopped, 0)
    table = draw_map(log, shopped, calendar_edges(log, 2), people(log, [NO_CHANGE] * 3), 2)
    assert np.isfinite(table.select("x", "y").to_numpy()).all()
    assert table.filter(kind="user").height


def test_the_sign_of_the_axes_is_no_matter_of_order():
    shopped = shop(4)
    turned = Interests(shopped.names[::-1], 3 - shopped.item_interest, shopped.leaves, shopped.leaf, shopped.vectors, "")
    log = drawn(np.ones((3, 1, 4)) / 4, 4, shopped, 0)
    tables = [
        draw_map(log, s, calendar_edges(log, 2), people(log, [NO_CHANGE] * 3), 2).sort("kind", "name", "window")
        for s in (shopped, turned)
    ]
    np.testing.assert_allclose(*(t.select("x", "y").to_numpy() for t in tables), atol=1e-5)
