import numpy as np
import polars as pl
import pytest
from hypothesis import strategies as st

from interestlab.contract import EventLog, Source
from interestlab.data.datamodule import InterestData
from interestlab.data.split import SplitPositions


class Listed(Source):
    """Reads the histories that it is given, one event per day.

    Args:
        histories: items of each user, one letter each.
    """

    def __init__(self, histories: list[str]) -> None:
        self.histories = histories

    def files(self):
        return []

    def read(self):
        rows = [
            (f"u{u}", item, 1_000_000 + 86_400 * t) for u, items in enumerate(self.histories) for t, item in enumerate(items)
        ]
        return EventLog(pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row").lazy())


@pytest.fixture
def data(tmp_path):
    return lambda histories, **settings: InterestData(Listed(histories), cache_dir=str(tmp_path), **settings)


class Log:
    """The arrays of an event store.

    Args:
        histories: items of each user.
        train: number of training events of each user.
        num_items: size of the catalogue.
    """

    def __init__(self, histories, train, num_items):
        self.meta = {"items": num_items}
        self.histories, self.train = histories, train
        self.item = np.array([item for items in histories for item in items], np.int32)
        self.offsets = np.cumsum([0, *map(len, histories)])
        self.split_positions = SplitPositions(np.array(train), *[np.full(len(train), -1)] * 2)


@st.composite
def _logs(draw):
    histories = draw(st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=7), min_size=1, max_size=5))
    return Log(histories, [draw(st.integers(0, len(items))) for items in histories], 5)


@pytest.fixture(scope="session")
def logs():
    """A strategy of small logs."""
    return _logs()
