"""What is recommended to a history is what ``interestlab predict`` writes for its user."""

from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pytest
import torch

from interestlab.cli.main import run
from interestlab.registry import DYNAMICS


@pytest.fixture
def like_predictions(histories):
    """Whether every user's history, given by hand, leads where the predictions of a run do."""

    def check(folder, recommender):
        predictions = pl.read_parquet(folder / "predictions.parquet").partition_by("user_id", as_dict=True)
        told = histories(recommender)
        assert len(told) == len(predictions)
        # Of some, the window of training shows only the end.
        assert min(map(len, told.values())) < recommender.data.max_history < max(map(len, told.values()))
        for (user,), expected in predictions.items():
            found = recommender.recommend(told[user])
            assert found["item_id"].to_list() == expected["item_id"].to_list()
            assert found["rank"].to_list() == expected["rank"].to_list()
            torch.testing.assert_close(found["score"].to_torch(), expected["score"].to_torch().double(), atol=1e-6, rtol=0)

    return check


@pytest.mark.parametrize(
    "dynamics",
    [
        pytest.param(d, marks=[pytest.mark.slow] * (d not in ("ewma", "transformer", "multi_interest")))
        for d in DYNAMICS.names()
    ],
)
def test_every_dynamics(fitted, loaded, like_predictions, dynamics):
    options = ["--model.encoder=id", f"--model.dynamics={dynamics}"]
    like_predictions(fitted(*options), loaded(*options))


@pytest.mark.parametrize(
    "read", [*(pytest.param(r, marks=pytest.mark.slow) for r in ("frozen", "lora")), "id_and_words", "events"]
)
def test_words_and_events(fitted, shop, compositions, like_predictions, read):
    folder = fitted(*compositions[read])
    run(["predict", f"--run_dir={folder}", "--trainer.enable_progress_bar=false"])
    like_predictions(folder, shop(read))


def test_the_items_of_the_history_are_left_out_where_the_model_was_measured_so(shop, histories):
    for name, excluded in (("ewma", True), ("id_and_words", False)):
        recommender = shop(name)
        everything = recommender.data.log.items["item_id"]
        history = max(histories(recommender).values(), key=len)
        seen = {event["item_id"] for event in history}
        found = recommender.recommend(history, k=1000)
        assert set(found["item_id"]) == (set(everything) - seen if excluded else set(everything))
        assert found["rank"].to_list() == [*range(1, len(found) + 1)]
        rest = recommender.recommend([*everything], k=5)
        assert len(rest) == (0 if excluded else 5)
        assert rest.schema == {"rank": pl.Int64, "item_id": pl.String, "score": pl.Float64}


@pytest.mark.parametrize(("dynamics", "moves"), [("ode", True), ("ewma", False)])
def test_a_later_moment_counts_where_the_interest_drifts(shop, dynamics, moves):
    recommender = shop(dynamics)
    history = [{"item_id": "i00001", "timestamp": 1_700_000_000}, {"item_id": "i00002", "timestamp": 1_700_000_900}]
    now, then = (recommender.recommend(history, 40, at)["score"].sort().to_list() for at in (1_700_000_900, 1_800_000_000))
    assert recommender.recommend(history, 40)["score"].sort().to_list() == now
    assert recommender.recommend(history, 40, 1_600_000_000)["score"].sort().to_list() == now
    assert (now != then) == moves


def test_a_datetime_is_its_unix_seconds(shop):
    recommender = shop("ode")
    times = [1_700_000_000, 1_700_500_000, 1_700_590_000]
    aware = [datetime.fromtimestamp(time, timezone(timedelta(hours=8))) for time in times]
    naive = [datetime.fromtimestamp(time, UTC).replace(tzinfo=None) for time in times]
    plain, *others = (
        recommender.recommend([{"item_id": "i00001", "timestamp": one}, {"item_id": "i00002", "timestamp": two}], 40, at)
        for one, two, at in (times, aware, naive)
    )
    assert all(plain.equals(other) for other in others)


@pytest.mark.parametrize("k", [0, -1])
def test_how_many_must_be_some(shop, k):
    with pytest.raises(ValueError, match=f"k must be at least 1, not {k}"):
        shop("ewma").recommend(["i00001"], k)
