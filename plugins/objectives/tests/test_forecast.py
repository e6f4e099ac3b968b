import math

import pytest
import torch

from interestlab_objectives.forecast import Forecast

FIELD = "item.category"


def reference(step, window, temperature):
    """The loss in plain loops."""
    batch, candidates = step.batch, step.candidates
    code = dict(zip(candidates.items.tolist(), candidates.field_codes[FIELD].tolist(), strict=True))
    members = {c: candidates.embeddings[candidates.field_codes[FIELD] == c] for c in code.values() if c >= 0}
    losses = []
    for user, place in step.target_mask.nonzero().tolist():
        days, turned_to = 0.0, []
        for later in range(place + 1, int(batch.mask[user].sum())):
            days += float(batch.dt[user, later])
            category = code[int(batch.items[user, later])]
            if days <= window and category >= 0:
                turned_to.append(category)
        if turned_to:
            score = {c: float(step.user_states[user, place] @ vectors.mean(0)) / temperature for c, vectors in members.items()}
            total = math.log(sum(math.exp(s) for s in score.values()))
            losses.append(sum(total - score[c] for c in turned_to) / len(turned_to))
    return sum(losses) / max(len(losses), 1)


@pytest.fixture
def some(step_of):
    """Users with silences of days between events, two of them at one moment, and items without a category."""

    def make(codes):
        return step_of(
            [[5, 3, 8, 5, 9], [0, 7, 3], [2]],
            [[3, 8, -1, 9, 1], [7, 3, 4], [6]],
            dt=[[0, 0.5, 0.0, 2.5, 4.0], [0, 7.0, 0.5], [0]],
            vectors=torch.randn(10, 4, requires_grad=True),
            field_codes={FIELD: torch.tensor(codes)},
        )

    return make


SOME_WITHOUT = [0, 2, -1, 2, 0, 5, 5, -1, 0, -1]


@pytest.mark.parametrize("codes", [SOME_WITHOUT, [i % 3 for i in range(10)], list(range(10))], ids=["some", "all", "each"])
@pytest.mark.parametrize("window", [0.25, 0.5, 3.0, 7.0, 1e3])
def test_value_by_loops(some, codes, window):
    torch.manual_seed(0)
    step = some(codes)
    with torch.no_grad():
        assert Forecast(window=window, temperature=0.5)(step).item() == pytest.approx(reference(step, window, 0.5), rel=1e-5)


def test_positions_without_events_in_the_window_learn_nothing(some):
    step = some(SOME_WITHOUT)
    Forecast(window=1.0)(step).backward()
    # Of the first user: the two events within a day after the first, one more after the second; then days pass.
    assert step.event_embeddings.grad[0].any(-1).tolist() == [True, True, False, False, False]
    # Of the second: the next event is a week away, the one after it has half a day to the last.
    assert step.event_embeddings.grad[1].any(-1).tolist() == [False, True, False, False, False]
    assert not step.event_embeddings.grad[2].any()


def test_items_without_a_category_learn_nothing(some):
    step = some(SOME_WITHOUT)
    Forecast()(step).backward()
    assert step.candidates.embeddings.grad.any(-1).tolist() == [code >= 0 for code in SOME_WITHOUT]


def test_without_any_category_or_event_to_come_there_is_no_loss(some, step_of):
    alone = step_of([[1]], [[2]], field_codes={FIELD: torch.zeros(20, dtype=torch.int64)})
    for step in (some([-1] * 10), alone):
        loss = Forecast()(step)
        loss.backward()
        assert loss.item() == 0
        assert not step.event_embeddings.grad.any()


def test_is_least_where_every_interest_is_what_comes(step_of):
    items = [[0, 1, 1, 1], [1, 0, 0, 0]]
    given = {"dt": [[0, 1, 1, 1]] * 2, "vectors": torch.eye(2), "field_codes": {FIELD: torch.arange(2)}}
    towards = torch.eye(2)[torch.tensor([[1] * 4, [0] * 4])]
    right, wrong = (Forecast(temperature=1.0)(step_of(items, items, z=z, **given)) for z in (towards, 1 - towards))
    assert right.item() == pytest.approx(math.log(1 + math.exp(-1)))
    assert wrong.item() == pytest.approx(math.log(1 + math.exp(1)))


def test_asks_for_its_field():
    assert Forecast(field="item.brand").fields == ["item.brand"]
    assert Forecast(candidates="batch").candidates == "batch"


@pytest.mark.parametrize("arguments", [{"window": 0.0}, {"temperature": 0.0}])
def test_refuses_what_has_no_meaning(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Forecast(**arguments)
