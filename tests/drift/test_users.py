"""The table of users: what is told of each, and of whom nothing is told."""

import numpy as np
import polars as pl
import pytest
from session_logs import alike, drawn, flat, halved, items_of, made, shop

from interestlab.drift.population import calendar_edges, catalogue_shift
from interestlab.drift.sections import users as module
from interestlab.drift.sections.users import analyse_users
from interestlab.drift.settings import Settings
from interestlab.drift.shares import InterestShares, sessions_since
from interestlab.drift.verdicts import BOTH, EVOLVED, INSUFFICIENT_EVIDENCE, MIGRATED, NO_CHANGE

K = 4
SETTINGS = Settings(permutations=99)
VERDICTS = {MIGRATED, EVOLVED, BOTH, NO_CHANGE, INSUFFICIENT_EVIDENCE}
ESTIMATED = (
    *("source", "destination", "moved", "tv", "js", "p_tv", "p_js", "p_migration", "q_migration", "tv_by_chance", "migration"),
    *("evolution", "p_evolution", "q_evolution", "evolved_in", "entropy_before", "entropy_after", "p_entropy"),
    *("intensity_before", "intensity_after", "depth_before", "depth_after", "p_depth"),
)


def table(shares, settings=SETTINGS, drift=False):
    ratio = np.ones(len(shares.user))
    if drift:
        ratio = catalogue_shift(shares, calendar_edges(shares.log, 6))
    return analyse_users(shares, ratio, settings)


def planted(seed=0, each=100, sessions=60):
    """Users who migrate, who evolve, of whom neither is true, and who are hardly there."""
    rng = np.random.default_rng(seed)
    source = rng.integers(K, size=each)
    destination = (source + rng.integers(1, K, size=each)) % K
    still = rng.dirichlet(np.full(K, 3), (3 * each, 1))
    shares = np.repeat(still, sessions, axis=1)
    late = np.arange(sessions) >= sessions // 2
    shares[:each] *= 0.2
    shares[np.arange(each)[:, None], np.flatnonzero(~late), source[:, None]] += 0.8
    shares[np.arange(each)[:, None], np.flatnonzero(late), destination[:, None]] += 0.8
    leaves = np.full((3 * each, sessions, 2), 0.5)
    leaves[each : 2 * each, ~late] = [0.97, 0.03]
    leaves[each : 2 * each, late] = [0.03, 0.97]
    shares, leaves = (np.concatenate([a, a[-20:]]) for a in (shares, leaves))
    many = np.r_[np.full(3 * each, sessions), np.full(20, 3)]
    log = drawn(shares, many, shop(K), seed + 1, leaf_shares=leaves)
    depth = np.random.default_rng(seed).choice([0, 0.5, 1], len(log.time))
    log = flat(log.user, log.time, log.item, users=len(many), items=log.items, depth=depth)
    return halved(log, shop(K)), source, destination


@pytest.fixture(scope="module")
def found():
    shares, source, destination = planted()
    return table(shares), shares, source, destination


def test_a_row_for_every_user_in_their_order(found):
    told, shares, *_ = found
    log = shares.log
    assert told["user_id"].to_list() == log.users.to_list()
    assert told["events"].to_list() == np.diff(log.offsets).tolist()
    assert told["sessions"].to_list() == np.diff(log.session_offsets).tolist()
    assert set(told["verdict"]) <= VERDICTS
    assert (
        told["middle"].dt.epoch("s").to_list()
        == log.time[
            shares.is_after[log.session].nonzero()[0][
                np.searchsorted(log.user[shares.is_after[log.session]], np.arange(len(log.users)))
            ]
        ].tolist()
    )
    assert (told["first"] <= told["middle"]).all()
    assert (told["middle"] <= told["last"]).all()


def test_those_who_changed_are_found_with_what_changed(found):
    told, _, source, destination = found
    migrants, evolvers, still = (told[100 * k : 100 * k + 100] for k in range(3))
    moved = migrants["verdict"].is_in([MIGRATED, BOTH]).to_numpy()
    assert moved.mean() > 0.9
    names = np.array(shop(K).names)
    assert (migrants["source"].to_numpy()[moved] == names[source][moved]).mean() > 0.95
    assert (migrants["destination"].to_numpy()[moved] == names[destination][moved]).mean() > 0.95
    assert evolvers["verdict"].is_in([EVOLVED, BOTH]).mean() > 0.8
    assert migrants["verdict"].is_in([EVOLVED, BOTH]).mean() <= 0.08
    assert evolvers["verdict"].is_in([MIGRATED, BOTH]).mean() <= 0.08
    assert still["verdict"].is_in([MIGRATED, EVOLVED, BOTH]).mean() <= 0.05
    assert still["verdict"].eq(NO_CHANGE).mean() > 0.9


def test_a_catalogue_that_hardly_drifts_hides_no_migrator(found):
    """The ratios here are near 1: made by as many migrators in every direction, and by chance."""
    told, shares, *_ = found
    ratio = catalogue_shift(shares, calendar_edges(shares.log, 6))
    assert np.abs(np.log(ratio)).max() < 0.5
    weighted = table(shares, drift=True)
    seen, still_seen = (t["verdict"][:100].is_in([MIGRATED, BOTH]).sum() for t in (told, weighted))
    assert still_seen >= seen - 10


def test_of_users_without_enough_evidence_no_number_is_told_and_of_others_every_one(found):
    told = found[0]
    few = told.filter(verdict=INSUFFICIENT_EVIDENCE)
    assert few.height >= 20
    assert few.select(ESTIMATED).null_count().row(0) == (few.height,) * len(ESTIMATED)
    others = told.filter(pl.col("verdict") != INSUFFICIENT_EVIDENCE)
    assert others.height > 250
    never = others.filter(pl.col("p_evolution").is_null())  # met no interest in both windows
    assert never.height <= 5
    assert set(never["verdict"]) <= {MIGRATED, NO_CHANGE}
    numbers = others.filter(pl.col("p_evolution").is_not_null())
    assert set(numbers.null_count().row(0)) == {0}
    numbers = numbers.select(pl.selectors.float())
    assert np.isfinite(numbers.to_numpy()).all()


def test_p_and_q_and_verdicts_agree(found):
    told = found[0].filter(pl.col("verdict") != INSUFFICIENT_EVIDENCE)
    for what, verdict in (("migration", MIGRATED), ("evolution", EVOLVED)):
        assert (told[f"q_{what}"] >= told[f"p_{what}"] - 1e-9).all()
        said = told["verdict"].is_in([verdict, BOTH])
        assert (said == (told[f"q_{what}"] <= SETTINGS.significance_level)).all()
    assert told.select(pl.col("tv").is_between(0, 1) & pl.col("js").is_between(0, 1)).to_series().all()


def test_too_few_sessions_are_too_little_however_many_events_they_have():
    """Two windows of a session each can be permuted in two ways: no p-value below 1/2, so nothing was ever going to be seen."""
    rng = np.random.default_rng(0)
    mixed = [[rng.choice([0, 4, 8, 12], 40).tolist() for _ in range(n)] for n in [12] * 30 + [2, 2, 3]]
    mixed.append([[0] * 40, [4] * 40])
    told = table(halved(made(mixed), shop(K)))
    assert told["verdict"][-4:].to_list() == [INSUFFICIENT_EVIDENCE] * 4


def test_nulls_are_hardly_ever_called_though_many_are_tested():
    called = []
    for seed in range(4):
        told = table(halved(drawn(alike(300, K, seed), 30, shop(K), 100 + seed), shop(K)))
        called.append(told["verdict"].is_in([MIGRATED, EVOLVED, BOTH]).sum())
    assert sum(called) <= 0.02 * 1200


def test_same_seed_same_table_and_another_seed_but_noise():
    shares, *_ = planted(3, each=20)
    first, again = (table(shares) for _ in range(2))
    assert first.equals(again)
    other = table(shares, Settings(permutations=99, seed=5))
    assert first.select("tv", "moved", "source", "intensity_after").equals(
        other.select("tv", "moved", "source", "intensity_after")
    )
    p, p2 = (t["p_migration"].drop_nulls().to_numpy() for t in (first, other))
    close = np.maximum(p, p2) > SETTINGS.significance_level  # below, 20 times as many are drawn
    assert np.abs(p - p2)[close].max() < 5 * np.sqrt(2 * 0.25 / 100)
    assert np.abs(p - p2)[~close].max() < 5 * np.sqrt(2 * 0.05 / 100)


def test_users_in_blocks_have_the_same_answers_but_for_the_draws(monkeypatch):
    shares, *_ = planted(3, each=20)
    whole = table(shares)
    monkeypatch.setattr(module, "BLOCK", 7)
    parts = table(shares)
    exact = ["user_id", "events", "sessions", "first", "middle", "last", "source", "destination", "evolved_in", "tv", "moved"]
    assert (
        whole.drop(pl.selectors.starts_with("p_", "q_"), "tv_by_chance", "verdict")
        .select(exact[:6])
        .equals(parts.select(exact[:6]))
    )
    np.testing.assert_allclose(*(t["tv"].drop_nulls() for t in (whole, parts)), atol=1e-6)
    np.testing.assert_allclose(*(t["evolution"].drop_nulls() for t in (whole, parts)), atol=1e-6)
    assert (whole["verdict"] == parts["verdict"]).mean() > 0.95


@pytest.mark.parametrize("block", [1, 5_000])
def test_users_of_whom_no_event_has_an_interest_are_told_to_be_unknown(monkeypatch, block):
    monkeypatch.setattr(module, "BLOCK", block)
    log = made([[], [[0], [4]], [], [[0]], []], users=5)
    told = table(halved(log, shop(2)))
    assert told["verdict"].to_list() == [INSUFFICIENT_EVIDENCE] * 5
    assert told["events"].to_list() == [0, 2, 0, 1, 0]
    assert told["first"].is_null().to_list() == [True, False, True, False, True]
    assert told["last"].is_null().to_list() == [True, False, True, False, True]
    assert told["middle"].is_null().to_list() == [True, False, True, True, True]


@pytest.mark.parametrize("moment", [0, 2**33])
def test_a_date_before_or_after_everything_answers_nobody(moment):
    log = drawn(alike(5, K, 0), 40, shop(K), 1)
    told = table(InterestShares(log, shop(K), sessions_since(log, moment)))
    assert set(told["verdict"]) == {INSUFFICIENT_EVIDENCE}


def test_users_all_alike_of_one_interest_have_not_changed():
    told = table(halved(made([[[0]] * 60] * 3), shop(1)))
    assert told["verdict"].to_list() == [NO_CHANGE] * 3
    assert told["moved"].to_list() == [0, 0, 0]
    assert told["source"].null_count() == told["destination"].null_count() == 3
    assert told["depth_before"].null_count() == 3  # the log has no types


def test_ids_may_be_anything():
    log = made([[[0]] * 3] * 3)
    names = ["9" * 40, "数码", 'a"b,c\n']
    held = type(log)(**{f: getattr(log, f) for f in log.__dataclass_fields__} | {"users": pl.Series(names)})
    assert table(halved(held, shop(1)))["user_id"].to_list() == names


def test_an_empty_log_has_an_empty_row_each():
    empty = flat(np.empty(0), np.empty(0), np.empty(0), users=2, items=items_of(8))
    assert table(halved(empty, shop(2)))["verdict"].to_list() == [INSUFFICIENT_EVIDENCE] * 2
