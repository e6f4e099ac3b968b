"""Augmented histories. Each event is identified by the number in its vector."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab_objectives.augmentations import History, crop, mask, reorder

# Shares that are exact in binary, so that the floor of a product is exact.
SHARES = st.sampled_from([0.25, 0.5, 0.75, 1.0])
LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=4)


def histories(lengths):
    """Build histories of events 1, 2, ...; event k comes k days after event k - 1. The padding is NaN: it must not be read."""
    position = torch.arange(max(lengths)).expand(len(lengths), -1)
    real = position < torch.tensor(lengths).unsqueeze(1)
    x = (position + 1.0).masked_fill(~real, torch.nan)
    return History(x.unsqueeze(-1).expand(-1, -1, 2), (position + 1.0).masked_fill(position == 0, 0.0) * real, real)


def events(augmented):
    return [x[real, 0].int().tolist() for x, real in zip(augmented.x, augmented.mask, strict=True)]


@settings(deadline=None)
@given(LENGTHS, SHARES)
def test_crop_keeps_one_contiguous_part(lengths, share):
    augmented = crop(histories(lengths), share)
    for length, remaining, dt, real in zip(lengths, events(augmented), augmented.dt, augmented.mask, strict=True):
        assert len(remaining) == max(1, int(length * share))
        assert remaining == list(range(remaining[0], remaining[0] + len(remaining)))
        assert 1 <= remaining[0] <= remaining[-1] <= length
        assert dt[real].tolist() == [0, *remaining[1:]]
        assert real.tolist() == sorted(real.tolist(), reverse=True)


@settings(deadline=None)
@given(LENGTHS, SHARES)
def test_mask_zeroes_real_events_only(lengths, share):
    original = histories(lengths)
    augmented = mask(original, share)
    for length, remaining in zip(lengths, events(augmented), strict=True):
        assert remaining.count(0) == int(length * share)
        assert all(event in (0, position + 1) for position, event in enumerate(remaining))
    assert augmented.x[~augmented.mask].isnan().all()
    assert torch.equal(augmented.dt, original.dt)
    assert torch.equal(augmented.mask, original.mask)


@settings(deadline=None)
@given(LENGTHS, SHARES)
def test_reorder_shuffles_one_contiguous_part_and_keeps_the_times(lengths, share):
    original = histories(lengths)
    augmented = reorder(original, share)
    for length, remaining in zip(lengths, events(augmented), strict=True):
        assert sorted(remaining) == list(range(1, length + 1))
        moved = [position for position, event in enumerate(remaining) if event != position + 1]
        assert not moved or moved[-1] - moved[0] < max(1, int(length * share))
    assert augmented.x[~augmented.mask].isnan().all()
    assert torch.equal(augmented.dt, original.dt)
    assert torch.equal(augmented.mask, original.mask)


def test_every_part_and_every_order_occurs():
    torch.manual_seed(0)
    original = histories([4] * 400)
    assert {tuple(remaining) for remaining in events(crop(original, 0.5))} == {(1, 2), (2, 3), (3, 4)}
    assert len({tuple(remaining) for remaining in events(reorder(original, 1.0))}) == 24
    assert {tuple(event == 0 for event in remaining) for remaining in events(mask(original, 0.25))} == {
        tuple(position == zeroed for position in range(4)) for zeroed in range(4)
    }


def test_replace_where_selects_users():
    original = histories([3, 2])
    other = mask(original, 1.0)
    mixed = original.replace_where(torch.tensor([False, True]), other)
    assert events(mixed) == [[1, 2, 3], [0, 0]]
