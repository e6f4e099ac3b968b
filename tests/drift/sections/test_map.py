"""The map of interests and of the paths of users."""

import numpy as np
import polars as pl
import pytest
from session_logs import DAY, START, make_context, make_interests, make_log, sample_log

from interestlab.drift.interests import Interests
from interestlab.drift.population import calendar_edges
from interestlab.drift.sections.map import project
from interestlab.drift.settings import Settings
from interestlab.drift.verdicts import INSUFFICIENT_EVIDENCE, MIGRATED, NO_CHANGE


def make_users(log, verdict, q=None):
    q = q or [0.5] * len(verdict)
    frame = pl.DataFrame({"user_id": log.users, "verdict": verdict, "q_migration": q})
    return frame.with_columns(q_evolution=pl.lit(None, pl.Float64))


def draw_map(log, interests, edges, users, examples):
    settings = Settings(example_users=examples)
    return project(make_context(log, interests, settings=settings, window_edges=edges, tables={"users": users}))


def test_a_path_follows_the_interest_of_each_window():
    interests = make_interests(3, leaves=1)
    log = make_log([[[0]] * 3 + [[4]] * 3])
    table = draw_map(log, interests, START + np.array([0, 3, 6]) * DAY, make_users(log, [MIGRATED]), 1)
    points, path = table.filter(kind="interest"), table.filter(kind="user").sort("window")
    assert points["name"].to_list() == interests.names
    assert set(points["window"]) == {-1}
    np.testing.assert_allclose(path.select("x", "y").to_numpy(), points.select("x", "y").to_numpy()[[0, 2]], atol=1e-5)
    assert path["window"].to_list() == [0, 1]


def test_items_without_vectors_are_in_no_path():
    interests = make_interests(3, leaves=1)
    vectors = interests.vectors.copy()
    vectors[[1, 5]] = 0
    incomplete = Interests(interests.names, interests.item_interest, interests.leaves, interests.leaf, vectors, "")
    log = make_log([[[0]] * 3 + [[4]] * 3, [[0], [1], [1], [4], [5]], [[1], [5]]])
    table = draw_map(log, incomplete, START + np.array([0, 3, 6]) * DAY, make_users(log, [MIGRATED] * 3), 1).filter(kind="user")
    assert set(table["name"]) == {"u0", "u1"}
    points = table.filter(name="u0").select("x", "y").to_numpy()
    for x, y in table.filter(name="u1").select("x", "y").iter_rows():
        assert np.abs(points - [x, y]).sum(1).min() < 1e-5


def test_two_axes_preserve_the_distances_of_three_interests():
    interests = make_interests(3, leaves=1)
    log = make_log([[[0]]])
    table = draw_map(log, interests, calendar_edges(log, 2), make_users(log, [INSUFFICIENT_EVIDENCE]), 1).filter(
        kind="interest"
    )
    points, centroids = table.select("x", "y").to_numpy(), interests.centroids
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.linalg.norm(points[a] - points[b]) == pytest.approx(np.linalg.norm(centroids[a] - centroids[b]), rel=1e-5)


def test_changed_users_come_first_by_q_and_users_without_evidence_are_left_out():
    interests = make_interests(2)
    log = sample_log(np.ones((20, 1, 2)) / 2, 4, interests, 0)
    verdict = [NO_CHANGE] * 10 + [MIGRATED] * 6 + [INSUFFICIENT_EVIDENCE] * 4
    q = [0.001] * 10 + [0.04, 0.01, 0.03, 0.02, 0.05, 0.04] + [None] * 4
    table = draw_map(log, interests, calendar_edges(log, 2), make_users(log, verdict, q), 1).filter(kind="user")
    assert set(table["name"]) == {"u10", "u11", "u12", "u13", "u15"}


@pytest.mark.parametrize(("num_interests", "width"), [(1, 4), (2, 1), (2, 6)])
def test_few_interests_or_dimensions_have_a_map(num_interests, width):
    interests = make_interests(num_interests, width=width)
    log = sample_log(np.ones((3, 1, num_interests)) / num_interests, 4, interests, 0)
    table = draw_map(log, interests, calendar_edges(log, 2), make_users(log, [NO_CHANGE] * 3), 2)
    assert np.isfinite(table.select("x", "y").to_numpy()).all()
    assert table.filter(kind="user").height


def test_the_signs_of_the_axes_do_not_depend_on_the_order_of_interests():
    interests = make_interests(4)
    reordered = Interests(
        interests.names[::-1], 3 - interests.item_interest, interests.leaves, interests.leaf, interests.vectors, ""
    )
    log = sample_log(np.ones((3, 1, 4)) / 4, 4, interests, 0)
    tables = [
        draw_map(log, candidate, calendar_edges(log, 2), make_users(log, [NO_CHANGE] * 3), 2).sort("kind", "name", "window")
        for candidate in (interests, reordered)
    ]
    np.testing.assert_allclose(*(table.select("x", "y").to_numpy() for table in tables), atol=1e-5)
