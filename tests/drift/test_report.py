"""The page and the images of an analysis."""

import importlib.util
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from interestlab.drift.report import write_report
from interestlab.drift.report.map_labels import SIDES, place_labels
from interestlab.errors import DataError

SPEC = importlib.util.spec_from_file_location("tables", Path(__file__).with_name("tables.py"))
TABLES = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(TABLES)

CASES = {
    "full": {},
    "nothing changed": {"changed": False},
    "nobody answered": {"answered": False, "changed": False},
    "no brands, one segment": {"brands": False, "segments": 1},
    "numbers not known": {"holes": 0.3},
}
SANKEYS = {"full": 2, "nothing changed": 0, "nobody answered": 0, "no brands, one segment": 2, "numbers not known": 2}
ALWAYS = {"map.png", "shares_interest.png"}
CHANGED = {"flows.png", "flows_windows.png", "trends.png", "timelines.png"}
PNGS = {
    "full": ALWAYS | CHANGED | {"shares_brand.png", "moves.png"},
    "nothing changed": ALWAYS | {"shares_brand.png", "moves.png"},
    "nobody answered": ALWAYS | {"shares_brand.png", "moves.png"},
    "no brands, one segment": ALWAYS | CHANGED,
    "numbers not known": ALWAYS | CHANGED | {"shares_brand.png", "moves.png"},
}
SHARED_CASES = [pytest.param(case, marks=[pytest.mark.slow] * (case not in ("full", "nothing changed"))) for case in CASES]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium to open the page with")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The page of each case, written when a test first uses it."""
    root = tmp_path_factory.mktemp("drift")

    class Pages(dict):
        def __missing__(self, name):
            self[name] = write_report(TABLES.write_tables(root / f"case{len(self)}", **CASES[name]))
            return self[name]

    return Pages()


@pytest.fixture(scope="module")
def full(pages):
    return pages["full"].read_text("utf-8")


class Page(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self.words, self.inside = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts.append((self.tags[-1][1], data))
        elif self.inside != "style":
            self.words.append(data)


def open_in_browser(page, profile):
    """The DOM after a browser has run the page, and what it wrote to the console."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    command += [f"--user-data-dir={profile}", "--enable-logging=stderr", "--virtual-time-budget=10000", "--dump-dom"]
    environment = {**os.environ, "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    run = subprocess.run([*command, page.as_uri()], capture_output=True, timeout=120, env=environment)
    assert run.returncode == 0
    return run.stdout.decode(), [line for line in run.stderr.decode(errors="replace").splitlines() if "CONSOLE" in line]


@browser
@pytest.mark.parametrize("case", [pytest.param(c, marks=[pytest.mark.slow] * (c != "full")) for c in CASES])
def test_a_browser_draws_every_figure_without_errors(pages, case, tmp_path):
    dom, console = open_in_browser(pages[case], tmp_path)
    assert not console
    figures = dom.count('type="application/json" id="json-plot-')
    assert figures == len(re.findall(r'class="plot js-plotly-plot"', dom)) >= len(ALWAYS)
    for name in re.findall(r'id="json-plot-([a-z_0-9]+)"', dom):
        assert 'class="main-svg"' in dom.split(f'id="plot-{name}"')[1].split("</figure>")[0]
    assert dom.count('class="sankey"') == SANKEYS[case]
    assert bool(SANKEYS[case]) == ('class="sankey-node"' in dom) == ('class="sankey-link"' in dom)
    assert sum(tag == "script" and "type" not in attributes for tag, attributes in Page(dom).tags) == 2


@browser
def test_buttons_sort_the_table_and_download_the_audience(pages, tmp_path):
    probe = """<script>
      const blobs = [];
      URL.createObjectURL = (blob) => { blobs.push(blob); return "#"; };
      const table = document.querySelector("#users + div table");
      const heads = [...table.tHead.rows[0].cells];
      const events = () => [...table.tBodies[0].rows].map((row) => Number(row.cells[2].dataset.v));
      heads[2].querySelector("button").click();
      const up = events();
      heads[2].querySelector("button").click();
      const down = events();
      document.querySelectorAll("button.save").forEach((button) => button.click());
      Promise.all(blobs.map((blob) => blob.text())).then((texts) => {
        const output = document.createElement("pre");
        output.id = "output";
        output.textContent = JSON.stringify({ up, down, texts, sorted: heads[2].getAttribute("aria-sort") });
        document.body.append(output);
      });
    </script>"""
    page = tmp_path / "probe.html"
    page.write_text(pages["full"].read_text("utf-8").replace("</body>", probe + "</body>"), "utf-8")
    dom, console = open_in_browser(page, tmp_path / "profile")
    assert not console
    output = json.loads("".join(Page(dom.split('<pre id="output">')[1].split("</pre>")[0]).words))
    assert output["up"] == sorted(output["up"])
    assert output["down"] == output["up"][::-1]
    assert output["sorted"] == "descending"

    audience, *audiences_by_change = [pl.read_csv(text.removeprefix("\ufeff").encode()) for text in output["texts"]]
    audiences = pl.read_parquet(pages["full"].with_name("audiences.parquet")).filter(pl.col("verdict") != "not enough evidence")
    assert audience.columns == audiences.columns
    keys = ["user_id", "verdict", "source", "destination", "interest_now", "brand"]
    assert audience.select(keys).sort("user_id").equals(audiences.select(keys).sort("user_id"))
    assert sum(group.height for group in audiences_by_change) == audience.height
    assert all(group["verdict"].n_unique() == group["destination"].n_unique() == 1 for group in audiences_by_change)


@pytest.mark.parametrize("case", SHARED_CASES)
def test_the_page_loads_nothing_from_outside(pages, case):
    page = Page(pages[case].read_text("utf-8"))
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for name in ("src", "href"):
            assert re.match(r"data:image/png;base64,|#|plots/\w+\.png$|audiences\.csv$", attributes.get(name, "#"))
    policies = [
        attributes["content"] for _, attributes in page.tags if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policies) == 1
    assert "default-src 'none'" in policies[0]
    assert not re.search(r"https?:", policies[0])
    linked = [attributes["href"] for _, attributes in page.tags if re.match("plots/|audiences", attributes.get("href", ""))]
    assert all((pages[case].parent / link).is_file() for link in linked)


def test_plotly_is_embedded_once(full):
    assert full.count("plotly.js v") == 1


def test_hostile_names_stay_text(full):
    page = Page(full)
    assert sum(tag == "script" and attributes.get("type") is None for tag, attributes in page.tags) == 2
    words = "".join(page.words)
    for name in (TABLES.HOSTILE, TABLES.QUOTED, TABLES.CHINESE):
        assert name in words
    payloads = [data for attributes, data in page.scripts if attributes.get("type") == "application/json"]
    assert len(payloads) > 5
    assert all(not re.search("[<>&]", data) for data in payloads)
    assert any(TABLES.HOSTILE in str(json.loads(data)) for data in payloads)  # the audience is not escaped
    figures = {attributes["id"]: data for attributes, data in page.scripts if "json-plot-" in attributes.get("id", "")}
    assert all(TABLES.HOSTILE not in str(json.loads(data)) for data in figures.values())  # plotly interprets tags in text


@pytest.mark.parametrize("case", SHARED_CASES)
def test_images_are_drawn_and_every_figure_has_alternative_text(pages, case):
    images = {file.name: file.read_bytes() for file in (pages[case].parent / "plots").iterdir()}
    assert images.keys() == PNGS[case]
    for image in images.values():
        assert image.startswith(b"\x89PNG\r\n\x1a\n")
        assert struct.unpack(">I", image[16:20]) == (1200,)
    page = Page(pages[case].read_text("utf-8"))
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")
    assert all(attributes.get("aria-label") for _, attributes in page.tags if attributes.get("role") == "img")


@pytest.mark.slow
def test_the_same_tables_give_the_same_bytes(pages, tmp_path):
    again = tmp_path / "again"
    shutil.copytree(pages["full"].parent, again)
    (again / "plots/old.png").write_bytes(b"of an earlier report")
    write_report(again)
    first, second = (
        {file.name: file.read_bytes() for file in page.rglob("*") if file.suffix in (".png", ".html")}
        for page in (pages["full"].parent, again)
    )
    assert len(first) == 1 + len(PNGS["full"])
    assert first == second


def test_users_without_evidence_are_not_shown(tmp_path):
    """Not even if a table contains their numbers."""
    folder = TABLES.write_tables(tmp_path / "tables", users=60, changed=False)
    users = pl.read_parquet(folder / "users.parquet")
    is_hidden = pl.col("verdict") == "not enough evidence"
    numbers = [name for name, kind in users.schema.items() if kind == pl.Float64]
    users = users.with_columns(pl.when(is_hidden).then(0.271828).otherwise(pl.col(name)).alias(name) for name in numbers)
    users = users.with_columns(
        pl.when(is_hidden).then(pl.lit("hidden-") + pl.col("user_id")).otherwise("user_id").alias("user_id")
    )
    users.write_parquet(folder / "users.parquet")
    names = dict(zip(pl.read_parquet(folder / "audiences.parquet")["user_id"], users["user_id"], strict=True))
    for table, column in {"audiences": "user_id", "timelines": "user_id", "changes": "user_id", "map": "name"}.items():
        frame = pl.read_parquet(folder / f"{table}.parquet").with_columns(pl.col(column).replace(names))
        if table == "timelines":
            assert frame[column].str.starts_with("hidden-").any()
        frame.write_parquet(folder / f"{table}.parquet")
    page = write_report(folder).read_text("utf-8")
    text = page.replace(next(data for _, data in Page(page).scripts if "plotly.js v" in data), "")
    assert "hidden-" not in text
    assert "0.271828" not in text
    assert f"for {users.filter(is_hidden).height} there is not enough evidence" in " ".join(text.split())


def test_the_page_counts_what_it_omits(pages):
    for case in ("full", "nothing changed"):
        words = " ".join("".join(Page(pages[case].read_text("utf-8")).words).split())
        flows = pl.read_parquet(pages[case].with_name("flows.parquet")).filter(pl.col("step") == -1)
        num_significant = flows.filter(pl.col("q") <= TABLES.LEVEL).height
        if num_significant:
            assert f"{num_significant} of {flows.height} flows from before to after have q ≤ 0.05" in words
            assert f"The other {flows.height - num_significant} cannot be distinguished from chance" in words
        else:
            assert f"None of {flows.height} flows from before to after is significant" in words
        users = pl.read_parquet(pages[case].with_name("users.parquet"))
        for verdict, count in users["verdict"].value_counts().iter_rows():
            assert f"{verdict}: {count}" in words
        for note in json.loads(pages[case].with_name("meta.json").read_text("utf-8"))["notes"]:
            assert note in words


def test_the_page_has_no_none_if_nobody_has_enough_evidence(tmp_path):
    folder = TABLES.write_tables(tmp_path / "tables", users=5, answered=False, changed=False)
    flows = pl.read_parquet(folder / "flows.parquet").with_columns(p=pl.lit(None, pl.Float64), q=pl.lit(None, pl.Float64))
    flows.write_parquet(folder / "flows.parquet")
    meta = json.loads((folder / "meta.json").read_text("utf-8")) | {"settings": {"boundary": None, "windows": 6}}
    (folder / "meta.json").write_text(json.dumps(meta), "utf-8")
    words = " ".join("".join(Page(write_report(folder).read_text("utf-8")).words).split())
    count = flows.filter(pl.col("step") == -1).height
    assert f"{count} flows from before to after could not be tested: a test needs at least 20 users" in words
    assert "drift.boundarynot set" in words
    assert not re.search(r"\bNone\b|\bnan\b", words)


def test_empty_tables_give_a_page(tmp_path):
    folder = TABLES.write_tables(tmp_path / "tables", users=5, answered=False, changed=False)
    for name, schema in TABLES.SCHEMAS.items():
        if name != "users":
            pl.DataFrame(schema=schema).write_parquet(folder / f"{name}.parquet")
    words = "".join(Page(write_report(folder).read_text("utf-8")).words)
    assert not list((folder / "plots").iterdir())
    for sentence in (
        "No flow between interests was measured",
        "No shares were measured",
        "No map was made",
        "No segments were made",
    ):
        assert sentence in words


def test_a_folder_without_a_table_is_refused(tmp_path):
    folder = TABLES.write_tables(tmp_path / "tables", users=20)
    (folder / "moves.parquet").unlink()
    with pytest.raises(DataError, match=r"has no moves\.parquet"):
        write_report(folder)


@pytest.mark.parametrize("missing", ["matplotlib", "jinja2", "plotly"])
def test_a_missing_library_is_reported(tmp_path, monkeypatch, missing):
    for name in list(sys.modules):
        if name.split(".")[0] == missing or name.startswith(("interestlab.drift.report.", "interestlab.reporting.")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(DataError, match=rf"needs {missing}: pip install 'interestlab\[report\]'"):
        write_report(tmp_path)


@pytest.mark.slow
def test_every_requested_user_has_a_timeline(tmp_path):
    folder = TABLES.write_tables(tmp_path / "tables", users=200)
    timelines = pl.read_parquet(folder / "timelines.parquet")
    timeline = timelines.filter(user_id=timelines["user_id"][0])
    users = pl.read_parquet(folder / "users.parquet").filter(pl.col("verdict") != "not enough evidence")["user_id"].head(15)
    pl.concat(timeline.with_columns(user_id=pl.lit(user)) for user in users).write_parquet(folder / "timelines.parquet")
    page = write_report(folder).read_text("utf-8")
    assert len(set(re.findall(r'id="plot-timeline_\d+"', page))) == 15


@pytest.mark.parametrize(("users", "q", "is_coloured"), [(30, 0.01, True), (30, 0.2, False), (1, 0.01, False)])
def test_only_moves_more_frequent_than_under_the_null_are_coloured(users, q, is_coloured):
    from interestlab.drift.sections.segments import colour_value

    assert (colour_value({"users": users, "q": q, "under_null": 10.0}, 0.05) > 0) is is_coloured


@pytest.mark.slow
def test_an_audience_is_downloaded_with_all_its_columns(tmp_path):
    folder = TABLES.write_tables(tmp_path / "tables", users=60)
    audience = pl.read_parquet(folder / "audiences.parquet").with_columns(evolved_in=pl.lit("x"), q_evolution=pl.lit(0.123456))
    audience.write_parquet(folder / "audiences.parquet")
    page = Page(write_report(folder).read_text("utf-8"))
    payload = json.loads(next(data for attributes, data in page.scripts if attributes.get("id") == "json-audience"))
    assert payload["columns"] == audience.columns
    assert {row[-1] for row in payload["rows"]} == {0.1235}


def test_labels_on_the_map_do_not_overlap():
    assert place_labels([], []) == []
    points = [(0.0, 0.0), (0.02, 0.0), (1.0, 1.0)]
    sides = place_labels(points, ["a long name here", "another long name", "far"])
    assert set(sides) <= set(SIDES)
    assert sides[0] != sides[1]
