"""Chinese texts: characters that the tokenizer does not know, and new tokens for them."""

import polars as pl
import pytest
import torch

from interestlab import sources
from interestlab.data.datamodule import InterestData
from interestlab.pretraining.base import load_tokenizer
from interestlab.pretraining.vocabulary import unknown_characters


def test_the_most_frequent_unknown_characters_are_found(masked_bert):
    tokenizer = load_tokenizer(masked_bert)
    texts = ["手机很好", "手机", "手 lamp", "，，"]
    assert unknown_characters(texts, tokenizer, 10) == ["手", "机", "，"]
    assert unknown_characters(texts, tokenizer, 1) == ["手"]
    assert unknown_characters(["lamp"], tokenizer, 5) == []


@pytest.fixture
def chinese(tmp_path, cache):
    """Return a log of Chinese reviews with full-width letters and HTML, which cleaning removes."""
    reviews = [f"{thing}{quality}，<b>很好</b>Ａ" for thing in ("手机", "屏幕", "衣服") for quality in ("很快", "不错", "清晰")]
    frame = {"user_id": range(9), "item_id": [f"i{i % 3}" for i in range(9)], "timestamp": [1_700_000_000] * 9, "text": reviews}
    pl.DataFrame(frame).write_csv(tmp_path / "reviews.csv")
    return InterestData(source=sources.files(interactions=str(tmp_path / "reviews.csv")), cache_dir=str(cache))


@pytest.mark.parametrize("train", ["full", pytest.param("lora", marks=pytest.mark.slow)])
def test_new_tokens_of_chinese_texts(run_pretrain, embed, masked_bert, chinese, train):
    before, metrics = run_pretrain(data=chinese, steps=1)
    assert metrics["unknown_share"] > 0.5
    folder, metrics = run_pretrain(out="new", data=chinese, new_tokens=30, steps=4, train=train, heldout=0.1)
    assert metrics["unknown_share"] < 0.1
    assert metrics["new_tokens"] >= 8
    assert load_tokenizer(folder).tokenize("手机很好") == ["手", "机", "很", "好"]
    assert torch.allclose(*embed(before, "手机", "屏幕"), atol=1e-5)  # both are two unknown tokens
    for name in ("frozen", "static"):
        assert not torch.allclose(*embed(folder, "手机", "屏幕", name=name), atol=1e-2)
