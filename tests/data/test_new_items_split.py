"""The split whose targets are items that appear after training."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interestlab.contract import EventLog, Source
from interestlab.data.datamodule import InterestData
from interestlab.data.split import cut_times, global_time, new_items
from interestlab.data.summary import describe
from interestlab.errors import DataError

START, DAY = 1_500_000_000, 86_400
HISTORIES = st.lists(
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 12)), min_size=1, max_size=9).map(sorted), min_size=1, max_size=12
)
SHARES = st.tuples(st.floats(0.05, 0.95), st.floats(0.05, 0.95)).map(sorted).filter(lambda s: s[0] < s[1])


class Shop(Source):
    """Provides 40 users over 20 days; each day one item is new. Every third item has no words.

    Args:
        words: whether the other items have a title.
        places: whether the timestamps are places in the history instead of times.
    """

    def __init__(self, words: bool = True, places: bool = False) -> None:
        self.words, self.places = words, places

    def read(self) -> EventLog:
        rng = np.random.default_rng(0)
        rows = []
        for user in range(40):
            days = np.sort(rng.integers(0, 20, 6))
            times = range(1, 7) if self.places else START + DAY * days
            items = [max(0, day - rng.integers(0, 4)) for day in days]
            rows += [(f"u{user}", f"i{i:02}", int(t)) for i, t in zip(items, times, strict=True)]
        events = pl.LazyFrame(rows, ["user_id", "item_id", "timestamp"], orient="row")
        title = pl.when(pl.int_range(pl.len()) % 3 > 0).then(pl.col("item_id")) if self.words else pl.lit(None, pl.String)
        return EventLog(events, pl.LazyFrame({"item_id": [f"i{i:02}" for i in range(20)]}).with_columns(title=title))


@pytest.fixture
def shop(tmp_path):
    return lambda words=True, places=False, **settings: InterestData(
        Shop(words, places), cache_dir=str(tmp_path), split="new_items", split_quantiles=(0.6, 0.8), **settings
    )


@given(HISTORIES, SHARES)
def test_targets_are_the_first_events_with_items_that_nothing_was_trained_on(histories, shares):
    offsets = np.cumsum([0, *map(len, histories)])
    times, items = (np.array([event[i] for history in histories for event in history]) for i in (0, 1))
    items = np.unique(items, return_inverse=True)[1]
    cuts = cut_times(times, shares)
    split = new_items(offsets, items, times, np.ones(len(times), bool), cuts)
    assert (split.train == global_time(offsets, times, np.ones(len(times), bool), cuts).train).all()
    trained = {int(i) for first, n in zip(offsets, split.train, strict=False) for i in items[first : first + n]}
    for user, first in enumerate(offsets[:-1]):
        for position, (start, end) in zip((split.validation[user], split.test[user]), (cuts, (cuts[1], 99)), strict=True):
            rows = range(first, offsets[user + 1])
            eligible = [r for r in rows if start <= times[r] < end and items[r] not in trained]
            has_history = any(times[r] < start for r in rows)
            assert position == (eligible[0] - first if eligible and has_history else -1)


def test_no_training_batch_contains_a_new_item(shop):
    data = shop()
    log = data.log
    targets = {
        split: [t for b in data.loader(split) for t in b.targets.max(1).values.tolist()] for split in ("validation", "test")
    }
    assert min(map(len, targets.values())) > 5
    trained = {
        item
        for batch in data.loader("train")
        for part in (batch.items[batch.mask], batch.targets)
        for item in part.flatten().tolist()
    }
    assert not trained & {*targets["validation"], *targets["test"]}
    assert (log.counts[targets["validation"] + targets["test"]] == 0).all()  # so all of them are cold targets


def test_events_of_new_items_without_words_are_left_out(shop):
    log = shop().log
    assert log.items.filter(pl.col("title").is_null())["item_id"].to_list() == ["i00", "i03", "i06", "i09"]  # not new
    assert log.meta["wordless"] > 0
    assert log.meta["events"] + log.meta["wordless"] == 240
    assert f"{log.meta['wordless']} events of new items without words" in describe(log)[0]["new items"]


def test_the_split_is_deterministic_and_part_of_the_fingerprint(shop, tmp_path):
    first, second = (
        shop().log,
        InterestData(Shop(), cache_dir=str(tmp_path / "other"), split="new_items", split_quantiles=(0.6, 0.8)).log,
    )
    for a, b in zip(first.split_positions, second.split_positions, strict=True):
        assert (a == b).all()
    fingerprint = shop().fingerprint
    assert (fingerprint["split"], fingerprint["split_quantiles"]) == ("new_items", [0.6, 0.8])


def test_a_log_that_cannot_be_split_is_refused(shop):
    with pytest.raises(DataError, match=r"split=new_items needs times .* places in each history .*; use leave_one_out"):
        shop(places=True).log  # noqa: B018
    with pytest.raises(DataError, match=r"none of the \d+ items that first appear .* has a text; give a table of items"):
        shop(words=False).log  # noqa: B018
