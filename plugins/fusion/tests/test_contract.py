"""The conformance checks on every head and each of its options."""

from typing import ClassVar

import pytest

from interestlab.testing import FusionHeadTests
from interestlab_fusion.attention import Attention
from interestlab_fusion.bottleneck import Bottleneck
from interestlab_fusion.concat import Concat
from interestlab_fusion.film import Film
from interestlab_fusion.gated import Gated
from interestlab_fusion.transformer import Transformer


class TestConcatWithModalityDropout(FusionHeadTests):
    plugin = Concat
    init_args: ClassVar = {"modality_dropout": 0.5}


class TestAttentionWithModalityDropout(FusionHeadTests):
    plugin = Attention
    init_args: ClassVar = {"modality_dropout": 0.5}


class TestGated(FusionHeadTests):
    plugin = Gated


class TestGatedWithSigmoid(FusionHeadTests):
    plugin = Gated
    init_args: ClassVar = {"gate": "sigmoid", "modality_dropout": 1.0}


class TestTransformer(FusionHeadTests):
    plugin = Transformer


class TestTransformerWithAllOptions(FusionHeadTests):
    plugin = Transformer
    init_args: ClassVar = {"layers": 2, "heads": 1, "dropout": 0.5, "expansion": 1, "modality_dropout": 0.3}


class TestBottleneck(FusionHeadTests):
    plugin = Bottleneck


class TestBottleneckWithAllOptions(FusionHeadTests):
    plugin = Bottleneck
    init_args: ClassVar = {"tokens": 3, "layers": 3, "heads": 4, "dropout": 0.5, "expansion": 1, "modality_dropout": 0.3}


class TestFilm(FusionHeadTests):
    plugin = Film


class TestFilmWithModulators(FusionHeadTests):
    plugin = Film
    init_args: ClassVar = {"modulators": ["text", "elsewhere"], "modality_dropout": 0.3}


@pytest.mark.parametrize(
    ("head", "arguments", "message"),
    [
        (Concat, {"modality_dropout": 1.2}, r"modality_dropout=1.2 is not between 0 and 1"),
        (Attention, {"heads": 3}, "dim 8 is not divisible by heads 3"),
        (Gated, {"gate": "tanh"}, "gate is 'tanh'; it must be softmax or sigmoid"),
        (Transformer, {"heads": 0}, "dim 8 is not divisible by heads 0"),
        (Transformer, {"layers": 0}, "layers=0 must be at least 1"),
        (Bottleneck, {"layers": 1}, "tokens=2 .* layers=1 at least 2"),
        (Bottleneck, {"tokens": 0}, "tokens=0 must be at least 1"),
    ],
)
def test_invalid_arguments(head, arguments, message):
    with pytest.raises(ValueError, match=message):
        head(8, **arguments)
