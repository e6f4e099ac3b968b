"""Conformance checks of a source, and tests of this class."""

import pytest
from interestlab.errors import DataError
from interestlab.testing import SourceTests

from my_plugin.source import MyPlugin

EVENTS = "customer;item_id;timestamp\nann;lamp;1700000000\nbob;desk;1700086400\n"


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "events.csv"
    file.write_text(EVENTS)
    return str(file)


class TestMyPlugin(SourceTests):
    plugin = MyPlugin

    @pytest.fixture(autouse=True)
    def _file(self, path):
        self.init_args = {"path": path, "columns": {"user_id": "customer"}, "separator": ";"}


def test_values(path):
    events = MyPlugin(path, {"user_id": "customer"}, ";").read().events.collect()
    assert events.rows() == [("ann", "lamp", "1700000000"), ("bob", "desk", "1700086400")]
    assert events.columns == ["user_id", "item_id", "timestamp"]


def test_errors(path):
    with pytest.raises(DataError, match="has no column buyer; it has customer, item_id, timestamp"):
        MyPlugin(path, {"user_id": "buyer"}, ";").read()
    with pytest.raises(DataError, match="already has a column item_id"):
        MyPlugin(path, {"item_id": "customer"}, ";").read()
    with pytest.raises(DataError, match="cannot be read as CSV"):
        MyPlugin(f"{path}.missing").read()
