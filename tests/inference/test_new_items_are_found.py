"""In a simulated log, a model of words finds items that came after training, and a model of ids never does."""

import json

import numpy as np
import polars as pl
import pytest

from interestlab import load
from interestlab.inference.extend import extend
from interestlab.training.fit import fit

pytestmark = pytest.mark.slow

CATEGORIES, ITEMS, START, DAY = 6, 120, 1_500_000_000, 86_400
CUT = START + 80 * DAY
SETTINGS = {
    "recipe": "none",
    "model.dynamics": "ewma",
    "model.objective": "next_item",
    "model.objective.temperature": 0.1,
    "model.optim.lr": 0.01,
    "model.dim": 16,
    "trainer.max_epochs": 15,
    "trainer.accelerator": "cpu",
    "trainer.enable_progress_bar": False,
    "trainer.enable_model_summary": False,
    "loggers": [],
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Return the files of a log over 100 days: each user stays in a category, and each item appears on a day of its own."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("shop")
    category = rng.integers(0, CATEGORIES, ITEMS)
    appears = np.sort(np.concatenate([np.zeros(60), rng.uniform(1, 95, ITEMS - 60)]))
    titles = ["".join(rng.choice([*"abcdefghijklmnopqrstuvwx"[4 * c : 4 * c + 4]], 5)) for c in category]
    rows = []
    for user in range(300):
        for day in np.sort(rng.uniform(5, 100, 12)):
            choice = np.flatnonzero((category == user % CATEGORIES) & (appears <= day))
            recent = choice[-3:] if rng.random() < 0.5 else choice
            rows.append((f"u{user}", f"i{rng.choice(recent):03}", START + int(day * DAY)))
    pl.DataFrame(rows, ["user_id", "item_id", "timestamp"], orient="row").write_parquet(folder / "events.parquet")
    items = {"item_id": [f"i{i:03}" for i in range(ITEMS)], "title": titles}
    pl.DataFrame(items).write_parquet(folder / "items.parquet")
    return folder


def train(shop, events, run_dir, encoder, **more):
    source = {"data.source": "files", "data.source.interactions": str(events), "data.source.items": str(shop / "items.parquet")}
    fit(SETTINGS | source | {"model.encoder": json.dumps(encoder)} | more, run_dir=run_dir)
    return run_dir


def words(bert):
    return {"class_path": "static", "init_args": {"model": bert}}


def test_the_split_of_new_items(shop, bert, tmp_path):
    recall = {}
    for name, encoder in {"words": words(bert), "ids": {"class_path": "id"}}.items():
        run = train(shop, shop / "events.parquet", tmp_path / name, encoder, **{"data.split": "new_items"})
        metrics = json.loads((run / "metrics.json").read_text())
        assert metrics["test/cold/users"] > 100
        assert metrics["test/cold/recall@10"] == metrics["test/recall@10"]
        recall[name] = metrics["test/cold/recall@10"]
    chance = 10 / ITEMS
    assert recall["words"] > 2 * chance
    assert recall["ids"] < chance


def test_an_extended_run(shop, bert, tmp_path):
    events = pl.read_parquet(shop / "events.parquet")
    before = events.filter(pl.col("timestamp") < CUT)
    before.write_parquet(tmp_path / "before.parquet")
    run = train(shop, tmp_path / "before.parquet", tmp_path / "run", words(bert))
    new = pl.read_parquet(shop / "items.parquet").join(before, on="item_id", how="anti")
    new.write_parquet(tmp_path / "new.parquet")
    shop_now = load(extend(run, tmp_path / "new.parquet").folder)
    hits = []
    for (_,), history in events.group_by("user_id", maintain_order=True):
        rows = history.to_dicts()
        first = next((i for i, row in enumerate(rows) if row["item_id"] in new["item_id"]), 0)
        if first:
            hits.append(rows[first]["item_id"] in shop_now.recommend(rows[:first], k=10)["item_id"])
    assert len(hits) > 100
    assert np.mean(hits) > 2 * 10 / ITEMS
