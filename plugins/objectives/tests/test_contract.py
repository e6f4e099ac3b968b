from typing import ClassVar

from interestlab.testing import ObjectiveTests
from interestlab_objectives.next_item import NextItem


class TestNextItem(ObjectiveTests):
    plugin = NextItem


class TestNextItemOfTheBatch(ObjectiveTests):
    plugin = NextItem
    init_args: ClassVar = {"candidates": "batch", "temperature": 1.0}


class TestNextItemUncorrected(ObjectiveTests):
    plugin = NextItem
    init_args: ClassVar = {"candidates": "batch", "log_q": False, "chunk_elements": 20}
