"""The probability that a user wants an item."""

import pytest
import torch
from torch.nn import functional as F

from interestlab.errors import DataError

HISTORY = [{"item_id": "i00003", "timestamp": 1_700_000_000}, {"item_id": "i00001", "timestamp": 1_700_600_000}]

IDS = "--model.encoder=id", "--model.objective=interest"


def test_it_is_the_sigmoid_of_the_objective(shop):
    recommender = shop("frozen")
    model, ids = recommender.model, recommender.data.log.items["item_id"].to_list()
    with torch.no_grad():
        items = model.backbone.embed_items(torch.arange(len(ids)).numpy())
        x = items[[ids.index(event["item_id"]) for event in HISTORY]].unsqueeze(0)
        z = model.backbone.dynamics(x, torch.tensor([[0.0, 600_000 / 86_400]]), torch.ones(1, 2, dtype=torch.bool))[0, -1]
        scores = F.cosine_similarity(z, items, dim=-1)
        expected = torch.sigmoid(model.objective.logit.log_scale.exp() * scores + model.objective.logit.bias)
    found = {item: recommender.predict_interest(HISTORY, {"item_id": item}) for item in ids}
    torch.testing.assert_close(torch.tensor([*found.values()]), expected, atol=1e-5, rtol=0)
    assert all(0 < p < 1 for p in found.values())
    rest = found.keys() - {event["item_id"] for event in HISTORY}
    assert recommender.recommend(HISTORY, 1)["item_id"].to_list() == [max(rest, key=found.__getitem__)]


def test_it_is_highest_for_what_the_history_is_of(loaded):
    recommender = loaded(*IDS, "--model.dynamics=ewma")
    ids = recommender.data.log.items["item_id"].to_list()
    for item in ids[::13]:
        found = {other: recommender.predict_interest([{"item_id": item}], {"item_id": other}) for other in ids}
        assert max(found, key=found.__getitem__) == item
        assert found[item] > 0.99  # by cosine nothing is nearer


def test_plain_strings_are_words(shop):
    recommender = shop("frozen")
    words = recommender.predict_interest(["oak desk", "walnut desk"], "walnut chair")
    titles = [{"title": "oak desk"}, {"title": "walnut desk"}]
    assert words == recommender.predict_interest(titles, {"title": "walnut chair"})
    assert words != recommender.predict_interest(["oak desk", "green tea"], "walnut chair")


def test_several_interests_count_by_their_best(loaded):
    recommender = loaded(*IDS, "--model.dynamics=multi_interest")
    history = [{"item_id": "i00001"}, {"item_id": "i00002"}]
    found = recommender.recommend(history, 1)
    p = recommender.predict_interest(history, {"item_id": found["item_id"][0]})
    score = torch.tensor(found["score"][0])
    assert p == pytest.approx(recommender.model.objective.probability(score).item(), abs=1e-6)


def test_a_model_that_only_orders_says_so(shop):
    with pytest.raises(DataError, match=r"gives no probability; train with the objective `interest`\.$") as told:
        shop("ewma").predict_interest([{"item_id": "i00001"}], {"item_id": "i00002"})
    assert "\n" not in str(told.value)


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
def test_what_cannot_be_read_is_told(shop, history, candidate, message):
    with pytest.raises(DataError, match=message):
        shop("frozen").predict_interest(history, candidate)


def test_words_say_nothing_to_a_model_of_ids(loaded):
    recommender = loaded(*IDS, "--model.dynamics=ewma")
    with pytest.raises(DataError, match=r"the model reads item\.id\."):
        recommender.predict_interest(["oak desk"], "walnut desk")
