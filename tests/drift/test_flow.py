"""Flows between interests: optimal transport, and flows under the null hypothesis."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linprog
from session_logs import DAY, START, constant_shares, make_context, make_interests, make_log, sample_log, shares_by_half

from interestlab.drift.flow import measure_flows, transport, transport_cost
from interestlab.drift.population import calendar_edges, catalogue_shift
from interestlab.drift.sections.flows import list_flows, measure_all_flows
from interestlab.drift.settings import Settings

pytest.importorskip("ot")
K = 4


@st.composite
def problems(draw):
    count = draw(st.integers(1, 6))
    counts = draw(arrays(np.int64, (2, count), elements=st.integers(0, 9)))
    assume(counts.sum(1).all())
    cost = draw(arrays(float, (count, count), elements=st.floats(0, 2)))
    np.fill_diagonal(cost, 0)
    return *(counts / counts.sum(1, keepdims=True)), cost


@settings(deadline=None)
@given(problems())
def test_transport_preserves_the_margins_and_the_shares_in_common(problem):
    p, p2, cost = problem
    flow = transport(p, p2, cost)
    assert (flow >= -1e-12).all()
    np.testing.assert_allclose(flow.sum(1), p, atol=1e-9)
    np.testing.assert_allclose(flow.sum(0), p2, atol=1e-9)
    np.testing.assert_allclose(np.diag(flow), np.minimum(p, p2), atol=1e-9)


@settings(deadline=None)
@given(problems())
def test_transport_costs_no_more_than_independence(problem):
    p, p2, cost = problem
    removed, added = np.maximum(p - p2, 0), np.maximum(p2 - p, 0)
    total = removed.sum()
    independent = (np.outer(removed, added) * cost).sum() / total if total > 1e-9 else 0
    assert (transport(p, p2, cost) * cost).sum() <= independent + 1e-9
    assert (transport(p, p2, cost) * cost).sum() <= (np.outer(p, p2) * cost).sum() + 1e-6 or not is_metric(cost)


def is_metric(cost):
    return (cost[:, None] <= cost[:, :, None] + cost[None] + 1e-12).all()


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_transport_is_optimal_for_a_metric(seed):
    """The shares in common may stay in place only because the cost is a metric."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(5, 2))
    cost = np.linalg.norm(points[:, None] - points, axis=-1)
    p, p2 = rng.dirichlet(np.ones(5), 2)
    margins = np.vstack([np.kron(np.eye(5), np.ones(5)), np.kron(np.ones(5), np.eye(5))])
    minimum = linprog(cost.ravel(), A_eq=margins, b_eq=np.r_[p, p2]).fun
    assert (transport(p, p2, cost) * cost).sum() == pytest.approx(minimum, abs=1e-7)


def test_the_cost_is_1_minus_the_cosine_of_centroids():
    interests = make_interests(3)
    mean = np.array([interests.vectors[interests.item_interest == k].mean(0) for k in range(3)])
    cosine = mean[0] @ mean[1] / np.linalg.norm(mean[0]) / np.linalg.norm(mean[1])
    cost = transport_cost(interests)
    assert cost[0, 1] == pytest.approx(1 - cosine, abs=1e-6)
    assert cost[1, 0] == pytest.approx(cost[0, 1])
    assert not np.diag(cost).any()


def measure_all_users(shares, draws=49, seed=0):
    all_users = np.arange(len(shares.log.users))
    return measure_flows(
        shares, all_users, transport_cost(shares.interests), np.ones(len(shares.user)), draws, np.random.default_rng(seed)
    )


def test_equal_windows_have_no_flow():
    flows = measure_all_users(shares_by_half(make_log([[[0], [5], [0], [5]], [[9, 9], [9]]]), make_interests(K)))
    assert not flows.flow.any()
    assert flows.users == 2


def test_a_swing_flows_from_source_to_destination_with_equal_weight_per_user():
    interests = make_interests(K)
    histories = [[[0]] * 6 + [[4]] * 6, [[0, 1]] * 12 + [[4]] * 12]
    shares = shares_by_half(make_log(histories * 15 + [[[8]] * 8] * 15 + [[[8]]]), interests)
    flows = measure_all_users(shares)
    assert flows.users == 45  # one session has no second window
    expected = np.zeros((K, K))
    expected[0, 1] = 2 / 3
    np.testing.assert_allclose(flows.flow, expected, atol=1e-6)
    assert flows.p[0, 1] < 1e-4
    assert flows.under_null[0, 1] < 0.4


def test_a_flow_of_few_users_is_not_tested():
    flows = measure_all_users(shares_by_half(make_log([[[0]] * 6 + [[4]] * 6] * 5), make_interests(K)))
    assert flows.flow[0, 1] == pytest.approx(1)
    assert np.isnan(flows.p).all()
    assert list_flows(flows, make_interests(K).names).select("p").null_count().row(0) == (1,)


def test_a_user_who_follows_the_catalogue_shift_has_no_flow():
    interests = make_interests(2)
    shares = shares_by_half(make_log([[[0], [0], [0], [4], [0], [4], [4], [4]]]), interests)
    ratio = np.array([1 / 3, 3.0])  # from 3 : 1 to 1 : 3
    flows = measure_flows(shares, np.array([0]), transport_cost(interests), ratio, 9, np.random.default_rng(0))
    np.testing.assert_allclose(flows.flow, 0, atol=1e-6)


def test_without_change_flows_have_no_excess_and_p_values_keep_their_level():
    interests = make_interests(K)
    flows = [
        measure_all_users(
            shares_by_half(sample_log(constant_shares(60, K, 500 + s), 12, interests, 100 + s), interests), seed=s
        )
        for s in range(12)
    ]
    between = ~np.eye(K, dtype=bool)
    excess = np.array([(f.flow - f.under_null)[between] for f in flows])
    assert abs(excess.mean()) < 4 * excess.mean(1).std() / np.sqrt(len(flows))
    p = np.array([f.p[between] for f in flows])
    assert (p <= 0.05).mean() < 0.13  # flows of one sample are correlated, so the bound is looser than a binomial one
    assert np.abs(excess).max() < 0.05


@pytest.mark.parametrize("sessions", [2, 4])
def test_pooled_short_histories_show_a_flow(sessions):
    """Users with equally many sessions share partitions; if their sums did too, short histories could never be significant."""
    shares = shares_by_half(
        make_log([[[0]] * (sessions // 2) + [[4]] * (sessions // 2) for _ in range(100)]), make_interests(2)
    )
    flows = measure_all_users(shares)
    assert flows.flow[0, 1] == pytest.approx(1)
    assert flows.under_null[0, 1] == pytest.approx(0.5 if sessions == 2 else 1 / 6, abs=0.1)
    assert flows.p[0, 1] < 1e-4


def test_the_table_lists_the_overall_flow_and_every_step():
    interests = make_interests(2)
    shares = shares_by_half(make_log([[[0]] * 20 + [[4]] * 20 for _ in range(8)]), interests)
    edges = START + np.array([0, 10, 20, 30, 41]) * DAY
    settings = Settings(windows=4, flow_users=5)

    def measure(shares):
        overrides = {"shares": shares, "shift_ratio": np.ones(len(shares.user)), "window_edges": edges}
        context = make_context(
            shares.log, interests, settings=settings, _segmented=(None, np.random.default_rng(0)), **overrides
        )
        return measure_all_flows(context)

    table = measure(shares)
    full_flows = table.filter(flow=1.0)
    assert full_flows["step"].to_list() == [-1, 1]  # overall, and from the second window to the third
    assert full_flows["source"].to_list() == ["interest 0"] * 2
    assert full_flows["users"].to_list() == [5, 5]
    assert full_flows["start"].dt.timestamp("ms").to_list() == [int(edges[0]) * 1000, int(edges[1]) * 1000]
    assert full_flows["end"].dt.timestamp("ms").to_list() == [int(edges[-1]) * 1000, int(edges[3]) * 1000]
    one_session = shares_by_half(make_log([[[0]]] * 3), interests)  # no windows to compare
    empty = measure(one_session)
    assert empty.schema == table.schema
    assert empty.height == 0


def test_no_flows_give_an_empty_table():
    table = list_flows(measure_all_users(shares_by_half(make_log([[[0], [0]]]), make_interests(2))), ["a", "b"])
    assert table.height == 0
    assert table.columns == ["source", "destination", "flow", "under_null", "excess", "p", "users"]


@pytest.mark.parametrize("slope", [pytest.param(1.0, marks=pytest.mark.slow), 2.0])
def test_a_catalogue_shift_is_not_a_flow(slope):
    """The shares of all users move from the first interests to the last over time; no preference changes."""
    interests = make_interests(K)
    p = []
    for seed in range(8):
        preferences = constant_shares(80, K, 900 + seed, concentration=2.0)
        tilt = slope ** (np.linspace(-1, 1, 16)[:, None] * np.linspace(-1, 1, K))
        shares = preferences * tilt
        log = sample_log(shares / shares.sum(-1, keepdims=True), 16, interests, seed)
        shares = shares_by_half(log, interests)
        ratio = catalogue_shift(shares, calendar_edges(log, 8))
        rng = np.random.default_rng(seed)
        p.append(measure_flows(shares, np.arange(80), transport_cost(interests), ratio, 49, rng).p[~np.eye(K, dtype=bool)])
    assert (np.array(p) <= 0.05).mean() < 0.15
