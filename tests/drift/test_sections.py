"""Sections: discovery, order, checks and documentation, and a new section from one file."""

import json

import polars as pl
import pytest
from session_logs import write_log
from test_analysis import FINGERPRINT, QUICK, catalogue, make_events

from interestlab.drift import sections as package
from interestlab.drift.analysis import analyse
from interestlab.drift.interests import taxonomy_interests
from interestlab.drift.report import write_report
from interestlab.drift.section import NUMBER, Column, Section, Table
from interestlab.drift.section_registry import document_sections, load_sections, order_by_dependency
from interestlab.drift.session_log import build_session_log
from interestlab.drift.settings import Settings
from interestlab.drift.vectors import cooccurrence_vectors
from interestlab.errors import PluginError

for library in ("ot", "ruptures", "river"):
    pytest.importorskip(library)

TOY = '''
import polars as pl

from interestlab.drift.section import INTEGER, TEXT, Column, Section, Table


class Toy(Section):
    name = "toy"
    title = "Toy section"
    order = 65
    after = ("users",)
    tables = {"toy": Table("verdict", {"verdict": Column(TEXT, "a verdict"), "users": Column(INTEGER, "its users")}, csv=True)}
    docs = "A paragraph about the toy."
    template = """
<p>There are {{ rows | length }} verdicts.</p>
{% call figure("toy", "Users by verdict", "toy.png") %}A toy figure.{% endcall %}
"""

    def compute(self, context):
        counts = context.table("users").group_by("verdict").len("users").sort("verdict")
        return {"toy": counts.with_columns(pl.col("users").cast(pl.Int64))}

    def figures(self, report):
        import plotly.graph_objects as go

        return {"toy": go.Figure(go.Bar(x=report["toy"]["verdict"].to_list(), y=report["toy"]["users"].to_list()))}

    def images(self, report):
        from interestlab.reporting.matplotlib_figures import create_figure

        figure, [panel] = create_figure(2.0)
        panel.bar(report["toy"]["verdict"].to_list(), report["toy"]["users"].to_list())
        return {"toy": figure}

    def variables(self, report):
        return {"rows": report["toy"].to_dicts()}


section = Toy()
'''


def run_analysis(folder, sections=None):
    store = write_log(folder / "log", make_events(8, 26), catalogue())
    log, settings = build_session_log(store), Settings(**QUICK)
    interests = taxonomy_interests(log, cooccurrence_vectors(log))
    return analyse(store, log, interests, settings, FINGERPRINT, sections=sections)


@pytest.fixture(scope="module")
def all_sections(tmp_path_factory):
    return run_analysis(tmp_path_factory.mktemp("everything"))


def test_one_file_adds_a_section(tmp_path, monkeypatch):
    pytest.importorskip("plotly")
    folder = tmp_path / "more_sections"
    folder.mkdir()
    (folder / "toy.py").write_text(TOY)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    out = tmp_path / "out"
    run_analysis(tmp_path).write(out)
    table = pl.read_parquet(out / "toy.parquet")
    assert table["users"].sum() == 8
    assert pl.read_csv(out / "toy.csv").equals(table)
    page = write_report(out).read_text("utf-8")
    assert '<h2 id="toy">Toy section</h2>' in page
    assert '<a href="#toy">Toy section</a>' in page
    assert f"There are {table.height} verdicts." in page
    assert 'id="json-plot-toy"' in page
    assert (out / "plots/toy.png").read_bytes().startswith(b"\x89PNG")
    docs = document_sections(load_sections())
    assert "A paragraph about the toy." in docs
    assert "| `verdict` | text | a verdict |" in docs


@pytest.mark.parametrize("dropped", [s.name for s in load_sections() if s.name not in ("users", "changes", "model")])
def test_tables_do_not_depend_on_other_sections(all_sections, tmp_path, dropped):
    remaining = [section for section in load_sections() if section.name != dropped]
    analysis = run_analysis(tmp_path, remaining)
    names = {name for section in remaining for name in section.tables}
    assert set(analysis.tables) == names & set(all_sections.tables)
    for name, table in analysis.tables.items():
        assert table.equals(all_sections.tables[name]), name


def test_a_section_can_be_computed_with_its_dependencies_alone(all_sections, tmp_path):
    chosen = [section for section in load_sections() if section.name in ("users", "segments")]
    analysis = run_analysis(tmp_path, chosen)
    assert set(analysis.tables) == {"users", "segments", "moves"}
    assert analysis.tables["moves"].equals(all_sections.tables["moves"])


def test_every_table_has_its_declared_schema(all_sections):
    for section in load_sections():
        for name, table in section.tables.items():
            if name in all_sections.tables:
                assert all_sections.tables[name].schema == table.schema
            assert all(column.meaning for column in table.columns.values())


def test_every_section_documents_itself():
    sections = load_sections()
    docs = document_sections(sections)
    for section in sections:
        assert section.docs.strip() in docs
        for name, table in section.tables.items():
            assert f"`{name}.parquet`" in docs
            assert all(f"| `{column}` |" in docs for column in table.columns)


def test_sections_are_computed_after_their_dependencies():
    names = [section.name for section in order_by_dependency(load_sections())]
    for section in load_sections():
        assert all(names.index(other) < names.index(section.name) for other in section.after)


class Wrong(Section):
    name = "wrong"
    docs = ""
    tables = {"wrong": Table("thing", {"x": Column(NUMBER, "a number")})}

    def compute(self, context):
        return {"wrong": pl.DataFrame({"x": ["text"]})}


def test_a_table_that_differs_from_its_schema_is_refused(tmp_path):
    users = next(section for section in load_sections() if section.name == "users")
    with pytest.raises(PluginError, match=r"table wrong of the drift section wrong differs from its schema.*String"):
        run_analysis(tmp_path, [users, Wrong()])


def test_a_missing_dependency_is_named(tmp_path):
    audiences = next(section for section in load_sections() if section.name == "audiences")
    with pytest.raises(PluginError, match="no earlier drift section computes the table users"):
        run_analysis(tmp_path, [audiences])


def test_a_module_without_a_section_is_named(tmp_path, monkeypatch):
    (tmp_path / "empty_module.py").write_text("")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    with pytest.raises(PluginError, match=r"empty_module\.py declares no section"):
        load_sections()


def test_cyclic_dependencies_are_refused():
    class First(Wrong):
        name, after = "first", ("second",)

    class Second(Wrong):
        name, after = "second", ("first",)

    with pytest.raises(PluginError, match="wait for each other"):
        order_by_dependency([First(), Second()])


def test_meta_counts_no_users_without_flows(tmp_path):
    users = next(section for section in load_sections() if section.name == "users")
    analysis = run_analysis(tmp_path, [users])
    assert analysis.meta["sampled_for_flows"] == 0
    json.dumps(analysis.meta)
