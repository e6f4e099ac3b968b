import math

import pytest
import torch
from torch.nn import functional as F

from interestlab_objectives.contrastive import Contrastive

ITEMS, TARGETS = [[5, 3, 8], [0], [2, 4]], [[3, 8, 11], [17], [4, 6]]


def reference(first, second, temperature):
    """NT-Xent (Chen et al. 2020, arXiv 2002.05709, algorithm 1) of each user's two vectors, in plain loops."""
    views = [F.normalize(v, dim=-1) for v in (*first, *second)]
    losses = []
    for i, view in enumerate(views):
        similar = [math.exp(float(view @ other) / temperature) for other in views]
        partner = (i + len(first)) % len(views)
        losses.append(-math.log(similar[partner] / (sum(similar) - similar[i])))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("interests", [(), (4,)], ids=["one interest", "four"])
def test_value_by_loops(step_of, interests):
    torch.manual_seed(0)
    views = [torch.randn(3, 3, *interests, 6) for _ in range(2)]
    given = iter(views)
    step = step_of(ITEMS, TARGETS, follow=lambda x, dt, mask: next(given))
    loss = Contrastive(["dropout"], temperature=0.5)(step)
    last = [torch.stack([z[0, 2], z[1, 0], z[2, 1]]).flatten(1) for z in views]
    assert loss.item() == pytest.approx(reference(*last, 0.5), rel=1e-5)


@pytest.mark.parametrize(("change", "last"), [("crop", {2, 3}), ("mask", {0, 3}), ("reorder", {1, 2, 3}), ("dropout", {3})])
def test_reads_the_last_event_of_what_each_change_left(step_of, change, last):
    torch.manual_seed(0)
    step = step_of([[1, 2, 3]] * 50, [[2, 3, 4]] * 50, follow=lambda x, dt, mask: x)
    step.event_embeddings.data.copy_(torch.arange(1.0, 4.0)[:, None])
    step.event_embeddings.data[..., 1] = 1.0  # beside which unit length keeps the number
    read = Contrastive([change], kept=0.7, masked=0.4, reordered=1.0).read(step)
    assert {*(read[:, 0] / read[:, 1]).nan_to_num(0.0).round().int().tolist()} == last


def test_each_view_of_each_user_is_changed_by_chance(step_of):
    torch.manual_seed(0)
    seen = []
    step = step_of([[1, 2, 3, 4]] * 300, [[2, 3, 4, 5]] * 300, follow=lambda *view: seen.append(view) or view[0])
    Contrastive(["crop", "mask", "dropout"], kept=0.5, masked=0.5)(step)
    kinds = []
    for x, _, mask in seen:
        cropped = ~mask[:, 3]
        blanked = (x == 0).all(-1).any(1)
        assert not (cropped & blanked).any()
        kinds.append(cropped * 1 + blanked * 2)
        for kind in range(3):
            assert 60 < (kinds[-1] == kind).sum() < 140
    assert len(seen) == 2
    assert (kinds[0] != kinds[1]).float().mean() > 0.5


def test_nearer_views_have_less_loss_and_gradients_reach_the_events(step_of):
    torch.manual_seed(0)
    step = step_of(ITEMS, TARGETS)
    loss = Contrastive(["dropout"])(step)
    loss.backward()
    assert step.event_embeddings.grad.any()
    apart = [torch.randn(3, 3, 6) for _ in range(2)]
    given = iter(apart)
    assert loss < Contrastive(["dropout"])(step_of(ITEMS, TARGETS, follow=lambda *view: next(given)))


def test_a_lone_user_has_nobody_to_be_told_from(step_of):
    assert Contrastive()(step_of([[1, 2]], [[2, 3]])).item() == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"changes": []}, "changes must be some of crop, mask, reorder, dropout"),
        ({"changes": ["crop", "swap"]}, "changes must be some of crop, mask, reorder, dropout, not"),
        ({"kept": 0.0}, "kept must be positive"),
        ({"masked": 1.5}, r"masked \(1.5\)"),
        ({"reordered": -0.1}, r"reordered \(-0.1\)"),
        ({"temperature": 0.0}, "temperature must be positive"),
    ],
)
def test_refuses_what_has_no_meaning(arguments, told):
    with pytest.raises(ValueError, match=told):
        Contrastive(**arguments)
