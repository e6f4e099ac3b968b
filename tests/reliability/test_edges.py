"""Logs at the edge: users of one event, items that training never sees, empty columns, one word, fewer items than k."""

import json

import polars as pl
import pytest

from interestlab import load
from interestlab.cli.main import run

QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--trainer.accelerator=cpu"]
ID = ["--model.encoder=id"]


def rows(items: int = 6, users: int = 8) -> list[dict]:
    """Users of four events, one user of a single one, and an item that stands only where it is tested."""
    result = [
        {"user_id": f"u{u}", "item_id": f"i{(u + e) % (items - 1)}", "timestamp": 1_700_000_000 + 3600 * e}
        for u in range(users)
        for e in range(4)
    ]
    result[3]["item_id"] = "never-trained"
    return [*result, {"user_id": "once", "item_id": "i0", "timestamp": 1_700_000_000}]


@pytest.fixture
def shop(tmp_path):
    """Fit, predict and recommend on a log of these columns."""

    def go(model: list[str], items: int = 6, **columns: str):
        events = pl.DataFrame(rows(items)).with_columns(**{k: pl.lit(v) for k, v in columns.items()})
        events.write_csv(tmp_path / "events.csv")
        catalogue = events.select(pl.col("item_id").unique().sort()).with_columns(
            title=pl.lit(None, pl.String), brand=pl.lit("Acme")
        )
        catalogue.write_csv(tmp_path / "items.csv")
        files = [
            f"--data.source.{name}={tmp_path / file}.csv" for name, file in (("interactions", "events"), ("items", "items"))
        ]
        rest = [*QUIET, "--model.dynamics=ewma", "--model.objective=next_item", f"--data.cache_dir={tmp_path / 'cache'}"]
        folder = tmp_path / "run"
        run(["fit", *model, *rest, "--data.source=files", *files, "--trainer.max_steps=2", f"--run_dir={folder}"])
        run(["predict", f"--run_dir={folder}", *QUIET])
        return folder

    return go


def test_one_event_users_unseen_items_and_fewer_items_than_k(shop):
    folder = shop(ID)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["test/recall@20"] == 1  # six items: all are among the first twenty
    ranks = pl.read_parquet(folder / "ranks.parquet")
    assert "once" not in ranks["user_id"].to_list()
    assert "never-trained" in ranks["item_id"].to_list()
    predicted = pl.read_parquet(folder / "predictions.parquet")
    assert predicted.filter(pl.col("user_id") == "once").height == 5  # all but the one that was met
    found = load(folder).recommend(["i0"], k=100)
    assert found.height == 5
    assert found["score"].is_finite().all()
    assert load(folder).recommend(["never-trained"], k=3).height == 3


def test_a_vocabulary_of_one(shop):
    folder = shop(
        ["--model.encoder={id: id, brand: {class_path: id, init_args: {field: item.brand}}}", "--model.fusion=attention"]
    )
    assert pl.read_parquet(folder / "predictions.parquet")["score"].is_finite().all()


@pytest.mark.parametrize(("others", "mend"), [("", "; add `id`"), ("id: id, ", "; leave out words.")])
def test_a_text_column_without_a_word_is_reported_in_one_line(shop, bert, capsys, others, mend):
    words = f"words: {{class_path: frozen, init_args: {{model: {bert}, fields: [item.title, event.text]}}}}"
    with pytest.raises(SystemExit) as done:
        shop([f"--model.encoder={{{others}{words}}}", "--model.fusion=attention"], text="")
    assert done.value.code == 2
    result = capsys.readouterr().err.strip().splitlines()[-1]
    assert "has a value for item.title, event.text" in result
    assert mend in result


def test_a_catalogue_of_two(shop):
    folder = shop(ID, items=2)
    assert load(folder).recommend(["i0"], k=5).height == 1
