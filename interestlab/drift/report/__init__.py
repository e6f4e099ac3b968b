"""The page of an analysis of drift: one file that needs nothing else, and its plots as PNGs."""

import base64
from importlib import resources
from pathlib import Path

from interestlab.drift.report.reading import read
from interestlab.errors import DataError

EXTRAS = ("jinja2", "matplotlib", "plotly")


def write_report(folder: Path) -> Path:
    """Write ``index.html`` and ``plots/*.png`` beside the tables of an analysis.

    Args:
        folder: what ``interestlab drift`` wrote: ``users.parquet``, ``shares.parquet``, ..., ``meta.json``.

    Returns:
        where the page is. The same tables give the same bytes.

    Raises:
        DataError: a table is not there, or matplotlib, plotly or Jinja are not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup
        from plotly.offline import get_plotlyjs

        from interestlab.drift.report import cells
        from interestlab.drift.report.figures import figures
        from interestlab.drift.report.look import encoded
        from interestlab.drift.report.pieces import pieces
        from interestlab.drift.report.plots import plots
    except ModuleNotFoundError as err:
        missing = str(err.name).partition(".")[0]
        if missing not in EXTRAS:
            raise
        raise DataError(f"the report needs {missing}: pip install 'interestlab[report]'") from err
    tables = read(folder)
    beside = folder / "plots"
    beside.mkdir(exist_ok=True)
    for old in beside.glob("*.png"):  # a plot that is no longer drawn must not stay
        old.unlink()
    images = plots(tables)
    for name, image in images.items():
        (beside / name).write_bytes(image)
    parts = resources.files("interestlab.drift.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(parts.joinpath("page.html.j2").read_text("utf-8")).render(
        **pieces(tables),
        cells=cells,
        figures={name: Markup(encoded(figure)) for name, figure in figures(tables).items()},
        images={name: base64.b64encode(image).decode() for name, image in images.items()},
        style=Markup(parts.joinpath("page.css").read_text("utf-8")),
        script=Markup(parts.joinpath("page.js").read_text("utf-8")),
        plotly=Markup(get_plotlyjs()),
    )
    (folder / "index.html").write_text(page, "utf-8")
    return folder / "index.html"
