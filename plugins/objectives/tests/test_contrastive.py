import math

import pytest
import torch
from torch.nn import functional as F

from interestlab_objectives.contrastive import Contrastive

ITEMS, TARGETS = [[5, 3, 8], [0], [2, 4]], [[3, 8, 11], [17], [4, 6]]


def reference(first, second, temperature):
    """NT-Xent (Chen et al. 2020, arXiv 2002.05709, algorithm 1) in plain loops."""
    views = [F.normalize(v, dim=-1) for v in (*first, *second)]
    losses = []
    for i, view in enumerate(views):
        similarities = [math.exp(float(view @ other) / temperature) for other in views]
        partner = (i + len(first)) % len(views)
        losses.append(-math.log(similarities[partner] / (sum(similarities) - similarities[i])))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("interests", [(), (4,)], ids=["one interest", "four interests"])
def test_loss_equals_a_reference(make_step, interests):
    torch.manual_seed(0)
    views = [torch.randn(3, 3, *interests, 6) for _ in range(2)]
    outputs = iter(views)
    step = make_step(ITEMS, TARGETS, run_dynamics=lambda x, dt, mask: next(outputs))
    loss = Contrastive(["dropout"], temperature=0.5)(step)
    last = [torch.stack([z[0, 2], z[1, 0], z[2, 1]]).flatten(1) for z in views]
    assert loss.item() == pytest.approx(reference(*last, 0.5), rel=1e-5)


@pytest.mark.parametrize(("change", "last"), [("crop", {2, 3}), ("mask", {0, 3}), ("reorder", {1, 2, 3}), ("dropout", {3})])
def test_uses_the_last_event_of_the_augmented_history(make_step, change, last):
    torch.manual_seed(0)
    step = make_step([[1, 2, 3]] * 50, [[2, 3, 4]] * 50, run_dynamics=lambda x, dt, mask: x)
    step.event_embeddings.data.copy_(torch.arange(1.0, 4.0)[:, None])
    step.event_embeddings.data[..., 1] = 1.0  # keeps the ratio after normalisation
    encoded = Contrastive([change], crop_ratio=0.7, mask_ratio=0.4, reorder_ratio=1.0).encode_view(step)
    assert {*(encoded[:, 0] / encoded[:, 1]).nan_to_num(0.0).round().int().tolist()} == last


def test_each_view_of_each_user_has_a_random_augmentation(make_step):
    torch.manual_seed(0)
    views = []
    step = make_step([[1, 2, 3, 4]] * 300, [[2, 3, 4, 5]] * 300, run_dynamics=lambda *view: views.append(view) or view[0])
    Contrastive(["crop", "mask", "dropout"], crop_ratio=0.5, mask_ratio=0.5)(step)
    kinds = []
    for x, _, mask in views:
        cropped = ~mask[:, 3]
        masked = (x == 0).all(-1).any(1)
        assert not (cropped & masked).any()
        kinds.append(cropped * 1 + masked * 2)
        for kind in range(3):
            assert 60 < (kinds[-1] == kind).sum() < 140
    assert len(views) == 2
    assert (kinds[0] != kinds[1]).float().mean() > 0.5


def test_closer_views_have_a_smaller_loss_and_gradients_reach_the_events(make_step):
    torch.manual_seed(0)
    step = make_step(ITEMS, TARGETS)
    loss = Contrastive(["dropout"])(step)
    loss.backward()
    assert step.event_embeddings.grad.any()
    distant = [torch.randn(3, 3, 6) for _ in range(2)]
    outputs = iter(distant)
    assert loss < Contrastive(["dropout"])(make_step(ITEMS, TARGETS, run_dynamics=lambda *view: next(outputs)))


def test_a_single_user_has_no_negatives(make_step):
    assert Contrastive()(make_step([[1, 2]], [[2, 3]])).item() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"augmentations": []}, "augmentations must be one or more of crop, mask, reorder, dropout"),
        ({"augmentations": ["crop", "swap"]}, "augmentations must be one or more of crop, mask, reorder, dropout, not"),
        ({"crop_ratio": 0.0}, "crop_ratio must be positive"),
        ({"mask_ratio": 1.5}, r"mask_ratio \(1.5\)"),
        ({"reorder_ratio": -0.1}, r"reorder_ratio \(-0.1\)"),
        ({"temperature": 0.0}, "temperature must be positive"),
    ],
)
def test_invalid_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Contrastive(**arguments)
