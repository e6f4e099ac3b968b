import math

import pytest
import torch

from interestlab_objectives.forecast import Forecast

FIELD = "item.category"


def reference(step, window, temperature):
    """Compute the loss in plain loops."""
    batch, candidates = step.batch, step.candidates
    code = dict(zip(candidates.items.tolist(), candidates.field_codes[FIELD].tolist(), strict=True))
    members = {c: candidates.embeddings[candidates.field_codes[FIELD] == c] for c in code.values() if c >= 0}
    losses = []
    for user, position in step.target_mask.nonzero().tolist():
        days, categories = 0.0, []
        for later in range(position + 1, int(batch.mask[user].sum())):
            days += float(batch.dt[user, later])
            category = code[int(batch.items[user, later])]
            if days <= window and category >= 0:
                categories.append(category)
        if categories:
            score = {
                c: float(step.user_states[user, position] @ vectors.mean(0)) / temperature for c, vectors in members.items()
            }
            total = math.log(sum(math.exp(s) for s in score.values()))
            losses.append(sum(total - score[c] for c in categories) / len(categories))
    return sum(losses) / max(len(losses), 1)


@pytest.fixture
def step_with_codes(make_step):
    """Return a function that builds a step: users with gaps of days, simultaneous events, and items without a category."""

    def build(codes):
        return make_step(
            [[5, 3, 8, 5, 9], [0, 7, 3], [2]],
            [[3, 8, -1, 9, 1], [7, 3, 4], [6]],
            dt=[[0, 0.5, 0.0, 2.5, 4.0], [0, 7.0, 0.5], [0]],
            vectors=torch.randn(10, 4, requires_grad=True),
            field_codes={FIELD: torch.tensor(codes)},
        )

    return build


PARTLY_MISSING = [0, 2, -1, 2, 0, 5, 5, -1, 0, -1]


@pytest.mark.parametrize(
    "codes",
    [PARTLY_MISSING, [i % 3 for i in range(10)], list(range(10))],
    ids=["some items", "three categories", "one item each"],
)
@pytest.mark.parametrize("window", [0.25, 0.5, 3.0, 7.0, 1e3])
def test_loss_equals_a_reference(step_with_codes, codes, window):
    torch.manual_seed(0)
    step = step_with_codes(codes)
    with torch.no_grad():
        assert Forecast(window=window, temperature=0.5)(step).item() == pytest.approx(reference(step, window, 0.5), rel=1e-5)


def test_positions_with_an_empty_window_receive_no_gradient(step_with_codes):
    step = step_with_codes(PARTLY_MISSING)
    Forecast(window=1.0)(step).backward()
    # First user: two events within a day after the first, one after the second, then gaps of days.
    assert step.event_embeddings.grad[0].any(-1).tolist() == [True, True, False, False, False]
    # Second user: a week to the second event, half a day from there to the last.
    assert step.event_embeddings.grad[1].any(-1).tolist() == [False, True, False, False, False]
    assert not step.event_embeddings.grad[2].any()


def test_items_without_a_category_receive_no_gradient(step_with_codes):
    step = step_with_codes(PARTLY_MISSING)
    Forecast()(step).backward()
    assert step.candidates.embeddings.grad.any(-1).tolist() == [code >= 0 for code in PARTLY_MISSING]


def test_no_categories_or_no_later_events_give_no_loss(step_with_codes, make_step):
    single_event = make_step([[1]], [[2]], field_codes={FIELD: torch.zeros(20, dtype=torch.int64)})
    for step in (step_with_codes([-1] * 10), single_event):
        loss = Forecast()(step)
        loss.backward()
        assert loss.item() == 0
        assert not step.event_embeddings.grad.any()


def test_loss_is_smallest_at_the_coming_categories(make_step):
    items = [[0, 1, 1, 1], [1, 0, 0, 0]]
    options = {"dt": [[0, 1, 1, 1]] * 2, "vectors": torch.eye(2), "field_codes": {FIELD: torch.arange(2)}}
    correct = torch.eye(2)[torch.tensor([[1] * 4, [0] * 4])]
    smallest, largest = (Forecast(temperature=1.0)(make_step(items, items, z=z, **options)) for z in (correct, 1 - correct))
    assert smallest.item() == pytest.approx(math.log(1 + math.exp(-1)))
    assert largest.item() == pytest.approx(math.log(1 + math.exp(1)))


def test_fields_and_candidates_attributes():
    assert Forecast(field="item.brand").fields == ["item.brand"]
    assert Forecast(candidates="batch").candidates == "batch"


@pytest.mark.parametrize("arguments", [{"window": 0.0}, {"temperature": 0.0}])
def test_invalid_arguments(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Forecast(**arguments)
