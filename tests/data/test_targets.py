"""Targets restricted to some event types."""

import numpy as np
import polars as pl
import pytest

from interestlab.contract import EventLog, Source
from interestlab.data.datamodule import InterestData
from interestlab.data.split import cut_times, global_time, leave_one_out
from interestlab.errors import DataError


class Visits(Source):
    """Provides two users with views and purchases."""

    def read(self) -> EventLog:
        kinds = {"a": "vvpvpvp", "b": "pvv"}
        rows = [
            {
                "user_id": user,
                "item_id": f"{user}{i}",
                "timestamp": 1_500_000_000 + 100 * i,
                "event": {"v": "view", "p": "purchase"}[kind],
            }
            for user, letters in kinds.items()
            for i, kind in enumerate(letters)
        ]
        return EventLog(pl.LazyFrame(rows))


def data(tmp_path, **kwargs):
    return InterestData(Visits(), cache_dir=str(tmp_path), **kwargs)


def test_leave_one_out_uses_the_last_two_eligible_events():
    offsets, is_target = np.array([0, 7, 10, 12]), np.array([*map(int, "001010110011")], bool)
    cuts = leave_one_out(offsets, is_target)
    assert cuts.train.tolist() == [4, 3, 2]  # a user without two eligible events after the first is only trained on
    assert cuts.validation.tolist() == [4, -1, -1]
    assert cuts.test.tolist() == [6, -1, -1]


def test_global_time_uses_the_first_eligible_event_of_each_window():
    offsets, times = np.array([0, 10]), np.arange(10)
    is_target = np.array([*map(int, "0000001001")], bool)
    cuts = global_time(offsets, times, is_target, cut_times(times, (0.5, 0.8)))
    assert (cuts.train.item(), cuts.validation.item(), cuts.test.item()) == (5, 6, 9)


def test_targets_are_restricted_and_histories_are_not(tmp_path):
    module = data(tmp_path, target_events=["purchase"])
    (batch,) = module.loader("train")
    targets_of_a = batch.targets[module.log.users[batch.users.tolist()].to_list().index("a")]
    items = module.log.items["item_id"]
    assert [items[i] if i >= 0 else None for i in targets_of_a.tolist()] == [None, "a2", None]
    assert module.fingerprint["target_events"] == "purchase"
    (batch,) = module.loader("test")
    assert items[batch.targets.max().item()] == "a6"
    assert batch.mask.sum().item() == 6


def test_all_types_are_the_default(tmp_path):
    assert data(tmp_path).fingerprint["target_events"] == "all"
    assert data(tmp_path, target_events=["purchase", "view"]).log.is_target.all()


def test_unknown_event_type(tmp_path):
    with pytest.raises(DataError, match=r"no event of the log is of type cart; its types are purchase, view"):
        data(tmp_path, target_events=["cart"]).log  # noqa: B018
