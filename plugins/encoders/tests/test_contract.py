from typing import ClassVar

import pytest

from interestlab.testing import EncoderTests
from interestlab_encoders.ids import Id
from interestlab_encoders.text import Full


class TestId(EncoderTests):
    plugin = Id


class TestIdWithWidth(EncoderTests):
    plugin = Id
    init_args: ClassVar = {"field": "event.action", "dim": 5}


ALL_LAYERS = ["frozen", "full", "bitfit", "lora", "rsdora", "adalora", "ia3", "houlsby", "side", "vera", "prompt"]


@pytest.mark.parametrize("method", [*ALL_LAYERS, "full-top", "lora-top", "pfeiffer-top", "side-top"])
class TestEveryMethod(EncoderTests):
    @pytest.fixture(autouse=True)
    def _configure(self, subject, folder):
        self.plugin, arguments = subject
        self.init_args = arguments | {"model": folder}


class TestFullWithAllOptions(EncoderTests):
    plugin = Full

    @pytest.fixture(autouse=True)
    def _configure(self, bert):
        options = {"fields": ["event.text"], "pooling": "cls", "normalize": True, "max_length": 9, "layers": 1}
        self.init_args = {"model": bert, "dropout": 0.2, "gradient_checkpointing": True} | options
