"""Everyone's attention over the calendar."""

import numpy as np
import polars as pl
import pytest
from session_logs import DAY, START, alike, drawn, flat, halved, made, shop

from interestlab.drift.context import LabelledEvents
from interestlab.drift.population import (
    calendar_edges,
    catalogue_shift,
    to_datetimes,
    window_of,
)
from interestlab.drift.sections.shares import measure_shares
from interestlab.drift.sections.trends import MIN_USERS, measure_trends

K = 4
NAMES = [f"interest {k}" for k in range(K)]


def labelled(log, interests, names):
    return LabelledEvents("interest", log, interests.item_interest[log.item], names)


def test_windows_are_of_equal_length_and_hold_every_event():
    log = made([[[0], [0], [0], [0]]])
    edges = calendar_edges(log, 3)
    assert np.ptp(np.diff(edges)) <= 1
    assert window_of(log.time, edges).tolist() == [0, 1, 2, 2]
    assert (edges[0], edges[-1]) == (log.time[0], log.time[-1] + 1)


def test_a_log_of_one_moment_has_windows_too():
    log = flat(np.zeros(3), np.full(3, START), np.zeros(3))
    assert len(calendar_edges(log, 6)) == 7
    assert set(window_of(log.time, calendar_edges(log, 6))) <= set(range(6))


def test_shares_are_means_over_users_and_not_over_events():
    shopped, log = shop(2), made([[[0] * 9, [4]], [[4], [4]], [[0]]])
    edges = np.array([START, START + DAY, START + 2 * DAY])
    table = measure_shares(labelled(log, shopped, NAMES[:2]), edges)
    first, second = (table.filter(window=w).sort("name") for w in (0, 1))
    assert first["share"].to_list() == pytest.approx([2 / 3, 1 / 3])
    assert first["users"].to_list() == [3, 3]
    assert first["events"].to_list() == [10, 1]
    assert second["share"].to_list() == [0, 1]
    assert second["users"].to_list() == [2, 2]


def test_a_window_without_users_has_no_shares_and_one_user_no_interval():
    log = made([[[0], [], [], [4]]])
    table = measure_shares(labelled(log, shop(2), NAMES[:2]), calendar_edges(log, 4))
    assert table.filter(window=1).select("share", "low", "high").null_count().row(0) == (2, 2, 2)
    assert table.filter(window=0).select("share", "low", "high").null_count().row(0) == (0, 2, 2)


def test_shares_add_up_to_1_and_intervals_hold_them():
    shopped = shop(K)
    log = drawn(alike(40, K, 1), 12, shopped, 2)
    table = measure_shares(labelled(log, shopped, NAMES), calendar_edges(log, 3))
    assert table.group_by("window").agg(pl.col("share").sum())["share"].to_list() == pytest.approx([1, 1, 1])
    assert table.select(((pl.col("low") <= pl.col("share")) & (pl.col("share") <= pl.col("high"))).all()).item()
    assert table.select((pl.col("low") >= 0).all() & (pl.col("high") <= 1).all()).item()


def test_intervals_contain_the_truth_as_often_as_they_say():
    shopped, sharp = shop(K), 1.0
    inside = []
    for seed in range(60):
        log = drawn(alike(60, K, seed, sharp), 6, shopped, 1000 + seed)
        table = measure_shares(labelled(log, shopped, NAMES), calendar_edges(log, 2))
        inside.append(table.select((pl.col("low") <= 1 / K) & (pl.col("high") >= 1 / K)).to_series().to_numpy())
    assert np.mean(inside) == pytest.approx(0.95, abs=0.035)


def test_an_interest_that_nobody_met_has_an_interval_all_the_same():
    log = made([[[0]]] * 20)
    table = measure_shares(labelled(log, shop(2), NAMES[:2]), np.array([START, START + DAY]))
    none = table.filter(window=0, name="interest 1").row(0, named=True)
    assert none["share"] == none["low"] == 0
    assert 0.05 < none["high"] < 0.2


def median_time(log):
    return int(np.median(log.time))


def test_what_emerges_and_what_fades_is_found():
    shopped, rng = shop(K), np.random.default_rng(0)
    before, after = rng.dirichlet([4, 2, 2, 2], 150), rng.dirichlet([2, 4, 2, 2], 150)
    shares = np.repeat(np.stack([before, after], 1), 5, axis=1)
    log = drawn(shares, 10, shopped, 1)
    table = measure_trends(labelled(log, shopped, NAMES), START + 5 * DAY, 0.05)
    assert table["verdict"].to_list() == ["fading", "emerging", "", ""]
    assert table["change"].to_list()[0] == pytest.approx(-0.2, abs=0.08)
    np.testing.assert_allclose(table["share_late"] - table["share_early"], table["change"])
    assert set(table["users_early"]) == {150}


def test_where_nothing_changes_hardly_a_trend_is_told():
    shopped, told, p = shop(K), 0, []
    for seed in range(100):
        log = drawn(alike(60, K, seed), 8, shopped, 1000 + seed)
        table = measure_trends(labelled(log, shopped, NAMES), START + 4 * DAY, 0.05)
        told += int((table["verdict"] != "").any())
        p.append(table["p"].to_numpy())
    assert told <= 12
    assert np.mean(np.array(p) <= 0.05) < 0.07


def test_a_trend_that_everyone_follows_is_the_surest():
    shopped = shop(2)
    log = made([[[0], [4]]] * 50)
    table = measure_trends(labelled(log, shopped, NAMES[:2]), START + DAY, 0.05)
    assert table["verdict"].to_list() == ["fading", "emerging"]


@pytest.mark.parametrize("users", [MIN_USERS - 1, MIN_USERS])
def test_too_few_users_have_no_trend(users):
    log = made([[[0, 0, 4], [4, 4, 0]], [[0, 0, 0, 4], [4]]] * (users // 2) + [[[0], [4]]] * (users % 2))
    table = measure_trends(labelled(log, shop(2), NAMES[:2]), START + DAY, 0.05)
    assert (table.select("p", "q").null_count().row(0) == (2, 2)) == (users < MIN_USERS)
    assert (table["verdict"] == "").all() == (users < MIN_USERS)


def test_the_drift_of_the_catalogue_is_that_of_everyones_shares():
    shopped = shop(2)
    swing = np.where(np.arange(20)[:, None] < 10, [[0.75, 0.25]], [[0.25, 0.75]])
    log = drawn(np.broadcast_to(swing, (800, 20, 2)), 20, shopped, 1)
    shares = halved(log, shopped)
    ratio = catalogue_shift(shares, calendar_edges(log, 2))
    for interest, wanted in ((0, 1 / 3), (1, 3)):
        assert np.median(ratio[shares.interest == interest]) == pytest.approx(
            wanted, rel=0.25
        )  # the windows of users do not meet in one moment


def test_a_catalogue_that_stands_still_has_ratios_near_1():
    shopped = shop(K)
    log = drawn(alike(500, K, 1), 12, shopped, 2)
    ratio = catalogue_shift(halved(log, shopped), calendar_edges(log, 4))
    assert np.abs(np.log(ratio)).max() < 0.3


def test_a_thin_window_does_not_look_like_drift():
    shopped = shop(2)
    log = made([[[0], [4], [0], [4], [4]]] + [[[0], [4], [0], [4]]] * 100)  # only one user is in the last window
    ratio = catalogue_shift(halved(log, shopped), START + np.array([0, 2, 4, 5]) * DAY)
    assert np.abs(np.log(ratio)).max() < 0.3


def test_users_of_one_window_have_a_ratio_of_1():
    log = made([[[0]], [[0], [4]], []])
    shares = halved(log, shop(2))
    assert catalogue_shift(shares, calendar_edges(log, 2))[shares.user == 0].tolist() == [1]


def test_moments_are_utc_and_go_back_before_1970():
    told = to_datetimes(np.array([0, -DAY, 4_102_444_800]))
    assert told.dtype == pl.Datetime("us", "UTC")
    assert told.dt.to_string("%Y-%m-%d").to_list() == ["1970-01-01", "1969-12-31", "2100-01-01"]
