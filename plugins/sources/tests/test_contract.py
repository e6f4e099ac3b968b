from typing import ClassVar

import polars as pl
import pytest

from interestlab.testing import SourceTests
from interestlab_sources.amazon import Amazon
from interestlab_sources.files import Files
from interestlab_sources.recbole import RecBole
from interestlab_sources.simulated import Simulated
from interestlab_sources.taobao import Taobao

EVENTS = "customer,item_id,timestamp,text\nann,lamp,1700000000,Warm light\nbob,desk,1700086400,\n"
REVIEW = '{"reviewerID": "a", "asin": "b", "overall": 5.0, "reviewText": "Good", "unixReviewTime": 1400000000}\n'


class TestSimulated(SourceTests):
    plugin = Simulated
    init_args: ClassVar = {"users": 20, "items": 40, "events": 5}


class TestTables(SourceTests):
    plugin = Files

    @pytest.fixture(autouse=True)
    def _files(self, write):
        self.init_args = {
            "interactions": write("events.csv", EVENTS),
            "items": write("items.jsonl", '{"item_id": "lamp", "title": "Lamp"}\n'),
            "columns": {"user_id": "customer"},
        }


class TestParquet(SourceTests):
    plugin = Files

    @pytest.fixture(autouse=True)
    def _files(self, write, tmp_path):
        path = tmp_path / "events.parquet"
        pl.read_csv(write("events.csv", EVENTS)).rename({"customer": "user_id"}).write_parquet(path)
        self.init_args = {"interactions": str(path)}


class TestAmazon(SourceTests):
    plugin = Amazon

    @pytest.fixture(autouse=True)
    def _files(self, write):
        self.init_args = {
            "path": write("reviews.json.gz", REVIEW + "no JSON\n", zipped=True),
            "metadata": write("meta.json.gz", '{"asin": "b", "title": "Lamp", "price": "$9.50"}\n', zipped=True),
        }


class TestTaobao(SourceTests):
    plugin = Taobao

    @pytest.fixture(autouse=True)
    def _files(self, write):
        self.init_args = {
            "path": write("UserBehavior.csv", "1,2268318,2520377,pv,1511544070\n1,2333346,2520771,buy,1511561733\n")
        }


class TestRecBole(SourceTests):
    plugin = RecBole

    @pytest.fixture(autouse=True)
    def _files(self, write):
        write("log.item", "item_id:token\tmovie_title:token_seq\n2\tToy Story\n")
        self.init_args = {"path": write("log.inter", "user_id:token\titem_id:token\ttimestamp:float\n1\t2\t881250949\n")}
