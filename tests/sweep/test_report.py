import base64
import re
import shutil
import struct
import sys

import polars as pl
import pytest

from interestlab.errors import DataError
from interestlab.sweep.report import write_report

REASON = "<script>alert('x')</script> & \"more\""
COSTS = {
    "seconds_per_epoch": {"frozen": 1.0, "lora | $8$": 4.0, "full": 5.0},
    "trainable_parameters": {"frozen": 1000, "lora | $8$": 20_000, "full": 22_700_000},
    "parameters": {"frozen": 22_701_000, "lora | $8$": 22_720_000, "full": 22_700_000},
    "peak_memory_mb": {"frozen": 10.0, "lora | $8$": 30.0, "full": 90.0},
}
RANKS = {
    "frozen": [[1, 2, 20, 20], [20, 2, 20, 20]],
    "lora | $8$": [[1, 2, 3, 20], [1, 2, 3, 20]],
    "full": [[1, 1, 1, 20], REASON],
    "adapter": ["out of memory", None],
}
PNGS = {"quality.png", "pareto_time.png", "pareto_parameters.png", "cost.png"}


@pytest.fixture(scope="module")
def folder(fabricate):
    sweep = fabricate(RANKS, costs=COSTS, baseline={"tuning": "frozen"})
    assert write_report(sweep) == sweep / "report/index.html"
    return sweep


@pytest.fixture(scope="module")
def page(folder):
    return (folder / "report/index.html").read_text("utf-8")


def test_the_page_loads_nothing_from_outside(page):
    assert not re.search(r"https?://|//[a-z]|<script|<link|<iframe|@import|url\(", re.sub(r"base64,[^\"]*", "", page))
    assert all(re.match(r"data:image/png;base64,|#", target) for target in re.findall(r"(?:src|href)=\"([^\"]*)", page))


def test_the_page_lists_failed_trials_with_their_reasons(page):
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &#34;more&#34;" in page
    assert "out of memory" in page
    assert "not started" in page
    assert "3 trials did not finish" in page
    assert "1 of 2" in page
    assert "0 of 2" in page
    assert "1 seed, no interval" in page


def test_the_page_states_what_was_compared(page):
    for text in ("<h1>tuning</h1>", "budget.epochs", "1c8d", "k_core", "2.13.0", "does not cover", "Holm", "2404.02059"):
        assert text in page


def test_the_plots_are_pngs_and_are_embedded_in_the_page(folder, page):
    images = {file.name: file.read_bytes() for file in (folder / "report").glob("*.png")}
    assert images.keys() == PNGS
    for image in images.values():
        assert image.startswith(b"\x89PNG\r\n\x1a\n")
        assert struct.unpack(">I", image[16:20]) == (1200,)
        assert base64.b64encode(image).decode() in page


def test_the_table_is_markdown(folder):
    lines = (folder / "report/table.md").read_text("utf-8").splitlines()
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if line.startswith("|")]
    assert len(rows) == 2 + 4
    assert len({len(row) for row in rows}) == 1
    assert [cell.strip() for cell in rows[3][:3]] == ["lora \\| $8$", "2", "0.7500 ± 0.0000"]
    assert lines[-1] == "Fingerprint: `source=files, data=1c8d, users=4, k_core=0`"


def test_the_numbers_are_not_rounded(folder):
    table = pl.read_parquet(folder / "report/comparison.parquet")
    assert table.height == 4 * 2
    lora = table.filter(pl.col("axis/tuning") == "lora | $8$", metric="test/recall@10").row(0, named=True)
    assert lora["mean"] == 0.75
    assert lora["difference"] == 0.375
    assert lora["p_holm"] >= lora["p"]
    assert lora["on_front/seconds_per_epoch"] is True
    unfinished = table.filter(pl.col("axis/tuning") == "adapter")
    assert unfinished["mean"].null_count() == 2
    assert unfinished["done"].to_list() == [0, 0]


def test_the_same_folder_gives_the_same_bytes(folder, tmp_path):
    again = tmp_path / "again"
    shutil.copytree(folder, again)
    write_report(again)
    for file in (folder / "report").iterdir():
        assert (again / "report" / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_sweep_without_finished_trials_gives_a_report_of_failures(folder, fabricate):
    sweep = fabricate({"frozen": ["boom"], "full": [None]}, baseline={"tuning": "frozen"})
    shutil.copytree(folder / "report", sweep / "report")
    page = write_report(sweep).read_text("utf-8")
    assert "boom" in page
    assert "<img" not in page
    assert "No configuration shares a finished seed with the baseline" in page
    assert not list((sweep / "report").glob("*.png"))
    assert pl.read_parquet(sweep / "report/comparison.parquet")["mean"].null_count() == 4


def test_one_configuration_without_baseline_or_costs(fabricate):
    sweep = fabricate({"frozen": [[1, 20]]})
    page = write_report(sweep).read_text("utf-8")
    assert "names no baseline" in page
    assert "did not finish" not in page
    assert {file.name for file in (sweep / "report").glob("*.png")} == {"quality.png"}
    assert "difference" not in (sweep / "report/table.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["matplotlib", "jinja2"])
def test_a_missing_library_is_reported_in_one_line(folder, monkeypatch, name):
    monkeypatch.delitem(sys.modules, "interestlab.sweep.plots")
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DataError, match=rf"^the report needs {name}: pip install 'interestlab\[report\]'$"):
        write_report(folder)


def test_labels_without_a_free_position_are_still_written(fabricate):
    labels = [f"{i} of many labels at one point" for i in range(20)]
    costs = {"seconds_per_epoch": dict.fromkeys(labels, 1.0)}
    sweep = fabricate({label: [[1, 20]] for label in labels}, costs=costs)
    write_report(sweep)
    assert {file.name for file in (sweep / "report").glob("*.png")} == {"quality.png", "pareto_time.png", "cost.png"}
