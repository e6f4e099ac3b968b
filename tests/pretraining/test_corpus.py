"""Which texts are read, held out, and paired."""

import numpy as np
import polars as pl
import pytest

from interestlab import sources
from interestlab.data.datamodule import InterestData
from interestlab.errors import DataError
from interestlab.pretraining.corpus import read_corpus
from interestlab.pretraining.pairs import text_pairs
from interestlab.pretraining.run import make_samples
from interestlab.pretraining.settings import Contrast


@pytest.mark.parametrize("split", ["leave_one_out", "global_time"])
def test_texts_of_validation_and_test_are_not_read(shop_files, cache, settings, split):
    data = InterestData(source=sources.files(**shop_files), cache_dir=str(cache), split=split, split_quantiles=(0.7, 0.85))
    corpus = read_corpus(data, settings(text=["event.text", "item.title"]))
    assert len(corpus.texts) == 8 * {"leave_one_out": 6, "global_time": 5}[split] + 8
    assert not any("zz" in text for text in corpus.texts)


def test_held_out_texts_are_distinct_and_seeded(shop, settings):
    first, again, other = (read_corpus(shop, settings(seed=seed)) for seed in (0, 0, 1))
    assert first.is_heldout.sum() == round(0.2 * len(first.texts))
    assert (first.is_heldout == again.is_heldout).all()
    assert (first.is_heldout != other.is_heldout).any()
    assert len(set(first.texts)) == len(first.texts)
    assert len(read_corpus(shop, settings(max_texts=7)).texts) == 7


def test_no_training_pair_has_a_held_out_text(shop, settings):
    corpus = read_corpus(shop, settings())
    train, heldout = make_samples(shop, corpus, settings(objective="contrastive"))
    assert not corpus.is_heldout[train].any()
    assert corpus.is_heldout[heldout].any(1).all()


@pytest.mark.parametrize("text", ["event.text", "item.title"])
@pytest.mark.parametrize(("window", "reach"), [(1.0, 3), (2.0, 2), (30.0, 5)])
def test_pairs_are_those_that_a_loop_finds(shop, settings, shop_files, text, window, reach):
    corpus = read_corpus(shop, settings(text=[text]))
    events = pl.read_csv(shop_files["interactions"]).join(pl.read_csv(shop_files["items"]), on="item_id")
    events = events.sort("user_id", "timestamp").filter(pl.int_range(pl.len()).over("user_id") < 6)
    expected = set()
    for _, history in events.group_by("user_id"):
        values = list(zip(history["timestamp"], history[text.partition(".")[2]], strict=True))
        for i, (earlier, first) in enumerate(values):
            for later, second in values[i + 1 : i + 1 + reach]:
                if later - earlier <= window * 86_400 and first != second:
                    expected.add(tuple(sorted((first, second))))
    pairs = text_pairs(shop.log, corpus, Contrast(window=window, reach=reach))
    assert sorted((corpus.texts[i], corpus.texts[j]) for i, j in pairs) == sorted(expected)


def test_a_text_is_paired_with_itself(shop, settings):
    corpus = read_corpus(shop, settings(text=["event.text", "item.title"]))
    pairs = text_pairs(shop.log, corpus, Contrast(pairs="self"))
    assert (pairs == np.arange(len(corpus.texts))[:, None]).all()
    with pytest.raises(DataError, match="one field"):
        text_pairs(shop.log, corpus, Contrast())
    single = read_corpus(shop, settings())
    with pytest.raises(DataError, match="window=0 days"):
        text_pairs(shop.log, single, Contrast(window=0))
