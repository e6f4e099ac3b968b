"""Conformance checks of an encoder, and tests of this class."""

import torch
from interestlab.testing import EncoderTests, pad_rows

from my_plugin.encoder import MyPlugin


class TestMyPlugin(EncoderTests):
    plugin = MyPlugin


def test_similar_words_have_similar_vectors():
    torch.manual_seed(0)
    encoder = MyPlugin()
    vectors = encoder(pad_rows(encoder.preprocess(["headphone", "headphones", "lamp"])))
    similar, different = torch.cosine_similarity(vectors[:1], vectors[1:])
    assert similar > different + 0.3


def test_long_texts_are_truncated():
    encoder = MyPlugin(max_length=5)
    long, short = encoder.preprocess(["lamps and more", "lamps"])
    assert (long == short).all()
