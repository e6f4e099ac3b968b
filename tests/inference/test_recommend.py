"""Recommendations for a history equal the output of ``interestlab predict`` for its user."""

from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pytest
import torch

from interestlab.cli.main import run
from interestlab.registry import DYNAMICS


@pytest.fixture
def assert_equals_predictions(histories):
    """Return a function that asserts that recommending for the history of every user equals the predictions of a run."""

    def check(folder, recommender):
        run(["predict", f"--run_dir={folder}", "--trainer.enable_progress_bar=false"])
        predictions = pl.read_parquet(folder / "predictions.parquet").partition_by("user_id", as_dict=True)
        user_histories = histories(recommender)
        assert len(user_histories) == len(predictions)
        # Some histories are longer than the window of training.
        assert min(map(len, user_histories.values())) < recommender.data.max_history < max(map(len, user_histories.values()))
        for (user,), expected in predictions.items():
            recommendations = recommender.recommend(user_histories[user])
            assert recommendations["item_id"].to_list() == expected["item_id"].to_list()
            assert recommendations["rank"].to_list() == expected["rank"].to_list()
            torch.testing.assert_close(
                recommendations["score"].to_torch(), expected["score"].to_torch().double(), atol=1e-6, rtol=0
            )

    return check


@pytest.mark.parametrize(
    "dynamics",
    [
        pytest.param(d, marks=[pytest.mark.slow] * (d not in ("ewma", "transformer", "multi_interest")))
        for d in DYNAMICS.names()
    ],
)
def test_every_dynamics(fitted, loaded, assert_equals_predictions, dynamics):
    options = ["--model.encoder=id", f"--model.dynamics={dynamics}"]
    assert_equals_predictions(fitted(*options), loaded(*options))


@pytest.mark.parametrize(
    "inputs", [*(pytest.param(r, marks=pytest.mark.slow) for r in ("frozen", "lora")), "id_and_words", "events"]
)
def test_words_and_events(fitted, recommender_for, model_options, assert_equals_predictions, inputs):
    assert_equals_predictions(fitted(*model_options[inputs]), recommender_for(inputs))


def test_items_of_the_history_are_excluded_as_in_evaluation(recommender_for, histories):
    for name, excluded in (("ewma", True), ("id_and_words", False)):
        recommender = recommender_for(name)
        catalogue = recommender.data.log.items["item_id"]
        history = max(histories(recommender).values(), key=len)
        seen = {event["item_id"] for event in history}
        recommendations = recommender.recommend(history, k=1000)
        assert set(recommendations["item_id"]) == (set(catalogue) - seen if excluded else set(catalogue))
        assert recommendations["rank"].to_list() == [*range(1, len(recommendations) + 1)]
        rest = recommender.recommend([*catalogue], k=5)
        assert len(rest) == (0 if excluded else 5)
        assert rest.schema == {"rank": pl.Int64, "item_id": pl.String, "score": pl.Float64}


@pytest.mark.parametrize(("dynamics", "changes"), [("ode", True), ("ewma", False)])
def test_a_later_time_matters_if_the_dynamics_advances(recommender_for, dynamics, changes):
    recommender = recommender_for(dynamics)
    history = [{"item_id": "i00001", "timestamp": 1_700_000_000}, {"item_id": "i00002", "timestamp": 1_700_000_900}]
    now, later = (recommender.recommend(history, 40, at)["score"].sort().to_list() for at in (1_700_000_900, 1_800_000_000))
    assert recommender.recommend(history, 40)["score"].sort().to_list() == now
    assert recommender.recommend(history, 40, 1_600_000_000)["score"].sort().to_list() == now
    assert (now != later) == changes


def test_a_datetime_is_its_unix_seconds(recommender_for):
    recommender = recommender_for("ode")
    times = [1_700_000_000, 1_700_500_000, 1_700_590_000]
    aware = [datetime.fromtimestamp(time, timezone(timedelta(hours=8))) for time in times]
    naive = [datetime.fromtimestamp(time, UTC).replace(tzinfo=None) for time in times]
    plain, *others = (
        recommender.recommend([{"item_id": "i00001", "timestamp": one}, {"item_id": "i00002", "timestamp": two}], 40, at)
        for one, two, at in (times, aware, naive)
    )
    assert all(plain.equals(other) for other in others)


@pytest.mark.parametrize("k", [0, -1])
def test_k_must_be_positive(recommender_for, k):
    with pytest.raises(ValueError, match=f"k must be at least 1, not {k}"):
        recommender_for("ewma").recommend(["i00001"], k)
