"""Names and words in figures, pages and tables: clipped, joined and escaped."""

import html
import re
from collections.abc import Sequence
from typing import Any

from interestlab.reporting.number_formats import MISSING


def text(value: str | None) -> str:
    """Return a name, or the sign of a missing value.

    Args:
        value: a name; an empty one counts as missing.

    Returns:
        The text of a cell.
    """
    return value or MISSING


def joined(values: Sequence[str] | None) -> str:
    """Join words by commas.

    Args:
        values: words.

    Returns:
        The text of a cell.
    """
    return ", ".join(values or ()) or MISSING


def transition(source: str | None, destination: str | None) -> str:
    """Write a move from one name to another.

    Args:
        source: before.
        destination: after.

    Returns:
        ``source → destination``.
    """
    return MISSING if source is None and destination is None else f"{text(source)} → {text(destination)}"


def plural(value: int, noun: str) -> str:
    """Write a count with its noun.

    Args:
        value: how many.
        noun: in the singular; its plural takes an s.

    Returns:
        For instance ``1 user`` or ``1,234 users``.
    """
    return f"{value:,} {noun}{'' if value == 1 else 's'}"


def clip(name: str, length: int = 26) -> str:
    """Shorten a name to fit next to a figure.

    Args:
        name: text of any length.
        length: most characters.

    Returns:
        The name, ending in … if it was shortened.
    """
    return name if len(name) <= length else name[: length - 1].rstrip() + "…"


def escape(name: Any, length: int = 0) -> str:
    """Escape a name for plotly, which interprets tags and entities in every text.

    Args:
        name: anything with a text form.
        length: most characters before escaping; 0 for no limit.

    Returns:
        HTML-safe text.
    """
    return html.escape(clip(str(name), length) if length else str(name), quote=False)


def markdown_row(cells: Sequence[str]) -> str:
    """Write a row of a Markdown table; line breaks and bars within a cell are replaced or escaped.

    Args:
        cells: cells of the row.

    Returns:
        One line.
    """
    return "| " + " | ".join(re.sub(r"\s+", " ", cell).replace("|", "\\|") for cell in cells) + " |"
