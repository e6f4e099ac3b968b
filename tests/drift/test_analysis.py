"""The analysis of a log: its tables agree with each other, whatever the log lacks."""

import json

import numpy as np
import polars as pl
import pytest
from session_logs import DAY, START, write_log

from interestlab.drift.analysis import analyse
from interestlab.drift.context import parse_date
from interestlab.drift.interests import Interests, build_interests
from interestlab.drift.session_log import build_session_log
from interestlab.drift.settings import Settings
from interestlab.drift.verdicts import INSUFFICIENT_EVIDENCE
from interestlab.errors import DataError

for library in ("ot", "ruptures", "river"):
    pytest.importorskip(library)

QUICK = {"permutations": 19, "windows": 3, "segments": 2, "flow_users": 5, "example_users": 2, "clusters": 2}
QUICK |= {"leaves_per_cluster": 1}
NAMES = {"users", "shares", "trends", "flows", "changes", "segments", "moves", "audiences", "map", "timelines"}
FINGERPRINT = {"source": "synthetic", "users": 0, "items": 0, "events": 0}


def make_events(users=12, sessions=50, seed=0, days=1.0):
    """Of every four users, one moves from kitchen to garden halfway, one moves back, and two stay in the kitchen."""
    rng = np.random.default_rng(seed)
    rows = []
    for u in range(users):
        for s in range(sessions):
            late = s >= sessions / 2
            garden = (u % 4 == 1 and late) or (u % 4 == 3 and not late)
            kitchen = rng.random() < (0.1 if garden else 0.9)
            for e in range(rng.integers(1, 4)):
                rows.append((f"u{u:02}", f"{'k' if kitchen else 'g'}{rng.integers(6)}", int(START + s * days * DAY + e * 60)))
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return frame.with_columns(event=pl.Series(rng.choice(["view", "purchase"], frame.height)), text=pl.lit("good"))


def catalogue():
    ids = [f"{side}{i}" for side in "kg" for i in range(6)]
    return pl.DataFrame(
        {
            "item_id": ids,
            "title": [f"{'pan' if i[0] == 'k' else 'rake'} {i}" for i in ids],
            "brand": [f"brand {int(i[1]) % 2}" for i in ids],
            "category": [f"{'Kitchen' if i[0] == 'k' else 'Garden'} > shelf {int(i[1]) % 2}" for i in ids],
        }
    )


def run_analysis(log, settings=None, item_interests=None, **options):
    settings = settings or Settings(**(QUICK | options))
    session_log = build_session_log(log, settings.session_gap)
    vectors = np.random.default_rng(0).normal(size=(log.items.height, 4)).astype(np.float32)
    return analyse(log, session_log, item_interests or build_interests(session_log, vectors, settings), settings, FINGERPRINT)


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return write_log(tmp_path_factory.mktemp("log"), make_events(), catalogue())


@pytest.fixture(scope="module")
def analysis(log):
    return run_analysis(log, Settings(**(QUICK | {"permutations": 199, "windows": 4, "flow_users": 50})))


def test_the_tables_agree_with_each_other(analysis, log):
    tables, meta = analysis.tables, analysis.meta
    assert set(tables) == NAMES
    people = tables["users"]
    assert people["user_id"].to_list() == log.users.to_list()
    assert meta["answered"] == (people["verdict"] != INSUFFICIENT_EVIDENCE).sum()
    assert tables["segments"]["users"].sum() == people.height
    assert tables["segments"]["answered"].sum() == meta["answered"]
    assert tables["segments"]["migrated"].sum() == people["verdict"].str.contains("migrated").sum()
    assert tables["moves"]["users"].sum() == people["middle"].is_not_null().sum()
    assert set(people["segment"]) <= set(tables["segments"]["segment"])
    assert tables["audiences"].height == people["verdict"].str.contains("migrated|evolved").sum()
    shares = tables["shares"].filter(kind="interest").group_by("window").agg(pl.col("share").sum(), pl.col("events").sum())
    assert shares["share"].to_list() == pytest.approx([1] * 4)
    assert shares["events"].sum() == people["events"].sum() == log.meta["events"]
    assert set(tables["flows"]["step"]) <= {-1, 0, 1, 2}
    assert set(tables["map"]["window"]) <= {-1, 0, 1, 2, 3}
    assert meta["dropped_events"] == 0
    assert meta["windows"] == 4
    assert meta["permutations"] == 199


def test_planted_migrators_are_detected(analysis):
    people = analysis.tables["users"]
    moved = people["verdict"].str.contains("migrated")
    assert moved.to_list() == [bool(int(u[1:]) % 2) for u in people["user_id"]]
    directions = people.filter(moved).select("source", "destination").rows()
    assert directions == [("Kitchen", "Garden"), ("Garden", "Kitchen")] * (len(directions) // 2)
    assert (analysis.tables["flows"].filter(step=-1)["flow"] > 0.15).all()
    points = analysis.tables["changes"].filter(method="offline")
    assert set(points["user_id"]) <= {u for u, m in zip(people["user_id"], moved, strict=True) if m}
    assert points.height >= 4


def test_tables_are_written_and_read_back(analysis, tmp_path):
    analysis.write(tmp_path / "deep" / "out")
    folder = tmp_path / "deep" / "out"
    assert {f.name for f in folder.iterdir()} == {f"{n}.parquet" for n in NAMES} | {"audiences.csv", "meta.json"}
    for name, table in analysis.tables.items():
        assert pl.read_parquet(folder / f"{name}.parquet").equals(table)
    assert pl.read_csv(folder / "audiences.csv").height == analysis.tables["audiences"].height
    assert json.loads((folder / "meta.json").read_text("utf-8"))["interests"] == analysis.meta["interests"]


def test_an_analysis_is_reproducible(log):
    first, second = (run_analysis(log) for _ in range(2))
    for name, table in first.tables.items():
        assert table.equals(second.tables[name]), name
    assert first.meta == second.meta


def test_a_boundary_date_divides_every_history(log):
    middle = run_analysis(log, boundary="2023-12-10").tables["users"]["middle"].drop_nulls()
    assert middle.dt.strftime("%Y-%m-%d").unique().to_list() == ["2023-12-10"]


@pytest.mark.parametrize("date", ["1999-01-01", "2099-01-01"])
def test_a_boundary_outside_the_log_gives_no_verdicts(log, date):
    analysis = run_analysis(log, boundary=date)
    assert set(analysis.tables["users"]["verdict"]) == {INSUFFICIENT_EVIDENCE}
    assert analysis.meta["answered"] == analysis.tables["moves"]["users"].sum() == 0
    assert analysis.tables["shares"].height
    for name in ("changes", "audiences", "timelines"):
        assert analysis.tables[name].height == 0, name


def test_an_invalid_date_is_reported_in_one_line(log):
    with pytest.raises(DataError, match="boundary=soon is not a date; write it as 2014-01-01"):
        run_analysis(log, boundary="soon")
    assert parse_date(None) is None
    assert parse_date("1970-01-02") == DAY
    assert parse_date("1970-01-02T00:00:00+01:00") == DAY - 3600


INCOMPLETE = {
    "no titles": lambda e, i: (e, i.drop("title")),
    "null titles": lambda e, i: (e, i.with_columns(title=pl.lit(None, pl.String))),
    "no brands": lambda e, i: (e, i.drop("brand")),
    "null brands": lambda e, i: (e, i.with_columns(brand=pl.lit(None, pl.String))),
    "no items": lambda e, i: (e, None),
    "no types": lambda e, i: (e.drop("event"), i),
    "null types": lambda e, i: (e.with_columns(event=pl.lit(None, pl.String)), i),
    "no texts": lambda e, i: (e.drop("text"), i),
    "some items without interest": lambda e, i: (
        e,
        i.with_columns(category=pl.when(pl.col("item_id") != "k0").then("category")),
    ),
    "one interest": lambda e, i: (e, i.with_columns(category=pl.lit("All"))),
    "one user": lambda e, i: (e.filter(user_id="u01"), i),
    "a user with one event": lambda e, i: (pl.concat([e, e.head(1).with_columns(user_id=pl.lit("once"))]), i),
    "one event": lambda e, i: (e.head(1), i),
    "identical users": lambda e, i: (
        pl.concat(e.filter(user_id="u01").with_columns(user_id=pl.lit(f"v{n}")) for n in range(5)),
        i,
    ),
    "identical sessions": lambda e, i: (e.with_columns(item_id=pl.lit("k1")), i),
    "a single time": lambda e, i: (e.with_columns(timestamp=pl.lit(START)), i),
    "one window": lambda e, i: (pl.concat([e.filter(user_id="u01").with_columns(timestamp=pl.col("timestamp") + 10**9), e]), i),
    "long ids": lambda e, i: (e.with_columns(user_id=pl.col("user_id") + "数" * 200), i),
}


@pytest.mark.parametrize("case", INCOMPLETE)
def test_an_incomplete_log_is_analysed(tmp_path, case):
    events, items = INCOMPLETE[case](make_events(8, 26), catalogue())
    log = write_log(tmp_path / "log", events, items)
    analysis = run_analysis(log, item_interests=single_interest(log) if items is None else None, interests="taxonomy")
    people = analysis.tables["users"]
    assert people["user_id"].to_list() == log.users.to_list()
    assert (people["verdict"] == INSUFFICIENT_EVIDENCE).sum() == people.height - analysis.meta["answered"]
    for name, table in analysis.tables.items():
        numbers = table.select(pl.selectors.float())
        assert not numbers.select(pl.any_horizontal(pl.all().is_nan().any())).item() if numbers.width else True, name
        assert not numbers.select(pl.any_horizontal(pl.all().is_infinite().any())).item() if numbers.width else True, name
    analysis.write(tmp_path / "out")
    if case in ("no brands", "null brands", "no items"):
        assert set(analysis.tables["shares"]["kind"]) == {"interest"}
        assert analysis.tables["audiences"]["brand"].null_count() == analysis.tables["audiences"].height
    if case in ("no types", "null types"):
        assert people["depth_before"].null_count() == people.height
        assert any("depth of the funnel" in note for note in analysis.meta["notes"])
    if case == "some items without interest":
        dropped = events.filter(item_id="k0").height
        assert analysis.meta["dropped_events"] == dropped
        assert any(f"{dropped:,} of {events.height:,} events" in note for note in analysis.meta["notes"])
    if case in ("one interest", "identical users", "identical sessions"):
        assert len(analysis.tables["segments"]) == 1


def single_interest(log):
    count = log.items.height
    return Interests(
        ["all"], np.zeros(count, np.int64), ["all"], np.zeros(count, np.int64), np.ones((count, 2), np.float32), "all"
    )


def test_items_without_events_do_not_change_the_results(tmp_path):
    """Items without events have no influence on the results."""
    extended = pl.concat([catalogue(), catalogue().with_columns(item_id="never " + pl.col("item_id"))])
    first, second = (
        run_analysis(write_log(tmp_path / name, make_events(), items)) for name, items in (("a", catalogue()), ("b", extended))
    )
    columns = ["user_id", "tv", "p_migration", "q_migration", "verdict", "source", "destination"]
    assert first.tables["users"].select(columns).equals(second.tables["users"].select(columns))


def test_a_log_without_interests_is_reported_in_one_line(log):
    no_interest = np.full(log.items.height, -1)
    item_interests = Interests(["a"], no_interest, ["a"], no_interest, np.zeros((log.items.height, 2), np.float32), "none")
    with pytest.raises(DataError, match="no event is of an item that has an interest"):
        run_analysis(log, item_interests=item_interests)


def test_a_short_log_with_daily_times_is_noted(tmp_path):
    events = make_events(8, 20).with_columns(timestamp=pl.col("timestamp") // DAY * DAY)
    notes = run_analysis(write_log(tmp_path, events, catalogue())).meta["notes"]
    assert any("spans 19 days" in note for note in notes)
    assert any("Times are days" in note for note in notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"windows": 1}, "windows must be at least 2"),
        ({"permutations": 5}, "permutations must be at least 19"),
        ({"significance_level": 1.0}, "significance_level must lie between 0 and 1"),
        ({"detectable_shift": 0.0}, "detectable_shift must lie between 0 and 1"),
        ({"session_gap": -1}, "session_gap must be at least 0"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_invalid_settings_are_reported_in_one_line(options, message):
    with pytest.raises(DataError, match=f"--drift.{message}"):
        Settings(**options)
