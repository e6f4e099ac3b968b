"""The plot of the searches of a sweep."""

from collections.abc import Sequence

import matplotlib
from matplotlib.ticker import MaxNLocator

from interestlab.reporting.colours import BLUE, GREY
from interestlab.reporting.matplotlib_figures import STYLE, create_figure, height_of_rows, png_bytes
from interestlab.sweep.search.summary import SearchSummary


def draw_searches(searches: Sequence[SearchSummary]) -> dict[str, bytes]:
    """Draw the best validation of each trial, one line per combination.

    Args:
        searches: the search of each combination.

    Returns:
        The PNG by its file name; nothing if no trial has a result.
    """
    measured = [search for search in searches if search.values]
    if not measured:
        return {}
    with matplotlib.rc_context(STYLE):
        figure, [panel] = create_figure(height_of_rows(len(measured)), 1, [search.name for search in measured])
        for y, search in enumerate(measured):
            for value, is_pruned in search.values:
                panel.plot(value, y, "o", mfc="none" if is_pruned else GREY, mec=GREY, ms=4.5, mew=0.8, alpha=0.7)
            if search.best is not None:
                panel.plot(search.best, y, "D", color=BLUE, ms=6, zorder=3)
        panel.set_title(f"best {measured[0].metric} of each trial of the search")
        panel.grid(False, axis="y")
        panel.xaxis.set_major_locator(MaxNLocator(6))
        return {"search.png": png_bytes(figure)}
