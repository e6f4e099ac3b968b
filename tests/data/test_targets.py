"""Only some types of events are to be predicted."""

import numpy as np
import polars as pl
import pytest

from interestlab.contract import EventLog, Source
from interestlab.data.datamodule import InterestData
from interestlab.data.split import global_time, leave_one_out
from interestlab.errors import DataError


class Visits(Source):
    """Two users: views, and purchases among them."""

    def read(self) -> EventLog:
        kinds = {"a": "vvpvpvp", "b": "pvv"}
        rows = [
            {
                "user_id": user,
                "item_id": f"{user}{i}",
                "timestamp": 1_500_000_000 + 100 * i,
                "event": {"v": "view", "p": "purchase"}[kind],
            }
            for user, told in kinds.items()
            for i, kind in enumerate(told)
        ]
        return EventLog(pl.LazyFrame(rows))


def data(tmp_path, **kwargs):
    return InterestData(Visits(), cache_dir=str(tmp_path), **kwargs)


def test_leave_one_out_holds_out_the_last_two_that_count():
    offsets, wanted = np.array([0, 7, 10, 12]), np.array([*map(int, "001010110011")], bool)
    cuts = leave_one_out(offsets, wanted)
    assert cuts.train.tolist() == [4, 3, 2]  # a user without two targets behind a first event only trains
    assert cuts.validation.tolist() == [4, -1, -1]
    assert cuts.test.tolist() == [6, -1, -1]


def test_global_time_takes_the_first_of_each_window_that_counts():
    offsets, times = np.array([0, 10]), np.arange(10)
    wanted = np.array([*map(int, "0000001001")], bool)
    cuts = global_time(offsets, times, wanted, (0.5, 0.8))
    assert (cuts.train.item(), cuts.validation.item(), cuts.test.item()) == (5, 6, 9)


def test_training_has_targets_of_those_types_alone_and_histories_of_all(tmp_path):
    given = data(tmp_path, target_events=["purchase"])
    (batch,) = given.loader("train")
    of_a = batch.targets[given.log.users[batch.users.tolist()].to_list().index("a")]
    items = given.log.items["item_id"]
    assert [items[i] if i >= 0 else None for i in of_a.tolist()] == [None, "a2", None]
    assert given.fingerprint["target_events"] == "purchase"
    (batch,) = given.loader("test")
    assert items[batch.targets.max().item()] == "a6"
    assert batch.mask.sum().item() == 6


def test_all_types_are_the_default(tmp_path):
    assert data(tmp_path).fingerprint["target_events"] == "all"
    assert data(tmp_path, target_events=["purchase", "view"]).log.is_target.all()


def test_an_unknown_type_is_told(tmp_path):
    with pytest.raises(DataError, match=r"no event of the log is of type cart; its types are purchase, view"):
        data(tmp_path, target_events=["cart"]).log  # noqa: B018
