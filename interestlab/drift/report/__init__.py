"""The page of an analysis of drift: one HTML file that loads nothing, and its figures as PNGs."""

import warnings
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from interestlab.drift.report.tables import ReportTables, read_tables
from interestlab.drift.section import Section
from interestlab.drift.section_registry import load_sections
from interestlab.drift.verdicts import INSUFFICIENT_EVIDENCE
from interestlab.reporting import labels, number_formats
from interestlab.reporting.colours import PALE
from interestlab.reporting.page import base64_images, flatten, optional_libraries, render, replace_pngs, script_json


def write_report(folder: Path, sections: Sequence[Section] | None = None) -> Path:
    """Write ``index.html`` and ``plots/*.png`` next to the tables of an analysis. The same tables give the same bytes.

    Args:
        folder: written by ``interestlab drift``: ``users.parquet``, ``shares.parquet``, ..., ``meta.json``.
        sections: sections of the page; None: all.

    Returns:
        Path of the page.

    Raises:
        DataError: a table is missing, or matplotlib, plotly or Jinja are not installed.
    """
    with optional_libraries("jinja2", "matplotlib", "plotly"):
        import jinja2  # noqa: F401
        import matplotlib as mpl
        from markupsafe import Markup
        from plotly.offline import get_plotlyjs

        from interestlab.drift.report.image_style import image_settings
        from interestlab.reporting.matplotlib_figures import png_bytes

    sections = load_sections() if sections is None else sections
    report = read_tables(folder, sections)
    shown = [section for section in sections if section.is_shown(report)]
    with mpl.rc_context(image_settings()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        drawn = {name: figure for section in shown for name, figure in section.images(report).items()}
        images = {f"{name}.png": png_bytes(figure) for name, figure in drawn.items() if figure is not None}
    replace_pngs(folder / "plots", images)
    figures = {name: figure for section in shown for name, figure in section.figures(report).items() if figure is not None}
    shared = {
        "meta": report.meta,
        "level": report.level,
        "counts": report.counts,
        "formats": number_formats,
        "labels": labels,
        "figures": {name: Markup(script_json(figure)) for name, figure in figures.items()},
        "images": base64_images(images),
    }
    macros = read_resource("macros.html.j2")
    parts = [(section, Markup(render(macros + section.template, **shared, **section.variables(report)))) for section in shown]
    page = render(
        read_resource("page.html.j2"),
        **shared,
        parts=parts,
        verdicts=list_verdicts(report),
        fingerprint=flatten(report.meta.get("fingerprint") or {}),
        settings=flatten({k: "not set" if v is None else v for k, v in (report.meta.get("settings") or {}).items()}),
        versions=flatten(report.meta.get("versions") or {}),
        style=Markup(read_resource("page.css")),
        script=Markup(read_resource("page.js")),
        plotly=Markup(get_plotlyjs()),
    )
    (folder / "index.html").write_text(page, "utf-8")
    return folder / "index.html"


def read_resource(name: str) -> str:
    """Read a file of this package.

    Args:
        name: name of the file.

    Returns:
        Its text.
    """
    return resources.files(__name__).joinpath(name).read_text("utf-8")


def list_verdicts(report: ReportTables) -> list[dict[str, Any]]:
    """List the users by verdict, for the bar at the top of the page.

    Args:
        report: tables that may be shown.

    Returns:
        Name, users, share and colour of each verdict.
    """
    from interestlab.drift.report.verdict_colours import VERDICT_COLOURS

    total = max(1, sum(report.counts.values()))
    colours = VERDICT_COLOURS | {INSUFFICIENT_EVIDENCE: PALE}
    return [{"name": n, "users": users, "share": users / total, "colour": colours[n]} for n, users in report.counts.items()]
