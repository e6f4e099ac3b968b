"""The table of users: estimates and verdicts, and nulls for users without enough evidence."""

import numpy as np
import polars as pl
import pytest
from session_logs import constant_shares, log_from_events, make_interests, make_items, make_log, sample_log, shares_by_half

from interestlab.drift.population import calendar_edges, catalogue_shift
from interestlab.drift.sections import users as users_section
from interestlab.drift.sections.users import analyse_users
from interestlab.drift.settings import Settings
from interestlab.drift.shares import InterestShares, sessions_since
from interestlab.drift.verdicts import BOTH, EVOLVED, INSUFFICIENT_EVIDENCE, MIGRATED, NO_CHANGE

K = 4
SETTINGS = Settings(permutations=99)
VERDICTS = {MIGRATED, EVOLVED, BOTH, NO_CHANGE, INSUFFICIENT_EVIDENCE}
ESTIMATED = (
    *("source", "destination", "moved", "tv", "js", "p_tv", "p_js", "p_migration", "q_migration", "tv_under_null", "migration"),
    *("evolution", "p_evolution", "q_evolution", "evolved_in", "entropy_before", "entropy_after", "p_entropy"),
    *("intensity_before", "intensity_after", "depth_before", "depth_after", "p_depth"),
)


def make_table(shares, settings=SETTINGS, with_shift=False):
    ratio = np.ones(len(shares.user))
    if with_shift:
        ratio = catalogue_shift(shares, calendar_edges(shares.log, 6))
    return analyse_users(shares, ratio, settings)


def plant_changes(seed=0, users_per_kind=100, sessions=60):
    """Shares of users who migrate, users who evolve, unchanged users, and users with few sessions."""
    rng = np.random.default_rng(seed)
    source = rng.integers(K, size=users_per_kind)
    destination = (source + rng.integers(1, K, size=users_per_kind)) % K
    constant = rng.dirichlet(np.full(K, 3), (3 * users_per_kind, 1))
    shares = np.repeat(constant, sessions, axis=1)
    late = np.arange(sessions) >= sessions // 2
    shares[:users_per_kind] *= 0.2
    shares[np.arange(users_per_kind)[:, None], np.flatnonzero(~late), source[:, None]] += 0.8
    shares[np.arange(users_per_kind)[:, None], np.flatnonzero(late), destination[:, None]] += 0.8
    leaf_shares = np.full((3 * users_per_kind, sessions, 2), 0.5)
    leaf_shares[users_per_kind : 2 * users_per_kind, ~late] = [0.97, 0.03]
    leaf_shares[users_per_kind : 2 * users_per_kind, late] = [0.03, 0.97]
    shares, leaf_shares = (np.concatenate([array, array[-20:]]) for array in (shares, leaf_shares))
    session_counts = np.r_[np.full(3 * users_per_kind, sessions), np.full(20, 3)]
    log = sample_log(shares, session_counts, make_interests(K), seed + 1, leaf_shares=leaf_shares)
    depth = np.random.default_rng(seed).choice([0, 0.5, 1], len(log.time))
    log = log_from_events(log.user, log.time, log.item, users=len(session_counts), items=log.items, depth=depth)
    return shares_by_half(log, make_interests(K)), source, destination


@pytest.fixture(scope="module")
def results():
    shares, source, destination = plant_changes()
    return make_table(shares), shares, source, destination


def test_one_row_per_user_in_order(results):
    users, shares, *_ = results
    log = shares.log
    assert users["user_id"].to_list() == log.users.to_list()
    assert users["events"].to_list() == np.diff(log.offsets).tolist()
    assert users["sessions"].to_list() == np.diff(log.session_offsets).tolist()
    assert set(users["verdict"]) <= VERDICTS
    assert (
        users["middle"].dt.epoch("s").to_list()
        == log.time[
            shares.is_after[log.session].nonzero()[0][
                np.searchsorted(log.user[shares.is_after[log.session]], np.arange(len(log.users)))
            ]
        ].tolist()
    )
    assert (users["first"] <= users["middle"]).all()
    assert (users["middle"] <= users["last"]).all()


def test_migrators_and_evolvers_are_detected(results):
    users, _, source, destination = results
    migrants, evolvers, unchanged = (users[100 * k : 100 * k + 100] for k in range(3))
    moved = migrants["verdict"].is_in([MIGRATED, BOTH]).to_numpy()
    assert moved.mean() > 0.9
    names = np.array(make_interests(K).names)
    assert (migrants["source"].to_numpy()[moved] == names[source][moved]).mean() > 0.95
    assert (migrants["destination"].to_numpy()[moved] == names[destination][moved]).mean() > 0.95
    assert evolvers["verdict"].is_in([EVOLVED, BOTH]).mean() > 0.8
    assert migrants["verdict"].is_in([EVOLVED, BOTH]).mean() <= 0.08
    assert evolvers["verdict"].is_in([MIGRATED, BOTH]).mean() <= 0.08
    assert unchanged["verdict"].is_in([MIGRATED, EVOLVED, BOTH]).mean() <= 0.05
    assert unchanged["verdict"].eq(NO_CHANGE).mean() > 0.9


def test_a_small_catalogue_shift_hides_no_migrators(results):
    """The ratios are near 1, because about equally many users migrate in each direction."""
    users, shares, *_ = results
    ratio = catalogue_shift(shares, calendar_edges(shares.log, 6))
    assert np.abs(np.log(ratio)).max() < 0.5
    weighted = make_table(shares, with_shift=True)
    num_plain, num_weighted = (table["verdict"][:100].is_in([MIGRATED, BOTH]).sum() for table in (users, weighted))
    assert num_weighted >= num_plain - 10


def test_estimates_are_null_only_without_enough_evidence(results):
    users = results[0]
    insufficient = users.filter(verdict=INSUFFICIENT_EVIDENCE)
    assert insufficient.height >= 20
    assert insufficient.select(ESTIMATED).null_count().row(0) == (insufficient.height,) * len(ESTIMATED)
    sufficient = users.filter(pl.col("verdict") != INSUFFICIENT_EVIDENCE)
    assert sufficient.height > 250
    not_comparable = sufficient.filter(pl.col("p_evolution").is_null())  # have no interest in both windows
    assert not_comparable.height <= 5
    assert set(not_comparable["verdict"]) <= {MIGRATED, NO_CHANGE}
    numbers = sufficient.filter(pl.col("p_evolution").is_not_null())
    assert set(numbers.null_count().row(0)) == {0}
    numbers = numbers.select(pl.selectors.float())
    assert np.isfinite(numbers.to_numpy()).all()


def test_p_and_q_and_verdicts_agree(results):
    users = results[0].filter(pl.col("verdict") != INSUFFICIENT_EVIDENCE)
    for kind, verdict in (("migration", MIGRATED), ("evolution", EVOLVED)):
        assert (users[f"q_{kind}"] >= users[f"p_{kind}"] - 1e-9).all()
        is_reported = users["verdict"].is_in([verdict, BOTH])
        assert (is_reported == (users[f"q_{kind}"] <= SETTINGS.significance_level)).all()
    assert users.select(pl.col("tv").is_between(0, 1) & pl.col("js").is_between(0, 1)).to_series().all()


def test_too_few_sessions_are_insufficient_for_any_number_of_events():
    """With one session in each window there are two permutations: no p-value is below 1/2, so no change can be detected."""
    rng = np.random.default_rng(0)
    histories = [[rng.choice([0, 4, 8, 12], 40).tolist() for _ in range(n)] for n in [12] * 30 + [2, 2, 3]]
    histories.append([[0] * 40, [4] * 40])
    users = make_table(shares_by_half(make_log(histories), make_interests(K)))
    assert users["verdict"][-4:].to_list() == [INSUFFICIENT_EVIDENCE] * 4


def test_unchanged_users_are_rarely_reported_as_changed():
    num_reported = []
    for seed in range(4):
        users = make_table(
            shares_by_half(sample_log(constant_shares(300, K, seed), 30, make_interests(K), 100 + seed), make_interests(K))
        )
        num_reported.append(users["verdict"].is_in([MIGRATED, EVOLVED, BOTH]).sum())
    assert sum(num_reported) <= 0.02 * 1200


def test_tables_are_reproducible_and_differ_by_noise_between_seeds():
    shares, *_ = plant_changes(3, users_per_kind=20)
    first, again = (make_table(shares) for _ in range(2))
    assert first.equals(again)
    other = make_table(shares, Settings(permutations=99, seed=5))
    assert first.select("tv", "moved", "source", "intensity_after").equals(
        other.select("tv", "moved", "source", "intensity_after")
    )
    p, p2 = (t["p_migration"].drop_nulls().to_numpy() for t in (first, other))
    is_large = np.maximum(p, p2) > SETTINGS.significance_level  # smaller p-values use 20 times as many permutations
    assert np.abs(p - p2)[is_large].max() < 5 * np.sqrt(2 * 0.25 / 100)
    assert np.abs(p - p2)[~is_large].max() < 5 * np.sqrt(2 * 0.05 / 100)


def test_the_block_size_matters_only_through_the_random_numbers(monkeypatch):
    shares, *_ = plant_changes(3, users_per_kind=20)
    one_block = make_table(shares)
    monkeypatch.setattr(users_section, "BLOCK", 7)
    many_blocks = make_table(shares)
    exact = ["user_id", "events", "sessions", "first", "middle", "last", "source", "destination", "evolved_in", "tv", "moved"]
    assert (
        one_block.drop(pl.selectors.starts_with("p_", "q_"), "tv_under_null", "verdict")
        .select(exact[:6])
        .equals(many_blocks.select(exact[:6]))
    )
    np.testing.assert_allclose(*(table["tv"].drop_nulls() for table in (one_block, many_blocks)), atol=1e-6)
    np.testing.assert_allclose(*(table["evolution"].drop_nulls() for table in (one_block, many_blocks)), atol=1e-6)
    assert (one_block["verdict"] == many_blocks["verdict"]).mean() > 0.95


@pytest.mark.parametrize("block", [1, 5_000])
def test_users_without_events_have_insufficient_evidence(monkeypatch, block):
    monkeypatch.setattr(users_section, "BLOCK", block)
    log = make_log([[], [[0], [4]], [], [[0]], []], users=5)
    users = make_table(shares_by_half(log, make_interests(2)))
    assert users["verdict"].to_list() == [INSUFFICIENT_EVIDENCE] * 5
    assert users["events"].to_list() == [0, 2, 0, 1, 0]
    assert users["first"].is_null().to_list() == [True, False, True, False, True]
    assert users["last"].is_null().to_list() == [True, False, True, False, True]
    assert users["middle"].is_null().to_list() == [True, False, True, True, True]


@pytest.mark.parametrize("boundary", [0, 2**33])
def test_a_boundary_outside_the_log_gives_no_verdicts(boundary):
    log = sample_log(constant_shares(5, K, 0), 40, make_interests(K), 1)
    users = make_table(InterestShares(log, make_interests(K), sessions_since(log, boundary)))
    assert set(users["verdict"]) == {INSUFFICIENT_EVIDENCE}


def test_users_with_a_single_item_have_not_changed():
    users = make_table(shares_by_half(make_log([[[0]] * 60] * 3), make_interests(1)))
    assert users["verdict"].to_list() == [NO_CHANGE] * 3
    assert users["moved"].to_list() == [0, 0, 0]
    assert users["source"].null_count() == users["destination"].null_count() == 3
    assert users["depth_before"].null_count() == 3  # the log has no types


def test_user_ids_may_be_any_text():
    log = make_log([[[0]] * 3] * 3)
    names = ["9" * 40, "数码", 'a"b,c\n']
    renamed = type(log)(**{f: getattr(log, f) for f in log.__dataclass_fields__} | {"users": pl.Series(names)})
    assert make_table(shares_by_half(renamed, make_interests(1)))["user_id"].to_list() == names


def test_an_empty_log_has_one_row_per_user():
    empty = log_from_events(np.empty(0), np.empty(0), np.empty(0), users=2, items=make_items(8))
    assert make_table(shares_by_half(empty, make_interests(2)))["verdict"].to_list() == [INSUFFICIENT_EVIDENCE] * 2
