from typing import ClassVar

import pytest

from interestlab.testing import EncoderTests
from interestlab_encoders.ids import Id
from interestlab_encoders.text import Frozen, Full


class Text(EncoderTests):
    @pytest.fixture(autouse=True)
    def _folder(self, request):
        self.folder = request.getfixturevalue(self.model)

    @property
    def init_args(self):
        return {"model": self.folder}


class TestId(EncoderTests):
    plugin = Id


class TestIdOfItsOwnWidth(EncoderTests):
    plugin = Id
    init_args: ClassVar = {"field": "event.action", "dim": 5}


class TestFrozenBert(Text):
    plugin = Frozen
    model = "bert"


class TestFrozenGpt(Text):
    plugin = Frozen
    model = "gpt"


class TestFullBert(Text):
    plugin = Full
    model = "bert"


class TestFullGpt(Text):
    plugin = Full
    model = "gpt"


class TestFullWithEveryOption(Text):
    plugin = Full
    model = "bert"

    @property
    def init_args(self):
        options = {"fields": ["event.text"], "pooling": "cls", "normalize": True, "max_length": 9}
        return {"model": self.folder, "dropout": 0.2, "gradient_checkpointing": True} | options
