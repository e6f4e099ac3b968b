from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interestlab.data.dataset import HistoryDataset
from interestlab.data.sampler import LengthBucketSampler
from interestlab.data.split import SplitPositions

LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=60).map(np.array)


def dataset(log, split, max_history=1000):
    return HistoryDataset(log, split, max_history, with_history_items=True)


def history(log, user):
    return log.item[log.offsets[user] : log.offsets[user + 1]].tolist()


@pytest.mark.parametrize("max_history", [1, 2, 5, 1000])
@pytest.mark.parametrize("split", ["leave_one_out", "global_time"])
def test_every_training_event_is_a_target_once_per_epoch(data, split, max_history):
    module = data(split=split, batch_events=40, max_history=max_history)
    log = module.log
    targets = Counter()
    for batch in module.train_dataloader():
        real = batch.targets >= 0
        assert (real <= batch.mask).all()
        assert batch.mask.shape[1] <= max_history
        # A target is the next event in the log, of the same user.
        rows = batch.event_index[real].numpy()
        assert (log.item[rows + 1] == batch.targets[real].numpy()).all()
        assert (log.item[rows] == batch.items[real].numpy()).all()
        assert (batch.event_index[:, 1:] - batch.event_index[:, :-1])[batch.mask[:, 1:]].eq(1).all()
        targets.update((rows + 1).tolist())
    trained = [r for start, n in zip(log.offsets, log.split_positions.train, strict=False) for r in range(start + 1, start + n)]
    assert targets == Counter(trained)


@given(lengths=LENGTHS, max_history=st.integers(1, 20))
def test_windows_repeat_a_quarter_as_context(lengths, max_history):
    offsets = np.concatenate([[0], lengths.cumsum()])
    log = SimpleNamespace(
        offsets=offsets,
        item=np.arange(offsets[-1]),
        time=np.zeros(offsets[-1]),
        is_target=np.ones(offsets[-1], bool),
        split_positions=SplitPositions(lengths, np.full_like(lengths, -1), np.full_like(lengths, -1)),
    )
    train = HistoryDataset(log, "train", max_history, with_history_items=False)
    if not len(train):
        assert (lengths < 2).all()
        return
    batch = train[list(range(len(train)))]
    assert sorted(batch.targets[batch.targets >= 0].tolist()) == np.setdiff1d(log.item, offsets[:-1]).tolist()
    context = (batch.mask & (batch.targets < 0)).sum(1)
    assert (context <= np.ceil(max_history / 4)).all()
    first = np.isin(batch.items[:, 0], offsets[:-1])
    assert (context[torch.from_numpy(first)] == 0).all()


def test_windows_without_a_target_are_dropped_at_the_end_of_the_log():
    is_target = np.arange(100) == 10
    none = np.array([-1])
    log = SimpleNamespace(
        offsets=np.array([0, 100]),
        item=np.arange(100),
        time=np.zeros(100),
        is_target=is_target,
        split_positions=SplitPositions(np.array([100]), none, none),
    )
    train = HistoryDataset(log, "train", 50, with_history_items=False)
    assert len(train) == 1
    assert train[[0]].targets.max() == 10


@pytest.mark.parametrize("part", ["validation", "test"])
@pytest.mark.parametrize("split", ["leave_one_out", "global_time"])
def test_evaluation_targets(data, part, split):
    module = data(split=split, max_history=4)
    log, cuts = module.log, getattr(module.log.split_positions, part)
    users = []
    for batch in module.loader(part):
        for i, user in enumerate(batch.users.tolist()):
            before, target = history(log, user)[: cuts[user]], history(log, user)[cuts[user]]
            n = int(batch.mask[i].sum())
            assert batch.items[i, :n].tolist() == before[-4:]
            assert not batch.mask[i, n:].any()
            assert batch.targets[i].tolist() == [-1] * (n - 1) + [target] + [-1] * (batch.targets.shape[1] - n)
            assert sorted(s for s in batch.history_items[i].tolist() if s >= 0) == sorted(before)
            users.append(user)
    assert sorted(users) == np.flatnonzero(cuts > 0).tolist()
    assert users


def test_history_items_are_empty_without_exclusion(data):
    assert {b.history_items.shape[1] for b in data(exclude_history=False).test_dataloader()} == {0}


def test_history_items_are_empty_in_training(data):
    assert {b.history_items.shape[1] for b in data().train_dataloader()} == {0}


def test_predict_reads_full_histories(data):
    module = data()
    for batch in module.predict_dataloader():
        assert (batch.targets == -1).all()
        for i, user in enumerate(batch.users.tolist()):
            assert batch.items[i][batch.mask[i]].tolist() == history(module.log, user)


@pytest.mark.parametrize("part", ["validation", "test", "predict"])
def test_max_history_keeps_the_last_events(data, part):
    log = data().log
    short, full = dataset(log, part, max_history=3), dataset(log, part)
    assert len(short) == len(full)
    a, b = short[list(range(len(short)))], full[list(range(len(full)))]
    assert a.items.shape[1] == 3
    for i in range(len(short)):
        assert a.items[i][a.mask[i]].tolist() == b.items[i][b.mask[i]].tolist()[-3:]
        assert a.targets[i][a.mask[i]].tolist() == b.targets[i][b.mask[i]].tolist()[-3:]
        assert sorted(a.history_items[i].tolist()) == sorted(b.history_items[i].tolist())


def test_days_between_events(data):
    log = data(["u,a,1", "u,b,1.5", "u,c,4", "u,d,4", "v,a,9", "v,a,10", "v,a,11"]).log
    batch = dataset(log, "predict")[[0, 1]]
    assert batch.dt.tolist() == [[0, 0.5, 2.5, 0], [0, 1, 1, 0]]
    assert batch.mask.tolist() == [[True] * 4, [True, True, True, False]]
    assert dataset(log, "predict", max_history=2)[[0]].dt.tolist() == [[0, 0]]


def test_types_and_padding(data):
    batch = next(iter(data().test_dataloader()))
    assert [str(t.dtype).removeprefix("torch.") for t in batch] == ["int64"] * 3 + ["float32", "bool", "int64", "int64"]
    for name in ("items", "event_index", "dt"):
        assert not getattr(batch, name)[~batch.mask].any()
    assert (~batch.mask).any()


def test_users_without_targets_are_not_in_training(data):
    log = data(["a,x,1", "b,x,1", "b,y,2", "c,x,1", "c,y,2", "c,z,3"]).log
    assert dataset(log, "train").users.tolist() == [1]  # c has one training event, and none follows it


@given(LENGTHS, st.integers(1, 200), st.booleans(), st.integers(0, 3))
def test_batches_contain_every_sample_once_within_the_budget(lengths, budget, shuffle, epoch):
    sampler = LengthBucketSampler(lengths, budget, shuffle=shuffle)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert sorted(s for batch in batches for s in batch) == list(range(len(lengths)))
    assert len(sampler) == len(batches)
    for batch in batches:
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= budget


@given(LENGTHS, st.integers(1, 200), st.sampled_from([2, 3]), st.booleans())
def test_processes_share_every_batch(lengths, budget, world, shuffle):
    shares = [list(LengthBucketSampler(lengths, budget, shuffle=shuffle, rank=r, world=world)) for r in range(world)]
    sampled = [s for share in shares for batch in share for s in batch]
    assert sorted(sampled) == list(range(len(lengths)))
    if len(lengths) >= world:
        assert len({len(share) for share in shares}) == 1
    # A training step sees one batch, for any number of processes.
    steps = LengthBucketSampler(lengths, budget, shuffle=shuffle, world=world).epoch_batches()
    for number, step in enumerate(steps):
        assert sorted(s for share in shares if number < len(share) for s in share[number]) == sorted(step.tolist())


@pytest.mark.parametrize("world", [2, 8])
def test_batch_order_does_not_depend_on_the_number_of_processes(world):
    """Also if the last batch is too small for all processes, and is merged with the one before."""
    args = {"lengths": np.full(244, 50), "max_events": 4096, "shuffle": True}
    one, several = (LengthBucketSampler(**args, world=w) for w in (1, world))
    for epoch in range(8):
        alone, shared = ([tuple(batch) for batch in batches.epoch_batches()] for batches in (one, several))
        assert len(shared) == len(several) == len(alone) - 1
        common = set(alone) & set(shared)
        assert len(common) == 2
        assert [batch for batch in alone if batch in common] == [batch for batch in shared if batch in common]
        one.set_epoch(epoch + 1)
        several.set_epoch(epoch + 1)


def test_padding_is_small():
    lengths = np.random.default_rng(0).geometric(0.05, 2000)
    batches = list(LengthBucketSampler(lengths, 1000, shuffle=True))
    padded = sum(len(b) * lengths[b].max() for b in batches)
    assert lengths.sum() / padded > 0.95
    assert lengths.sum() / 1000 <= len(batches) < 1.3 * lengths.sum() / 1000


def test_epochs_differ_and_are_reproducible():
    lengths = np.repeat([2, 3, 4], 30)

    def batches_of(epoch, seed=0, shuffle=True):
        sampler = LengthBucketSampler(lengths, 20, shuffle=shuffle, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert batches_of(0) == batches_of(0)
    assert batches_of(0) != batches_of(1)
    assert batches_of(0) != batches_of(0, seed=1)
    assert {frozenset(b) for b in batches_of(0)} != {frozenset(b) for b in batches_of(1)}
    assert batches_of(0, shuffle=False) == batches_of(1, shuffle=False)
