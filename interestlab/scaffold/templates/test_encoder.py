"""The contract of an encoder, and what is particular to this one."""

import torch
from interestlab.testing import EncoderTests, pad_rows

from my_plugin.encoder import MyPlugin


class TestMyPlugin(EncoderTests):
    plugin = MyPlugin


def test_words_that_look_alike_are_near():
    torch.manual_seed(0)
    encoder = MyPlugin()
    vectors = encoder(pad_rows(encoder.preprocess(["headphone", "headphones", "lamp"])))
    near, far = torch.cosine_similarity(vectors[:1], vectors[1:])
    assert near > far + 0.3


def test_only_the_start_of_a_text_is_read():
    encoder = MyPlugin(max_length=5)
    long, short = encoder.preprocess(["lamps and more", "lamps"])
    assert (long == short).all()
