"""How the numbers of the page are written."""

from collections.abc import Sequence
from datetime import datetime

from interestlab.sweep.cells import NONE, p_value


def p(value: float | None) -> str:
    """A p- or q-value, or nothing."""
    return NONE if value is None else p_value(value)


def pair(p_of: float | None, q_of: float | None) -> str:
    """A p-value, and the same after correction."""
    return f"p {p(p_of)}, q {p(q_of)}"


def share(value: float | None, digits: int = 1) -> str:
    """A share, in percent."""
    return NONE if value is None else f"{value:.{digits}%}"


def points(value: float | None) -> str:
    """A difference of shares, in percentage points."""
    return NONE if value is None else f"{100 * value:+.1f}".replace("-", "−")


def number(value: float | None, digits: int = 2) -> str:
    """Any other number."""
    return NONE if value is None else f"{value:.{digits}f}"


def count(value: int | None) -> str:
    """A count."""
    return NONE if value is None else f"{value:,}"


def date(value: datetime | None) -> str:
    """A day."""
    return NONE if value is None else f"{value:%Y-%m-%d}"


def text(value: str | None) -> str:
    """A name, or nothing."""
    return value or NONE


def words(values: Sequence[str] | None) -> str:
    """Words in a row."""
    return ", ".join(values or ()) or NONE


def move(source: str | None, destination: str | None) -> str:
    """From where to where."""
    return NONE if source is None and destination is None else f"{text(source)} → {text(destination)}"


def plural(value: int, noun: str) -> str:
    """A count and its noun."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}"


def clip(name: str, most: int = 26) -> str:
    """A name that fits beside a figure."""
    return name if len(name) <= most else name[: most - 1].rstrip() + "…"
