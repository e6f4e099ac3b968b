"""Flows between interests: transport, and what chance makes flow."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linprog
from session_logs import DAY, START, alike, context_of, drawn, halved, made, shop

from interestlab.drift.flow import measure_flows, transport, transport_cost
from interestlab.drift.population import calendar_edges, catalogue_shift
from interestlab.drift.sections.flows import list_flows, measure_all_flows
from interestlab.drift.settings import Settings

pytest.importorskip("ot")
K = 4


@st.composite
def problems(draw):
    many = draw(st.integers(1, 6))
    counts = draw(arrays(np.int64, (2, many), elements=st.integers(0, 9)))
    assume(counts.sum(1).all())
    cost = draw(arrays(float, (many, many), elements=st.floats(0, 2)))
    np.fill_diagonal(cost, 0)
    return *(counts / counts.sum(1, keepdims=True)), cost


@settings(deadline=None)
@given(problems())
def test_transport_keeps_the_margins_and_what_both_have(problem):
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
    given_up, taken = np.maximum(p - p2, 0), np.maximum(p2 - p, 0)
    moved = given_up.sum()
    independent = (np.outer(given_up, taken) * cost).sum() / moved if moved > 1e-9 else 0
    assert (transport(p, p2, cost) * cost).sum() <= independent + 1e-9
    assert (transport(p, p2, cost) * cost).sum() <= (np.outer(p, p2) * cost).sum() + 1e-6 or not _metric(cost)


def _metric(cost):
    return (cost[:, None] <= cost[:, :, None] + cost[None] + 1e-12).all()


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_of_a_metric_no_plan_is_cheaper(seed):
    """What both have may stay where it is only because the cost is a metric."""
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(5, 2))
    cost = np.linalg.norm(places[:, None] - places, axis=-1)
    p, p2 = rng.dirichlet(np.ones(5), 2)
    margins = np.vstack([np.kron(np.eye(5), np.ones(5)), np.kron(np.ones(5), np.eye(5))])
    best = linprog(cost.ravel(), A_eq=margins, b_eq=np.r_[p, p2]).fun
    assert (transport(p, p2, cost) * cost).sum() == pytest.approx(best, abs=1e-7)


def test_the_cost_is_1_less_the_cosine_of_centroids():
    shopped = shop(3)
    mean = np.array([shopped.vectors[shopped.item_interest == k].mean(0) for k in range(3)])
    cosine = mean[0] @ mean[1] / np.linalg.norm(mean[0]) / np.linalg.norm(mean[1])
    cost = transport_cost(shopped)
    assert cost[0, 1] == pytest.approx(1 - cosine, abs=1e-6)
    assert cost[1, 0] == pytest.approx(cost[0, 1])
    assert not np.diag(cost).any()


def whole(shares, draws=49, seed=0):
    everyone = np.arange(len(shares.log.users))
    return measure_flows(
        shares, everyone, transport_cost(shares.interests), np.ones(len(shares.user)), draws, np.random.default_rng(seed)
    )


def test_equal_windows_let_nothing_flow():
    found = whole(halved(made([[[0], [5], [0], [5]], [[9, 9], [9]]]), shop(K)))
    assert not found.flow.any()
    assert found.users == 2


def test_a_swing_flows_from_its_source_to_its_destination_once_a_user():
    shopped = shop(K)
    swung = [[[0]] * 6 + [[4]] * 6, [[0, 1]] * 12 + [[4]] * 12]
    shares = halved(made(swung * 15 + [[[8]] * 8] * 15 + [[[8]]]), shopped)
    found = whole(shares)
    assert found.users == 45  # one session has no second window
    wanted = np.zeros((K, K))
    wanted[0, 1] = 2 / 3
    np.testing.assert_allclose(found.flow, wanted, atol=1e-6)
    assert found.p[0, 1] < 1e-4
    assert found.by_chance[0, 1] < 0.4


def test_a_flow_of_few_users_is_not_tested():
    found = whole(halved(made([[[0]] * 6 + [[4]] * 6] * 5), shop(K)))
    assert found.flow[0, 1] == pytest.approx(1)
    assert np.isnan(found.p).all()
    assert list_flows(found, shop(K).names).select("p").null_count().row(0) == (1,)


def test_a_user_who_only_went_along_with_the_catalogue_lets_nothing_flow():
    shopped = shop(2)
    shares = halved(made([[[0], [0], [0], [4], [0], [4], [4], [4]]]), shopped)
    ratio = np.array([1 / 3, 3.0])  # from 3 : 1 to 1 : 3
    found = measure_flows(shares, np.array([0]), transport_cost(shopped), ratio, 9, np.random.default_rng(0))
    np.testing.assert_allclose(found.flow, 0, atol=1e-6)


def test_without_change_there_is_no_excess_and_p_values_are_near_their_level():
    shopped = shop(K)
    found = [whole(halved(drawn(alike(60, K, 500 + s), 12, shopped, 100 + s), shopped), seed=s) for s in range(12)]
    between = ~np.eye(K, dtype=bool)
    excess = np.array([(f.flow - f.by_chance)[between] for f in found])
    assert abs(excess.mean()) < 4 * excess.mean(1).std() / np.sqrt(len(found))
    p = np.array([f.p[between] for f in found])
    assert (p <= 0.05).mean() < 0.13  # flows of one group hang together: far looser than a binomial bound
    assert np.abs(excess).max() < 0.05


@pytest.mark.parametrize("sessions", [2, 4])
def test_short_histories_together_show_a_flow(sessions):
    """Groups of one shape share partitions; if their sums did too, the flows of users of two sessions could never be told."""
    shares = halved(made([[[0]] * (sessions // 2) + [[4]] * (sessions // 2) for _ in range(100)]), shop(2))
    found = whole(shares)
    assert found.flow[0, 1] == pytest.approx(1)
    assert found.by_chance[0, 1] == pytest.approx(0.5 if sessions == 2 else 1 / 6, abs=0.1)
    assert found.p[0, 1] < 1e-4


def test_the_table_tells_all_of_it_and_every_step():
    shopped = shop(2)
    shares = halved(made([[[0]] * 20 + [[4]] * 20 for _ in range(8)]), shopped)
    edges = START + np.array([0, 10, 20, 30, 41]) * DAY
    settings = Settings(windows=4, flow_users=5)

    def measure(shares):
        given = {"shares": shares, "shift_ratio": np.ones(len(shares.user)), "window_edges": edges}
        context = context_of(shares.log, shopped, settings=settings, _segmented=(None, np.random.default_rng(0)), **given)
        return measure_all_flows(context)

    table = measure(shares)
    swung = table.filter(flow=1.0)
    assert swung["step"].to_list() == [-1, 1]  # over all, and between the second and the third window
    assert swung["source"].to_list() == ["interest 0"] * 2
    assert swung["users"].to_list() == [5, 5]
    assert swung["start"].dt.timestamp("ms").to_list() == [int(edges[0]) * 1000, int(edges[1]) * 1000]
    assert swung["end"].dt.timestamp("ms").to_list() == [int(edges[-1]) * 1000, int(edges[3]) * 1000]
    short = halved(made([[[0]]] * 3), shopped)  # of whom no windows can be compared
    nobody = measure(short)
    assert nobody.schema == table.schema
    assert nobody.height == 0


def test_no_flow_has_no_rows():
    table = list_flows(whole(halved(made([[[0], [0]]]), shop(2))), ["a", "b"])
    assert table.height == 0
    assert table.columns == ["source", "destination", "flow", "by_chance", "excess", "p", "users"]


@pytest.mark.parametrize("slope", [pytest.param(1.0, marks=pytest.mark.slow), 2.0])
def test_a_drift_of_the_catalogue_is_no_flow(slope):
    """Everyone's attention goes from the first interests to the last over time; nobody's liking changes."""
    shopped = shop(K)
    p = []
    for seed in range(8):
        liking = alike(80, K, 900 + seed, sharp=2.0)
        tilt = slope ** (np.linspace(-1, 1, 16)[:, None] * np.linspace(-1, 1, K))
        shares = liking * tilt
        log = drawn(shares / shares.sum(-1, keepdims=True), 16, shopped, seed)
        shares = halved(log, shopped)
        ratio = catalogue_shift(shares, calendar_edges(log, 8))
        rng = np.random.default_rng(seed)
        p.append(measure_flows(shares, np.arange(80), transport_cost(shopped), ratio, 49, rng).p[~np.eye(K, dtype=bool)])
    assert (np.array(p) <= 0.05).mean() < 0.15
