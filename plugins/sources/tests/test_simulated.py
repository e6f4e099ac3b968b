import hashlib

import numpy as np
import polars as pl
import pytest

from interestlab.errors import DataError
from interestlab_sources.momentum import simulate_categories
from interestlab_sources.simulated import Simulated
from interestlab_sources.words import CATEGORIES, LEAVES


def read(**args):
    log = Simulated(**args).read()
    return log.events.collect(), log.items.collect(), log.truth.collect()


@pytest.fixture(scope="module")
def shop():
    """Return events joined with the categories of their items and the truth of their users."""
    events, items, truth = read(users=600, seed=3)
    joined = events.join(items, on="item_id").join(truth, on="user_id", suffix="_change")
    return joined.with_columns(
        top=pl.col("category").str.split(" > ").list.first(), after=pl.col("timestamp") >= pl.col("timestamp_change")
    )


def shares(shop: pl.DataFrame, kind: str, value: pl.Expr) -> list[float]:
    """Return the mean of ``value`` before and after the change."""
    means = shop.filter(kind=kind).group_by("after").agg(value.mean().alias("mean")).sort("after")
    return means["mean"].to_list()


def test_same_seed_same_log():
    first, same, other = read(users=50, seed=1), read(users=50, seed=1), read(users=50, seed=2)
    assert all(a.equals(b) for a, b in zip(first, same, strict=True))
    assert not first[0].equals(other[0])


def test_a_log_stays_the_same_over_versions():
    events, items, truth = read(users=50, seed=3)
    # Pins the sampled values, not how Polars formats them.
    text = "\n".join(str(row) for frame in (events, items, truth) for row in frame.rows())
    assert hashlib.sha256(text.encode()).hexdigest().startswith("be89712449583c8f")


def test_schema():
    events, items, truth = read(users=50)
    assert dict(events.schema) == {
        "user_id": pl.String, "item_id": pl.String, "timestamp": pl.Int64, "event": pl.String,
        "rating": pl.Float32, "text": pl.String,
    }  # fmt: skip
    assert items["title"].n_unique() == items.height == 400
    assert items["category"].n_unique() == 32
    assert items.null_count().sum_horizontal().item() == 0
    assert truth.columns == ["user_id", "kind", "timestamp", "source", "destination"]
    assert events["user_id"].n_unique() == truth.height == 50
    assert events["timestamp"].is_sorted()


def test_sizes():
    events, items, truth = read(users=2000, items=100, categories=3, events=20, days=30)
    assert events.height / 2000 == pytest.approx(20, rel=0.1)
    assert items.height == 100
    assert items["category"].n_unique() == 12
    counts = events.group_by("user_id").len()["len"]
    assert counts.min() >= 2
    assert counts.std() > 8
    assert events["timestamp"].max() - events["timestamp"].min() < 30 * 86_400
    assert truth["kind"].value_counts().sort("kind")["count"].to_list() == [600, 600, 800]


def test_migrators_move(shop):
    source = shares(shop, "migrate", pl.col("top") == pl.col("source"))
    destination = shares(shop, "migrate", pl.col("top") == pl.col("destination"))
    assert source[0] - source[1] == pytest.approx(0.6, abs=0.05)
    assert destination[1] - destination[0] == pytest.approx(0.6, abs=0.05)


def test_evolvers_deepen(shop):
    inside = shop.filter(pl.col("top") == pl.col("source"))
    before, after = shares(inside, "evolve", pl.col("category") == pl.col("destination"))
    assert before == pytest.approx(0.25, abs=0.05)
    assert after > 0.6
    before, after = shares(shop, "evolve", pl.col("event").is_in(["cart", "purchase"]))
    assert after - before > 0.15
    before, after = shares(shop, "evolve", pl.col("top") == pl.col("source"))
    assert after == pytest.approx(before, abs=0.05)


def test_null_users_stay(shop):
    null_users = shop.filter(kind="null")
    assert null_users.select("timestamp_change", "source", "destination").null_count().row(0) == (null_users.height,) * 3
    assert loyal_share(null_users) > 0.7
    assert loyal_share(shop.filter(kind="migrate")) < 0.4


def loyal_share(events: pl.DataFrame) -> float:
    """Return the share of users whose most frequent category is the same in the first and the second half of their history."""
    half = (pl.int_range(pl.len()) >= pl.len() / 2).over("user_id").alias("half")
    main = events.with_columns(half).group_by("user_id", "half").agg(pl.col("top").mode().sort().first())
    return main.group_by("user_id").agg(pl.col("top").n_unique() == 1)["top"].mean()


def test_strength_zero_plants_nothing():
    events, items, truth = read(users=600, strength=0.0, migrate=1.0, evolve=0.0)
    joined = events.join(items, on="item_id").join(truth, on="user_id", suffix="_change")
    after = joined["timestamp"] >= joined["timestamp_change"]
    in_destination = joined["category"].str.split(" > ").list.first() == joined["destination"]
    assert in_destination.filter(after).mean() == pytest.approx(in_destination.filter(~after).mean(), abs=0.03)


def test_migrators_may_move_partially():
    events, items, truth = read(users=1000, migrate=1.0, evolve=0.0, moved=0.25, seed=5)
    joined = events.join(items, on="item_id").join(truth, on="user_id", suffix="_change")
    joined = joined.with_columns(
        top=pl.col("category").str.split(" > ").list.first(), after=pl.col("timestamp") >= pl.col("timestamp_change")
    )
    source = shares(joined, "migrate", pl.col("top") == pl.col("source"))
    destination = shares(joined, "migrate", pl.col("top") == pl.col("destination"))
    assert source[0] - source[1] == pytest.approx(0.15, abs=0.03)
    assert destination[1] - destination[0] == pytest.approx(0.15, abs=0.03)


@pytest.mark.parametrize("visit", [1.0, 2.0, 5.0])
def test_mean_events_per_session(visit):
    events, _, _ = read(users=1000, visit=visit, days=3650)
    starts_session = (pl.col("timestamp").diff().over("user_id") > 1800).fill_null(True)
    sessions = events.sort("user_id", "timestamp").select(starts_session.sum()).item()
    assert events.height / sessions == pytest.approx(visit, rel=0.05)
    assert events.height / 1000 == pytest.approx(40, rel=0.1)


@pytest.fixture(scope="module")
def momentum_log():
    events, items, truth = read(users=300, visit=1.0, momentum=(0.5, 0.3), seed=4)
    top = events.join(items, on="item_id").with_columns(top=pl.col("category").str.split(" > ").list.first())
    return top.sort("user_id", "timestamp", maintain_order=True), truth


def test_truth_of_momentum(momentum_log):
    _, truth = momentum_log
    assert truth.columns == ["user_id", "kind", "timestamp", "source", "destination", "alpha", "beta", "gain"]
    assert truth["kind"].unique().to_list() == ["momentum"]
    assert truth.select("timestamp", "source", "destination").null_count().row(0) == (300,) * 3
    assert truth.select("alpha", "beta", "gain").unique().rows() == [(0.5, 0.3, 4.0)]


def test_momentum_persists_but_not_forever(momentum_log):
    events, _ = momentum_log

    def repeats(after: int) -> float:
        return events.select((pl.col("top") == pl.col("top").shift(after)).over("user_id").mean()).item()

    assert repeats(1) > repeats(20) + 0.2
    assert repeats(1) < 0.85
    assert events["top"].value_counts()["count"].max() < 0.5 * events.height


def test_momentum_returns_to_the_earlier_category():
    """After A and then B, with a beta near one, an average has forgotten A, but momentum moves back towards it."""

    def return_share(alpha: float) -> float:
        x = simulate_categories(np.random.default_rng(0), np.full(20_000, 3), np.full(4, 0.25), alpha, 0.9).reshape(-1, 3)
        turned = x[:, 0] != x[:, 1]
        return np.mean(x[turned, 2] == x[turned, 0])

    assert return_share(0.0) < 0.1
    assert return_share(0.9) > 0.4


def test_changes_lie_within_the_history(shop):
    changed = (
        shop.filter(pl.col("kind") != "null").group_by("user_id").agg(pl.col("after").any(), pl.col("after").all().alias("all"))
    )
    assert changed["after"].all()
    assert not changed["all"].any()


def test_order_predicts_the_next_item(shop):
    """Guessing the most frequent follower of the last item beats guessing the most popular item of its leaf."""
    pairs = shop.sort("user_id", "timestamp", maintain_order=True).with_columns(
        next=pl.col("item_id").shift(-1).over("user_id")
    ).drop_nulls("next").with_columns(test=pl.int_range(pl.len()) % 2 == 1)  # fmt: skip
    train = pairs.filter(~pl.col("test"))

    def accuracy(by: str, guess: str) -> float:
        best = train.group_by(by, guess).len().sort("len", descending=True).unique(by, keep="first").rename({guess: "guess"})
        hits = pairs.filter("test").join(best.select(by, "guess"), on=by).select(pl.col("guess") == pl.col("next"))
        return hits.to_series().mean()

    assert accuracy("item_id", "next") > 1.2 * accuracy("category", "item_id")


def test_popularity_is_skewed_within_a_leaf(shop):
    counts = shop.group_by("category", "item_id").len()
    top = counts.group_by("category").agg(pl.col("len").max() / pl.col("len").mean())["len"]
    assert top.mean() > 2


def test_users_write_in_their_language_and_of_their_item(shop):
    reviews = shop.filter(pl.col("event") == "review")
    assert reviews["text"].null_count() == reviews["rating"].null_count() == 0
    assert shop.filter(pl.col("event") != "review")["text"].null_count() == shop.height - reviews.height
    languages = reviews.with_columns(chinese=pl.col("text").str.contains(r"\p{Han}")).group_by("user_id").agg(
        pl.col("chinese").any(), pl.col("chinese").all().alias("all")
    )  # fmt: skip
    assert (languages["chinese"] == languages["all"]).all()
    assert languages["chinese"].mean() == pytest.approx(0.3, abs=0.05)
    for text, path in reviews.select("text", "category").head(200).rows():
        category = next(c for c in CATEGORIES if path.startswith(c.name))
        leaf = category.leaves.index(path.split(" > ")[1])
        assert any(noun in text for noun in category.english.nouns[leaf] + category.chinese.nouns[leaf])


def test_twenty_categories():
    events, items, _ = read(users=200, categories=20)
    assert items["category"].str.split(" > ").list.first().n_unique() == 20
    assert items["category"].n_unique() == 80
    assert items["title"].n_unique() == items.height
    assert set(events["item_id"]) <= set(items["item_id"])


def test_vocabulary_is_complete():
    assert len({category.name for category in CATEGORIES}) == len(CATEGORIES) == 20
    for category in CATEGORIES:
        assert len(category.leaves) == LEAVES
        for words in (category.english, category.chinese):
            assert [len(part) for part in words[:4]] == [4, 5, 4, 4]
            assert [len(nouns) for nouns in words.nouns] == [4] * LEAVES
            assert all(isinstance(part, str) and part for group in (*words[:4], *words.nouns) for part in group)


@pytest.mark.parametrize(
    "args",
    [
        {"users": 0}, {"items": 31}, {"categories": 1}, {"categories": 21}, {"events": 3}, {"days": 0}, {"seed": -1},
        {"migrate": 0.6, "evolve": 0.6}, {"strength": 1.1}, {"chinese": -0.1}, {"events": float("nan")},
        {"moved": 1.1}, {"visit": 0.9}, {"events": 10, "visit": 6}, {"visit": float("nan")},
        {"momentum": (1.0, 0.5)}, {"momentum": (0.5, 0.0)}, {"momentum": (0.5, 3.0)}, {"momentum": (float("nan"), 0.5)},
    ],
)  # fmt: skip
def test_arguments_out_of_range(args):
    with pytest.raises(DataError):
        Simulated(**args)


@pytest.mark.parametrize(
    "args", [{"users": 1}, {"items": 32}, {"events": 4}, {"strength": 1.0}, {"days": 1}, {"items": 4000}, {"visit": 1.0}]
)
def test_edges(args):
    events, items, truth = read(**{"users": 20} | args)
    assert set(events["item_id"]) <= set(items["item_id"])
    assert items["title"].n_unique() == items.height
    assert truth.height == args.get("users", 20)
