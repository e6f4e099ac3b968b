"""What is left of a history in each view of it. An event is told by the number in its vector."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab_objectives.views import View, crop, mask, reorder

# Shares that are exact in binary, so that the floor of a product is what it looks like.
SHARES = st.sampled_from([0.25, 0.5, 0.75, 1.0])
LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=4)


def histories(lengths):
    """Events 1, 2, 3, ..., each as many days after the one before it; NaN in the padding, which nothing may read."""
    place = torch.arange(max(lengths)).expand(len(lengths), -1)
    real = place < torch.tensor(lengths).unsqueeze(1)
    x = (place + 1.0).masked_fill(~real, torch.nan)
    return View(x.unsqueeze(-1).expand(-1, -1, 2), (place + 1.0).masked_fill(place == 0, 0.0) * real, real)


def events(view):
    return [x[real, 0].int().tolist() for x, real in zip(view.x, view.mask, strict=True)]


@settings(max_examples=50, deadline=None)
@given(LENGTHS, SHARES)
def test_crop_is_one_stretch_of_the_history(lengths, share):
    view = crop(histories(lengths), share)
    for length, found, dt, real in zip(lengths, events(view), view.dt, view.mask, strict=True):
        assert len(found) == max(1, int(length * share))
        assert found == list(range(found[0], found[0] + len(found)))
        assert 1 <= found[0] <= found[-1] <= length
        assert dt[real].tolist() == [0, *found[1:]]
        assert real.tolist() == sorted(real.tolist(), reverse=True)


@settings(max_examples=50, deadline=None)
@given(LENGTHS, SHARES)
def test_mask_blanks_real_events_and_keeps_the_rest(lengths, share):
    given = histories(lengths)
    view = mask(given, share)
    for length, found in zip(lengths, events(view), strict=True):
        assert found.count(0) == int(length * share)
        assert all(event in (0, place + 1) for place, event in enumerate(found))
    assert view.x[~view.mask].isnan().all()
    assert torch.equal(view.dt, given.dt)
    assert torch.equal(view.mask, given.mask)


@settings(max_examples=50, deadline=None)
@given(LENGTHS, SHARES)
def test_reorder_shuffles_one_stretch_and_leaves_the_rest_and_the_times(lengths, share):
    given = histories(lengths)
    view = reorder(given, share)
    for length, found in zip(lengths, events(view), strict=True):
        assert sorted(found) == list(range(1, length + 1))
        moved = [place for place, event in enumerate(found) if event != place + 1]
        assert not moved or moved[-1] - moved[0] < max(1, int(length * share))
    assert view.x[~view.mask].isnan().all()
    assert torch.equal(view.dt, given.dt)
    assert torch.equal(view.mask, given.mask)


def test_every_stretch_and_every_order_comes():
    torch.manual_seed(0)
    given = histories([4] * 400)
    assert {tuple(found) for found in events(crop(given, 0.5))} == {(1, 2), (2, 3), (3, 4)}
    assert len({tuple(found) for found in events(reorder(given, 1.0))}) == 24
    assert {tuple(event == 0 for event in found) for found in events(mask(given, 0.25))} == {
        tuple(place == blank for place in range(4)) for blank in range(4)
    }


def test_each_user_has_a_view_of_its_own():
    given = histories([3, 2])
    other = mask(given, 1.0)
    mixed = given.where(torch.tensor([False, True]), other)
    assert events(mixed) == [[1, 2, 3], [0, 0]]
