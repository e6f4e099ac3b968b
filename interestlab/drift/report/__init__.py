"""The page of an analysis of drift: one file that needs nothing else, and its plots as PNGs."""

from importlib import resources
from pathlib import Path

from interestlab.drift.report.reading import read
from interestlab.reporting import labels, number_formats
from interestlab.reporting.page import base64_images, optional_libraries, render, replace_pngs, script_json


def write_report(folder: Path) -> Path:
    """Write ``index.html`` and ``plots/*.png`` beside the tables of an analysis.

    Args:
        folder: what ``interestlab drift`` wrote: ``users.parquet``, ``shares.parquet``, ..., ``meta.json``.

    Returns:
        where the page is. The same tables give the same bytes.

    Raises:
        DataError: a table is not there, or matplotlib, plotly or Jinja are not installed.
    """
    with optional_libraries("jinja2", "matplotlib", "plotly"):
        import jinja2  # noqa: F401
        from markupsafe import Markup
        from plotly.offline import get_plotlyjs

        from interestlab.drift.report.figures import figures
        from interestlab.drift.report.pieces import pieces
        from interestlab.drift.report.plots import plots
    tables = read(folder)
    images = plots(tables)
    replace_pngs(folder / "plots", images)
    parts = resources.files("interestlab.drift.report")
    page = render(
        parts.joinpath("page.html.j2").read_text("utf-8"),
        **pieces(tables),
        formats=number_formats,
        labels=labels,
        figures={name: Markup(script_json(figure)) for name, figure in figures(tables).items()},
        images=base64_images(images),
        style=Markup(parts.joinpath("page.css").read_text("utf-8")),
        script=Markup(parts.joinpath("page.js").read_text("utf-8")),
        plotly=Markup(get_plotlyjs()),
    )
    (folder / "index.html").write_text(page, "utf-8")
    return folder / "index.html"
