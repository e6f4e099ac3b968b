"""``interestlab drift``, from the command line to the tables."""

import json
from pathlib import Path

import polars as pl
import pytest

from interestlab.cli.main import main
from interestlab.drift.verdicts import BOTH, EVOLVED, INSUFFICIENT_EVIDENCE, MIGRATED

for library in ("ot", "ruptures", "river"):
    pytest.importorskip(library)

SHOP = [f"--data.source={name}" for name in ("simulated",)]
SHOP += [f"--data.source.{k}={v}" for k, v in {"users": 40, "items": 64, "categories": 4, "events": 60, "visit": 1}.items()]
SETTINGS = {"permutations": 49, "windows": 3, "flow_users": 20, "segments": 3, "example_users": 3}
QUICK = [f"--drift.{name}={value}" for name, value in SETTINGS.items()]
TIME = pl.Datetime("us", "UTC")
TEXT, FLOAT, INT = pl.String, pl.Float64, pl.Int64
SCHEMAS = {
    "users": {
        **dict.fromkeys(["user_id", "verdict", "source", "destination", "evolved_in"], TEXT),
        **dict.fromkeys(["segment", "segment_before", "segment_after"], TEXT),
        **dict.fromkeys(["events", "sessions"], INT),
        **dict.fromkeys(["first", "last", "middle"], TIME),
        **dict.fromkeys(
            ["moved", "tv", "js", "p_tv", "p_js", "p_migration", "q_migration", "tv_under_null", "migration"], FLOAT
        ),
        **dict.fromkeys(["evolution", "p_evolution", "q_evolution", "entropy_before", "entropy_after", "p_entropy"], FLOAT),
        **dict.fromkeys(["intensity_before", "intensity_after", "depth_before", "depth_after", "p_depth"], FLOAT),
    },
    "shares": {
        **dict.fromkeys(["kind", "name"], TEXT),
        **dict.fromkeys(["window", "users", "events"], INT),
        **dict.fromkeys(["start", "end"], TIME),
        **dict.fromkeys(["share", "low", "high"], FLOAT),
    },
    "trends": {
        **dict.fromkeys(["kind", "name", "verdict"], TEXT),
        **dict.fromkeys(["share_early", "share_late", "change", "p", "q"], FLOAT),
        **dict.fromkeys(["users_early", "users_late"], INT),
    },
    "flows": {
        **dict.fromkeys(["start", "end"], TIME),
        **dict.fromkeys(["step", "users"], INT),
        **dict.fromkeys(["source", "destination"], TEXT),
        **dict.fromkeys(["flow", "under_null", "excess", "p", "q"], FLOAT),
    },
    "changes": {
        **dict.fromkeys(["user_id", "method", "source", "destination"], TEXT),
        **dict.fromkeys(["at", "seen_at"], TIME),
        **dict.fromkeys(["session", "sessions"], INT),
        "p": FLOAT,
        **dict.fromkeys(["items_before", "items_after", "words_before", "words_after"], pl.List(TEXT)),
    },
    "segments": {
        **dict.fromkeys(["segment", "source", "destination"], TEXT),
        **dict.fromkeys(["users", "events", "migrated", "answered"], INT),
        **dict.fromkeys(["interests", "brands"], pl.List(TEXT)),
        **dict.fromkeys(["lifts", "brand_lifts", "brand_q"], pl.List(FLOAT)),
        **dict.fromkeys(["tv", "tv_under_null", "p", "q"], FLOAT),
    },
    "moves": {
        **dict.fromkeys(["source", "destination"], TEXT),
        "users": INT,
        **dict.fromkeys(["under_null", "p", "q"], FLOAT),
    },
    "audiences": {
        **dict.fromkeys(["user_id", "segment", "verdict", "source", "destination", "interest_now", "brand"], TEXT),
        "evolved_in": TEXT,
        "last": TIME,
        **dict.fromkeys(["q_migration", "q_evolution"], FLOAT),
    },
    "map": {**dict.fromkeys(["kind", "name"], TEXT), "window": INT, **dict.fromkeys(["x", "y"], FLOAT)},
    "timelines": {
        **dict.fromkeys(["user_id", "interest", "title", "event"], TEXT),
        "session": INT,
        "at": TIME,
        "change": pl.Boolean,
    },
}
META = {
    *("source", "users", "items", "events", "first", "last", "interests", "fingerprint", "seed", "permutations", "windows"),
    *("significance_level", "answered", "sampled_for_flows", "model", "notes", "dropped_events", "versions"),
}


def tables(folder):
    return {name: pl.read_parquet(folder / f"{name}.parquet") for name in SCHEMAS}


@pytest.fixture(scope="module")
def out(tmp_path_factory, cache):
    folder = tmp_path_factory.mktemp("drift") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INTERESTLAB_CACHE", str(cache))
        main(["drift", *SHOP, *QUICK, f"--out={folder}"])
    return folder


def test_the_folder_holds_every_table_and_a_page(out):
    names = {f"{name}.parquet" for name in SCHEMAS} | {"audiences.csv", "meta.json", "index.html"}
    assert names <= {f.name for f in out.iterdir()}
    assert not (out / "model.parquet").exists()


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_table_has_its_columns(out, name):
    schema = pl.read_parquet(out / f"{name}.parquet").schema
    wrong = {c: (schema.get(c), t) for c, t in SCHEMAS[name].items() if schema.get(c) != t}
    assert not wrong


def test_the_summary_agrees_with_the_tables(out):
    meta, result = json.loads((out / "meta.json").read_text("utf-8")), tables(out)
    assert set(meta) >= META
    people = result["users"]
    assert meta["users"] == people.height == 40
    assert meta["events"] == people["events"].sum() + meta["dropped_events"]
    assert meta["answered"] == (people["verdict"] != INSUFFICIENT_EVIDENCE).sum() > 0
    assert (meta["windows"], meta["permutations"], meta["seed"], meta["model"]) == (3, 49, 0, None)
    assert meta["source"] == "simulated"
    assert result["audiences"].height == people["verdict"].is_in([MIGRATED, EVOLVED, BOTH]).sum()
    assert result["audiences"].filter(verdict=EVOLVED)["destination"].is_null().all()
    assert result["segments"]["users"].sum() == 40
    assert result["shares"].filter(kind="interest")["events"].sum() == people["events"].sum()
    assert any("too few" in note for note in meta["notes"])


@pytest.mark.slow
def test_the_same_seed_gives_the_same_tables(out, tmp_path):
    main(["drift", *SHOP, *QUICK, f"--out={tmp_path / 'again'}"])
    for name, table in tables(tmp_path / "again").items():
        assert table.equals(pl.read_parquet(out / f"{name}.parquet")), name


def test_a_config_of_a_fit_is_enough(tmp_path):
    config = {"data": {"source": {"class_path": "simulated", "init_args": {"users": 20, "items": 64, "categories": 4}}}}
    config |= {"drift": {"permutations": 19, "windows": 2}, "model": {"dynamics": "ewma"}, "trainer": {"max_steps": 1}}
    (tmp_path / "fit.yaml").write_text(json.dumps(config))
    main(["drift", "-c", str(tmp_path / "fit.yaml"), "--drift.windows=3"])
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("-drift")
    meta = json.loads((folder / "meta.json").read_text("utf-8"))
    assert (meta["users"], meta["windows"], meta["permutations"]) == (20, 3, 19)


def test_a_run_tells_what_its_model_says_too(fit, tmp_path, capsys):
    wide = ["--data.source.events=60", "--data.source.users=30", "--data.source.categories=2", "--data.source.visit=1"]
    fit("--model.encoder=id", "--model.dynamics=ewma", "--test_after_fit=false", *wide, "--data.source.items=40", steps=2)
    main(["drift", "run", *QUICK])
    folder = tmp_path / "run" / "drift"
    meta, result = json.loads((folder / "meta.json").read_text("utf-8")), tables(folder)
    model = pl.read_parquet(folder / "model.parquet")
    assert meta["model"] == "ewma"
    answered = result["users"].filter(pl.col("verdict") != INSUFFICIENT_EVIDENCE)
    assert model["user_id"].to_list() == answered["user_id"].to_list()
    assert meta["answered"] == model.height > 0
    assert model["tv"].is_between(0, 1).all()
    assert model["js"].is_between(0, 1).all()
    assert set(model["source"]) | set(model["destination"]) <= set(result["map"].filter(kind="interest")["name"])
    assert (model["velocity"] >= 0).all()
    assert not (tmp_path / "run" / "users.parquet").exists()
    with pytest.raises(SystemExit) as ended:
        main(["drift", "run", "--out=run", *QUICK])
    assert ended.value.code == 2
    assert "run contains a run; give another --out" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_of_which_nobody_has_enough_evidence(fit, tmp_path):
    fit("--model.encoder=id", "--model.dynamics=ewma", "--test_after_fit=false")
    main(["drift", "run", *QUICK])
    assert pl.read_parquet(tmp_path / "run" / "drift" / "model.parquet").height == 0
    assert set(pl.read_parquet(tmp_path / "run" / "drift" / "users.parquet")["verdict"]) == {INSUFFICIENT_EVIDENCE}


def test_help_answers(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["drift", "--help"])
    assert ended.value.code == 0
    result = capsys.readouterr().out
    assert "--drift.significance_level" in result
    assert "--data.source" in result
    assert "migration" in result


@pytest.mark.parametrize(
    ("wrong", "result"),
    [
        (["--drift.boundary=soon"], "--drift.boundary=soon is not a date"),
        (["--drift.interests=taxonomy", "--drift.column=genre"], "no column genre"),
        (["--drift.interests=clusters", "--drift.clusters=1000"], "fewer than the 1000 interests"),
        (["--drift.permutations=3"], "permutations must be at least 19"),
        (["--drift.interests=tarot"], "drift.interests"),
        (["--drift.colour=red"], "colour"),
        (["-c", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_what_is_wrong_ends_in_one_line(wrong, result, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["drift", *SHOP, *QUICK, *wrong, "--out=out"])
    assert ended.value.code == 2
    err = capsys.readouterr().err.strip().splitlines()
    assert result in "\n".join(err)
    assert not [line for line in err if line.startswith("Traceback")]
    assert len([line for line in err if line.startswith("interestlab:")]) == 1
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("wrong", "result"),
    [
        (["--windows=0"], "--windows must be at least 1, not 0"),
        (["--horizons=[0]"], "--horizons must be at least 1, not 0"),
        (["--out=swept"], "swept contains a sweep; give another --out"),
        (["--data.split_quantiles", "--windows=2"], "--data.split_quantiles needs a value: --data.split_quantiles=VALUE"),
        ([], "nowhere"),
    ],
)
def test_a_forecast_that_cannot_be_ends_in_one_line(wrong, result, capsys, tmp_path):
    (tmp_path / "swept").mkdir()
    (tmp_path / "swept" / "sweep.yaml").write_text("name: swept\n")
    with pytest.raises(SystemExit) as ended:
        main(["drift", "forecast", "nowhere", *wrong])
    assert ended.value.code == 2
    err = capsys.readouterr().err.strip().splitlines()
    assert len(err) == 1
    assert result in err[0]
    assert not list(tmp_path.glob("**/*.parquet"))


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_a_folder_that_is_no_run_ends_in_one_line(folder, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["drift", folder])
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.slow
def test_planted_migrators_are_detected_and_nulls_rarely(tmp_path, cache):
    from interestlab.data.datamodule import InterestData
    from interestlab_sources.simulated import Simulated

    shop = {"users": 300, "events": 120, "visit": 1}
    main(["drift", "--data.source=simulated", *(f"--data.source.{k}={v}" for k, v in shop.items()), "--out=out"])
    people = pl.read_parquet("out/users.parquet")
    log = InterestData(Simulated(**shop), cache_dir=str(cache)).log
    truth = pl.read_parquet(log.folder / "truth.parquet").rename({"source": "from", "destination": "to"})
    result = people.filter(pl.col("verdict") != INSUFFICIENT_EVIDENCE).join(truth, on="user_id")
    moved = result["verdict"].is_in([MIGRATED, BOTH])
    migrants, others = result.filter(pl.col("kind") == "migrate"), result.filter(pl.col("kind") != "migrate")
    assert result.height > 150
    found = migrants.filter(pl.col("verdict").is_in([MIGRATED, BOTH]))
    assert found.height / migrants.height > 0.7
    assert (found["source"] == found["from"]).mean() > 0.9
    assert (found["destination"] == found["to"]).mean() > 0.9
    assert others["verdict"].is_in([MIGRATED, BOTH]).mean() < 0.05
    assert (result.filter(moved)["kind"] == "migrate").mean() > 0.9
    nulls = result.filter(pl.col("kind") == "null")
    assert nulls["verdict"].is_in([MIGRATED, EVOLVED, BOTH]).mean() < 0.06
    planted = pl.from_epoch(found["timestamp"].cast(pl.Int64)).dt.replace_time_zone("UTC")
    assert (found["middle"] - planted).dt.total_days().abs().median() < 40


REVIEWS = Path(__file__).parents[2].parent / "shared" / "data" / "amazon_musical_instruments_5core_2014"


@pytest.mark.slow
@pytest.mark.skipif(not REVIEWS.exists(), reason="the reviews of Musical Instruments are not on this machine")
def test_real_reviews_answer_nearly_nobody():
    """Eleven reviews a user are too few for an answer, and the command says so instead of giving numbers."""
    (file,) = (f for f in REVIEWS.iterdir() if ".json" in f.name)
    main(["drift", "--data.source=amazon", f"--data.source.path={file}", *QUICK, "--drift.clusters=5", "--out=out"])
    people = pl.read_parquet("out/users.parquet")
    meta = json.loads(Path("out/meta.json").read_text("utf-8"))
    assert people.height == meta["users"] > 1000
    assert meta["answered"] < 0.05 * people.height
    assert people.filter(verdict=INSUFFICIENT_EVIDENCE)["p_migration"].null_count() == people.height - meta["answered"]
    assert any("Times are days" in note for note in meta["notes"])
