"""Interest shares of the population over calendar windows."""

import numpy as np
import polars as pl
import pytest
from session_logs import DAY, START, constant_shares, log_from_events, make_interests, make_log, sample_log, shares_by_half

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


def label_events(log, interests, names):
    return LabelledEvents("interest", log, interests.item_interest[log.item], names)


def test_windows_have_equal_lengths_and_contain_every_event():
    log = make_log([[[0], [0], [0], [0]]])
    edges = calendar_edges(log, 3)
    assert np.ptp(np.diff(edges)) <= 1
    assert window_of(log.time, edges).tolist() == [0, 1, 2, 2]
    assert (edges[0], edges[-1]) == (log.time[0], log.time[-1] + 1)


def test_a_log_with_a_single_time_has_windows():
    log = log_from_events(np.zeros(3), np.full(3, START), np.zeros(3))
    assert len(calendar_edges(log, 6)) == 7
    assert set(window_of(log.time, calendar_edges(log, 6))) <= set(range(6))


def test_shares_are_means_over_users_and_not_over_events():
    interests, log = make_interests(2), make_log([[[0] * 9, [4]], [[4], [4]], [[0]]])
    edges = np.array([START, START + DAY, START + 2 * DAY])
    table = measure_shares(label_events(log, interests, NAMES[:2]), edges)
    first, second = (table.filter(window=w).sort("name") for w in (0, 1))
    assert first["share"].to_list() == pytest.approx([2 / 3, 1 / 3])
    assert first["users"].to_list() == [3, 3]
    assert first["events"].to_list() == [10, 1]
    assert second["share"].to_list() == [0, 1]
    assert second["users"].to_list() == [2, 2]


def test_a_window_without_users_has_no_shares_and_one_user_no_interval():
    log = make_log([[[0], [], [], [4]]])
    table = measure_shares(label_events(log, make_interests(2), NAMES[:2]), calendar_edges(log, 4))
    assert table.filter(window=1).select("share", "low", "high").null_count().row(0) == (2, 2, 2)
    assert table.filter(window=0).select("share", "low", "high").null_count().row(0) == (0, 2, 2)


def test_shares_add_up_to_1_and_intervals_contain_them():
    interests = make_interests(K)
    log = sample_log(constant_shares(40, K, 1), 12, interests, 2)
    table = measure_shares(label_events(log, interests, NAMES), calendar_edges(log, 3))
    assert table.group_by("window").agg(pl.col("share").sum())["share"].to_list() == pytest.approx([1, 1, 1])
    assert table.select(((pl.col("low") <= pl.col("share")) & (pl.col("share") <= pl.col("high"))).all()).item()
    assert table.select((pl.col("low") >= 0).all() & (pl.col("high") <= 1).all()).item()


def test_intervals_have_their_coverage():
    interests, concentration = make_interests(K), 1.0
    inside = []
    for seed in range(60):
        log = sample_log(constant_shares(60, K, seed, concentration), 6, interests, 1000 + seed)
        table = measure_shares(label_events(log, interests, NAMES), calendar_edges(log, 2))
        inside.append(table.select((pl.col("low") <= 1 / K) & (pl.col("high") >= 1 / K)).to_series().to_numpy())
    assert np.mean(inside) == pytest.approx(0.95, abs=0.035)


def test_an_interest_without_events_has_an_interval():
    log = make_log([[[0]]] * 20)
    table = measure_shares(label_events(log, make_interests(2), NAMES[:2]), np.array([START, START + DAY]))
    row = table.filter(window=0, name="interest 1").row(0, named=True)
    assert row["share"] == row["low"] == 0
    assert 0.05 < row["high"] < 0.2


def median_time(log):
    return int(np.median(log.time))


def test_emerging_and_fading_interests_are_detected():
    interests, rng = make_interests(K), np.random.default_rng(0)
    before, after = rng.dirichlet([4, 2, 2, 2], 150), rng.dirichlet([2, 4, 2, 2], 150)
    shares = np.repeat(np.stack([before, after], 1), 5, axis=1)
    log = sample_log(shares, 10, interests, 1)
    table = measure_trends(label_events(log, interests, NAMES), START + 5 * DAY, 0.05)
    assert table["verdict"].to_list() == ["fading", "emerging", "", ""]
    assert table["change"].to_list()[0] == pytest.approx(-0.2, abs=0.08)
    np.testing.assert_allclose(table["share_late"] - table["share_early"], table["change"])
    assert set(table["users_early"]) == {150}


def test_without_change_trends_are_rarely_reported():
    interests, num_reported, p = make_interests(K), 0, []
    for seed in range(100):
        log = sample_log(constant_shares(60, K, seed), 8, interests, 1000 + seed)
        table = measure_trends(label_events(log, interests, NAMES), START + 4 * DAY, 0.05)
        num_reported += int((table["verdict"] != "").any())
        p.append(table["p"].to_numpy())
    assert num_reported <= 12
    assert np.mean(np.array(p) <= 0.05) < 0.07


def test_a_trend_that_all_users_follow_is_significant():
    interests = make_interests(2)
    log = make_log([[[0], [4]]] * 50)
    table = measure_trends(label_events(log, interests, NAMES[:2]), START + DAY, 0.05)
    assert table["verdict"].to_list() == ["fading", "emerging"]


@pytest.mark.parametrize("users", [MIN_USERS - 1, MIN_USERS])
def test_too_few_users_have_no_trend(users):
    log = make_log([[[0, 0, 4], [4, 4, 0]], [[0, 0, 0, 4], [4]]] * (users // 2) + [[[0], [4]]] * (users % 2))
    table = measure_trends(label_events(log, make_interests(2), NAMES[:2]), START + DAY, 0.05)
    assert (table.select("p", "q").null_count().row(0) == (2, 2)) == (users < MIN_USERS)
    assert (table["verdict"] == "").all() == (users < MIN_USERS)


def test_the_catalogue_shift_is_the_change_of_the_population_shares():
    interests = make_interests(2)
    swing = np.where(np.arange(20)[:, None] < 10, [[0.75, 0.25]], [[0.25, 0.75]])
    log = sample_log(np.broadcast_to(swing, (800, 20, 2)), 20, interests, 1)
    shares = shares_by_half(log, interests)
    ratio = catalogue_shift(shares, calendar_edges(log, 2))
    for interest, expected in ((0, 1 / 3), (1, 3)):
        assert np.median(ratio[shares.interest == interest]) == pytest.approx(
            expected, rel=0.25
        )  # the windows of users change at different times


def test_a_constant_catalogue_has_ratios_near_1():
    interests = make_interests(K)
    log = sample_log(constant_shares(500, K, 1), 12, interests, 2)
    ratio = catalogue_shift(shares_by_half(log, interests), calendar_edges(log, 4))
    assert np.abs(np.log(ratio)).max() < 0.3


def test_a_window_with_one_user_does_not_look_like_a_shift():
    interests = make_interests(2)
    log = make_log([[[0], [4], [0], [4], [4]]] + [[[0], [4], [0], [4]]] * 100)  # only one user has events in the last window
    ratio = catalogue_shift(shares_by_half(log, interests), START + np.array([0, 2, 4, 5]) * DAY)
    assert np.abs(np.log(ratio)).max() < 0.3


def test_users_with_one_window_have_a_ratio_of_1():
    log = make_log([[[0]], [[0], [4]], []])
    shares = shares_by_half(log, make_interests(2))
    assert catalogue_shift(shares, calendar_edges(log, 2))[shares.user == 0].tolist() == [1]


def test_times_are_utc_and_may_be_before_1970():
    times = to_datetimes(np.array([0, -DAY, 4_102_444_800]))
    assert times.dtype == pl.Datetime("us", "UTC")
    assert times.dt.to_string("%Y-%m-%d").to_list() == ["1970-01-01", "1969-12-31", "2100-01-01"]
