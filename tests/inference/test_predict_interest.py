"""The probability that a user wants an item."""

import pytest
import torch
from torch.nn import functional as F

from interestlab.errors import DataError

HISTORY = [{"item_id": "i00003", "timestamp": 1_700_000_000}, {"item_id": "i00001", "timestamp": 1_700_600_000}]

IDS = "--model.encoder=id", "--model.objective=interest"


def test_probability_is_the_sigmoid_of_the_objective(recommender_for):
    recommender = recommender_for("frozen")
    model, ids = recommender.model, recommender.data.log.items["item_id"].to_list()
    with torch.no_grad():
        items = model.backbone.embed_items(torch.arange(len(ids)).numpy())
        x = items[[ids.index(event["item_id"]) for event in HISTORY]].unsqueeze(0)
        z = model.backbone.dynamics(x, torch.tensor([[0.0, 600_000 / 86_400]]), torch.ones(1, 2, dtype=torch.bool))[0, -1]
        scores = F.cosine_similarity(z, items, dim=-1)
        expected = torch.sigmoid(model.objective.logit.log_scale.exp() * scores + model.objective.logit.bias)
    probabilities = {item: recommender.predict_interest(HISTORY, {"item_id": item}) for item in ids}
    torch.testing.assert_close(torch.tensor([*probabilities.values()]), expected, atol=1e-5, rtol=0)
    assert all(0 < p < 1 for p in probabilities.values())
    rest = probabilities.keys() - {event["item_id"] for event in HISTORY}
    assert recommender.recommend(HISTORY, 1)["item_id"].to_list() == [max(rest, key=probabilities.__getitem__)]


def test_probability_is_highest_for_the_item_of_the_history(loaded):
    recommender = loaded(*IDS, "--model.dynamics=ewma")
    ids = recommender.data.log.items["item_id"].to_list()
    for item in ids[::13]:
        probabilities = {other: recommender.predict_interest([{"item_id": item}], {"item_id": other}) for other in ids}
        assert max(probabilities, key=probabilities.__getitem__) == item
        assert probabilities[item] > 0.99  # no other item has a larger cosine similarity


def test_plain_strings_are_words(recommender_for):
    recommender = recommender_for("frozen")
    words = recommender.predict_interest(["oak desk", "walnut desk"], "walnut chair")
    titles = [{"title": "oak desk"}, {"title": "walnut desk"}]
    assert words == recommender.predict_interest(titles, {"title": "walnut chair"})
    assert words != recommender.predict_interest(["oak desk", "green tea"], "walnut chair")


def test_the_best_of_several_interests_counts(loaded):
    recommender = loaded(*IDS, "--model.dynamics=multi_interest")
    history = [{"item_id": "i00001"}, {"item_id": "i00002"}]
    recommendations = recommender.recommend(history, 1)
    p = recommender.predict_interest(history, {"item_id": recommendations["item_id"][0]})
    score = torch.tensor(recommendations["score"][0])
    assert p == pytest.approx(recommender.model.objective.probability(score).item(), abs=1e-6)


def test_an_objective_without_probabilities_is_rejected(recommender_for):
    with pytest.raises(DataError, match=r"gives no probability; train with the objective `interest`\.$") as error:
        recommender_for("ewma").predict_interest([{"item_id": "i00001"}], {"item_id": "i00002"})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("history", "candidate", "message"),
    [
        ([], "oak desk", "the history is empty"),
        (["oak desk"], "", "the model can read nothing of {'words': ''}"),
        (["oak desk"], {"item_id": "new"}, "the model can read nothing of {'item_id': 'new'}"),
        ("oak desk", "oak desk", r"write \[event\]"),
        (["oak desk"], {"titel": "oak desk"}, "the log has no column titel"),
    ],
)
def test_unreadable_input_is_reported(recommender_for, history, candidate, message):
    with pytest.raises(DataError, match=message):
        recommender_for("frozen").predict_interest(history, candidate)


def test_words_are_rejected_by_a_model_of_ids(loaded):
    recommender = loaded(*IDS, "--model.dynamics=ewma")
    with pytest.raises(DataError, match=r"the model reads item\.id\."):
        recommender.predict_interest(["oak desk"], "walnut desk")
