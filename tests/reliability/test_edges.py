"""Extreme logs: users with one event, items without training events, empty columns, one brand, fewer items than k."""

import json

import polars as pl
import pytest

from interestlab import load
from interestlab.cli.main import run

QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--trainer.accelerator=cpu"]
ID = ["--model.encoder=id"]


def rows(items: int = 6, users: int = 8) -> list[dict]:
    """Return users with four events, a user with one event, and an item that occurs only as a test target."""
    result = [
        {"user_id": f"u{u}", "item_id": f"i{(u + e) % (items - 1)}", "timestamp": 1_700_000_000 + 3600 * e}
        for u in range(users)
        for e in range(4)
    ]
    result[3]["item_id"] = "never-trained"
    return [*result, {"user_id": "once", "item_id": "i0", "timestamp": 1_700_000_000}]


@pytest.fixture
def shop(tmp_path):
    """Return a function that fits and predicts on a log with further columns, and returns the run folder."""

    def fit_and_predict(model: list[str], items: int = 6, **columns: str):
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

    return fit_and_predict


def test_one_event_users_unseen_items_and_fewer_items_than_k(shop):
    folder = shop(ID)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["test/recall@20"] == 1  # six items: all are among the first twenty
    ranks = pl.read_parquet(folder / "ranks.parquet")
    assert "once" not in ranks["user_id"].to_list()
    assert "never-trained" in ranks["item_id"].to_list()
    predicted = pl.read_parquet(folder / "predictions.parquet")
    assert predicted.filter(pl.col("user_id") == "once").height == 5  # all but the one in the history
    recommendations = load(folder).recommend(["i0"], k=100)
    assert recommendations.height == 5
    assert recommendations["score"].is_finite().all()
    assert load(folder).recommend(["never-trained"], k=3).height == 3


def test_a_field_with_one_value(shop):
    folder = shop(
        ["--model.encoder={id: id, brand: {class_path: id, init_args: {field: item.brand}}}", "--model.fusion=attention"]
    )
    assert pl.read_parquet(folder / "predictions.parquet")["score"].is_finite().all()


@pytest.mark.parametrize(("others", "advice"), [("", "; add `id`"), ("id: id, ", "; leave out words.")])
def test_an_empty_text_column_is_reported_in_one_line(shop, bert, capsys, others, advice):
    words = f"words: {{class_path: frozen, init_args: {{model: {bert}, fields: [item.title, event.text]}}}}"
    with pytest.raises(SystemExit) as exit_info:
        shop([f"--model.encoder={{{others}{words}}}", "--model.fusion=attention"], text="")
    assert exit_info.value.code == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "has a value for item.title, event.text" in message
    assert advice in message


def test_a_catalogue_of_two_items(shop):
    folder = shop(ID, items=2)
    assert load(folder).recommend(["i0"], k=5).height == 1
