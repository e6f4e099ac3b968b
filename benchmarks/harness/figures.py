"""Figures in the style of the project's reports. Importing this module needs matplotlib."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

try:
    import matplotlib

    from interestlab.reporting.colours import BLUE, GREY, RED
    from interestlab.reporting.matplotlib_figures import STYLE, create_figure, png_bytes
except ModuleNotFoundError as error:
    if error.name != "matplotlib":
        raise
    raise SystemExit("figures need matplotlib: pip install 'interestlab[report]'") from error

__all__ = ["BLUE", "GREY", "RED", "create_figure", "log2_axis", "png_bytes", "report_style", "write_figures"]


@contextmanager
def report_style() -> Iterator[None]:
    """Draw what is inside of the ``with`` block in the style of the reports."""
    with matplotlib.rc_context(STYLE):
        yield


def log2_axis(panels: Sequence[Any], ticks: Sequence[int], label: str) -> None:
    """Give panels a horizontal axis of base 2 with ticks at the measured values."""
    for panel in panels:
        panel.set_xscale("log", base=2)
        panel.set_xticks(ticks, [str(tick) for tick in ticks], fontsize=8)
        panel.minorticks_off()
        panel.set_xlabel(label)


def write_figures(folder: Path, figures: dict[str, bytes]) -> None:
    """Write PNG files into a folder, which is created if it does not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in figures.items():
        (folder / name).write_bytes(image)
