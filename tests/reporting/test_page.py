import json
import sys

import plotly.graph_objects as go
import pytest

from interestlab.errors import DataError
from interestlab.reporting.matplotlib_figures import create_figure, png_bytes
from interestlab.reporting.page import base64_images, flatten, optional_libraries, render, replace_pngs, script_json
from interestlab.reporting.provenance import compare_versions


def test_json_in_a_script_contains_no_markup():
    value = {"name": "</script><!-- & \u2028\u2029 é"}
    encoded = script_json(value)
    assert not set("<>&\u2028\u2029") & set(encoded)
    assert json.loads(encoded) == value
    with pytest.raises(ValueError, match="JSON"):
        script_json([float("nan")])


def test_a_plotly_figure_is_encoded_as_its_json():
    assert json.loads(script_json(go.Figure([go.Scatter(x=[1], y=[2])])))["data"][0]["x"] == [1]


def test_render_escapes_and_refuses_undefined_variables():
    assert render("<p>{{ name }}</p>", name="<b>") == "<p>&lt;b&gt;</p>"
    with pytest.raises(Exception, match="'other' is undefined"):
        render("{{ other }}", name="")


def test_flatten():
    settings = {"a": {"b": 1, "c": {"d": [1, {"e": 2}]}}, "f": {}, "g": None}
    assert flatten(settings) == {"a.b": "1", "a.c.d": '1, {"e": 2}', "f": "{}", "g": "None"}


def test_pngs_of_an_earlier_report_are_deleted(tmp_path):
    replace_pngs(tmp_path / "plots", {"a.png": b"1", "b.png": b"2"})
    (tmp_path / "plots" / "notes.txt").write_text("kept")
    replace_pngs(tmp_path / "plots", {"b.png": b"3"})
    assert {file.name: file.read_bytes() for file in (tmp_path / "plots").iterdir()} == {"b.png": b"3", "notes.txt": b"kept"}
    assert base64_images({"b.png": b"3"}) == {"b.png": "Mw=="}


def test_the_same_figure_gives_the_same_bytes():
    def draw():
        figure, panels = create_figure(1.5, 2, ["first", "second"])
        panels[0].barh([0, 1], [1, 2])
        return png_bytes(figure)

    assert draw() == draw()
    assert draw().startswith(b"\x89PNG")


def test_a_missing_library_names_the_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with (
        pytest.raises(DataError, match=r"^the report needs matplotlib: pip install 'interestlab\[report\]'$"),
        optional_libraries("matplotlib"),
    ):
        import matplotlib  # noqa: F401
    with pytest.raises(ModuleNotFoundError, match="no_such_module"), optional_libraries("matplotlib"):
        import no_such_module  # noqa: F401


def test_versions_of_runs_are_listed_beside_those_of_the_report(tmp_path):
    for run, versions in (("a", {"torch": "2.6", "mine": "1"}), ("b", {"torch": "2.7"})):
        (tmp_path / run).mkdir()
        (tmp_path / run / "versions.json").write_text(json.dumps(versions))
    table = compare_versions([tmp_path / "a", tmp_path / "b", tmp_path / "without"], ["numpy"])
    assert list(table) == ["python", "numpy", "torch", "mine"]
    assert table["torch"] == ("2.6, 2.7", "")
    assert table["mine"] == ("1", "")
    assert table["numpy"][0] == ""
    assert table["numpy"][1]
