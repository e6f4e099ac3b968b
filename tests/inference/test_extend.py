"""Extended runs: new items are ranked by `predict`, `test` and in Python; everything else stays as it was."""

import hashlib
import json
import shutil

import polars as pl
import pytest
import torch

from interestlab import load
from interestlab.cli.main import main
from interestlab.errors import DataError
from interestlab.inference.extend import extend

QUIET = "--trainer.enable_progress_bar=false"
COLUMNS = {"title": "Steel Pour-Over Kettle", "brand": "Kilo", "category": "Kitchen", "description": None, "price": 9.5}


@pytest.fixture
def run_folder(fitted, bert):
    """Return the folder of a run that reads ids and titles."""
    encoders = {
        "id": {"class_path": "id", "init_args": {"std": 0, "min_count": 1}},
        "title": {"class_path": "static", "init_args": {"model": bert, "whiten": True}},
    }
    return fitted(f"--model.encoder={json.dumps(encoders)}", "--model.fusion=delta", "--model.dynamics=ewma", "--model.dim=16")


@pytest.fixture
def table(tmp_path):
    """Return a function that writes items to a file: ``table({"a": {}, "b": {"title": ...}})``."""

    def write(items, name="new.csv", drop=()):
        frame = pl.DataFrame([{"item_id": item} | COLUMNS | columns for item, columns in items.items()]).drop(drop)
        file = tmp_path / name
        {".csv": frame.write_csv, ".jsonl": frame.write_ndjson, ".parquet": frame.write_parquet}[file.suffix](file)
        return file

    return write


def contents(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).digest() for path in folder.rglob("*") if path.is_file()}


def scores(recommender, history, k=99):
    return dict(recommender.recommend(history, k=k).select("item_id", "score").iter_rows())


@torch.no_grad()
def text_score(recommender, history, title):
    """Return the score of an item outside the catalogue that has these words."""
    item = recommender.frozen.normalize(recommender._featurizer.embed_items([{"title": title}]))
    user_state = recommender.frozen.normalize(recommender.frozen.readout(recommender.state(history).dynamics_state))
    return recommender.frozen.score(user_state, item).item()


@pytest.mark.parametrize("suffix", ["csv", *(pytest.param(s, marks=pytest.mark.slow) for s in ("jsonl", "parquet"))])
def test_old_scores_are_unchanged_and_new_items_are_ranked(run_folder, table, tmp_path, suffix):
    before, old = contents(run_folder), load(run_folder)
    title = old.data.log.items["title"][3]
    file = table({"new": {}, "twin": {"title": f"  <b>{title}</b> "}}, f"new.{suffix}")
    written = extend(run_folder, file, tmp_path / "out")
    assert (written.folder, written.new, written.replaced) == (tmp_path / "out", 2, 0)
    assert contents(run_folder) == before
    new = load(written.folder)
    history = ["i00001", "i00002"]
    both = scores(new, history)
    assert {item: score for item, score in both.items() if item.startswith("i")} == scores(old, history)
    assert both["twin"] == pytest.approx(text_score(old, history, title), abs=1e-6)
    assert len(both) == len(scores(old, history)) + 2


def test_a_new_item_in_a_history_is_read_by_its_words(run_folder, table, tmp_path):
    old, new = load(run_folder), load(extend(run_folder, table({"new": {}}), tmp_path / "out").folder)
    described = {"title": COLUMNS["title"]}
    by_words = old.update(old.state(["i00001"]), described)
    by_id = new.update(new.state(["i00001"]), "new")
    old_scores, new_scores = scores(old, by_words), scores(new, by_id)
    assert "new" not in new_scores  # as the history is excluded
    assert new_scores == pytest.approx(old_scores, abs=1e-6)


@pytest.fixture
def nine(run_folder, table, tmp_path, capsys):
    """Return the folder of the run with nine new items, which the command extended."""
    file = table({f"n{i}": {"title": f"{i} kettle"} for i in range(9)})
    main(["extend", str(run_folder), f"--items={file}", f"--out={tmp_path / 'out'}"])
    assert capsys.readouterr().out.splitlines()[-1] == f"written: {tmp_path / 'out'} (9 new items, 0 replaced)"
    return tmp_path / "out"


def test_predict_ranks_the_new_items(nine):
    main(["predict", f"--run_dir={nine}", "--model.top_k=60", QUIET])
    predictions = pl.read_parquet(nine / "predictions.parquet")
    ranked = predictions.group_by("user_id").agg(pl.col("item_id").str.starts_with("n").sum())["item_id"]
    assert ranked.to_list() == [9] * 30


@pytest.mark.slow
def test_new_items_compete_in_a_test(run_folder, nine, tmp_path):
    ranks, metrics = [], []
    for run in (run_folder, nine):
        checkpoint = f"--ckpt_path={run / 'checkpoints' / 'best.ckpt'}"
        tables = [str(path) for path in run.glob("added_items-*.parquet")]
        added = f"--data.added_items={json.dumps(tables)}"
        main(["test", f"--config={run / 'config.yaml'}", checkpoint, added, f"--run_dir={tmp_path / 'test'}", QUIET])
        ranks.append(pl.read_parquet(tmp_path / "test" / "ranks.parquet")["rank"])
        metrics.append(json.loads((tmp_path / "test" / "metrics.json").read_text()))
    assert ((ranks[0] <= ranks[1]) & (ranks[1] <= ranks[0] + 9)).all()
    assert "added_items" not in metrics[0]["fingerprint"]
    assert metrics[1]["fingerprint"]["added_items"].startswith("9 of ")
    # Items without events are behind those with events.
    assert len({m["baselines"]["popularity"]["test/recall@10"] for m in metrics}) == 1


def test_an_extended_run_can_be_extended(run_folder, table, tmp_path):
    first = extend(run_folder, table({"a": {}}), tmp_path / "first").folder
    second = extend(first, table({"b": {"title": "Wool Socks"}}), tmp_path / "second").folder
    one, two = scores(load(first), ["i00001"]), scores(load(second), ["i00001"])
    assert {item: score for item, score in two.items() if item != "b"} == one
    entries = json.loads((second / "extension.json").read_text())
    assert [(entry["table"], entry["run"], entry["new"]) for entry in entries] == [
        ("added_items-1.parquet", str(run_folder), 1),
        ("added_items-2.parquet", str(first), 1),
    ]


def test_existing_ids_are_refused_or_replaced(run_folder, table, tmp_path):
    first = extend(run_folder, table({"a": {}}), tmp_path / "first").folder
    file = table({"a": {"title": "Wool Socks"}, "b": {}, "i00003": {"title": "Wool Socks"}})
    with pytest.raises(
        DataError, match=r"new.csv: 2 of 3 ids are in the catalogue already, such as a; leave them out, or .* --replace"
    ):
        extend(first, file, tmp_path / "second")
    written = extend(first, file, tmp_path / "second", replace=True)
    assert (written.new, written.replaced) == (1, 2)
    one, two = scores(load(first), ["i00001"]), scores(load(written.folder), ["i00001"])
    assert {item for item in one if one[item] != two[item]} == {"a", "i00003"}
    assert set(two) - set(one) == {"b"}


@pytest.mark.parametrize(
    ("items", "drop", "message"),
    [
        ({"a": {}}, ["title"], r"new.csv has no column title, which the run's encoders read; add it"),
        ({"a": {}, " a": {}}, [], r"new.csv: row 2: item_id  a is a duplicate of an earlier row; 1 of 2 rows are invalid"),
        ({"a": {}, " ": {}}, [], r"new.csv: row 2: item_id is missing"),
        ({"a": {}, "b": {"title": " <br> "}}, [], r"can read nothing of 1 items, such as b; it reads item.id, item.title"),
        ({"a": {"price": "cheap"}}, [], r"price is not a number: cheap"),
        ({}, [], r"new.csv cannot be read|has no column|contains no item"),
    ],
)
def test_unusable_items_are_refused_and_leave_nothing(run_folder, table, tmp_path, items, drop, message):
    file = table(items, drop=drop)
    with pytest.raises(DataError, match=message) as error:
        extend(run_folder, file, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_a_run_of_ids_alone_is_refused(fitted, table, capsys):
    with pytest.raises(SystemExit):
        main(["extend", str(fitted("--model.encoder=id", "--model.dynamics=ewma")), f"--items={table({'a': {}})}"])
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert "ranks by ids alone, and a new item has no trained id; train a run that reads words too" in line


def test_an_altered_table_is_reported(run_folder, table, tmp_path):
    folder = extend(run_folder, table({"a": {}}), tmp_path / "out").folder
    table({"b": {}}, "out/added_items-1.parquet")
    with pytest.raises(DataError, match=r"added_items-1.parquet is missing or was altered since the run was extended"):
        load(folder)


def test_an_existing_folder_is_not_overwritten(run_folder, table, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match=r"out exists already; give another --out"):
        extend(run_folder, table({"a": {}}), tmp_path / "out")


def test_the_run_may_be_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "run-extended").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    with pytest.raises(DataError, match=r"run-extended exists already"):
        extend(".", "new.csv")


def test_items_that_the_config_adds_stay_in_the_catalogue(run_folder, table, tmp_path):
    run = shutil.copytree(run_folder, tmp_path / "run")
    config = (run / "config.yaml").read_text()
    assert "added_items: []" in config
    (run / "config.yaml").write_text(config.replace("added_items: []", f"added_items: ['{table({'a': {}}, 'first.csv')}']"))
    written = extend(run, table({"b": {"title": "Wool Socks"}}))
    assert {"a", "b"} <= set(scores(load(written.folder), ["i00001"]))


def test_an_extended_run_is_not_trained_further(run_folder, table, tmp_path, capsys):
    folder = extend(run_folder, table({"a": {}}), tmp_path / "out").folder
    with pytest.raises(SystemExit):
        main(["fit", f"--run_dir={folder}", "--ckpt_path=last"])
    assert "is an extended run, which is not trained further" in capsys.readouterr().err
