"""Number formats of all reports. A missing value is written as :data:`MISSING`."""

from datetime import datetime

MISSING = "–"


def p_value(value: float | None) -> str:
    """Format a p- or q-value; very small ones as ``< 0.001``, since no p-value is 0.

    Args:
        value: 0 to 1.

    Returns:
        Three decimals.
    """
    return MISSING if value is None else f"{value:.3f}" if value >= 0.001 else "< 0.001"


def p_and_q(p: float | None, q: float | None) -> str:
    """Format a p-value with its corrected value.

    Args:
        p: p-value.
        q: the same after correction for many tests.

    Returns:
        ``p ..., q ...``.
    """
    return f"p {p_value(p)}, q {p_value(q)}"


def percent(value: float | None, digits: int = 1) -> str:
    """Format a share in percent.

    Args:
        value: 0 to 1.
        digits: decimals.

    Returns:
        For instance ``12.5%``.
    """
    return MISSING if value is None else f"{value:.{digits}%}"


def percentage_points(value: float | None) -> str:
    """Format a difference of shares in percentage points, with its sign.

    Args:
        value: -1 to 1.

    Returns:
        For instance ``+12.5``.
    """
    return MISSING if value is None else f"{100 * value:+.1f}".replace("-", "−")


def decimal(value: float | None, digits: int = 2) -> str:
    """Format a number with a fixed number of decimals.

    Args:
        value: any number.
        digits: decimals.

    Returns:
        For instance ``0.25``.
    """
    return MISSING if value is None else f"{value:.{digits}f}"


def signed(value: float | None, digits: int = 4) -> str:
    """Format a difference, with its sign.

    Args:
        value: any number.
        digits: decimals.

    Returns:
        For instance ``+0.0250``.
    """
    return MISSING if value is None else f"{value:+.{digits}f}"


def integer(value: int | None) -> str:
    """Format a count.

    Args:
        value: any integer.

    Returns:
        For instance ``12,345``.
    """
    return MISSING if value is None else f"{value:,}"


def three_digits(value: float | None) -> str:
    """Format a cost, such as seconds or MiB, to three significant digits, or without decimals from 100 on.

    Args:
        value: any number.

    Returns:
        For instance ``1.25`` or ``1,250``.
    """
    return MISSING if value is None else f"{value:,.3g}" if value < 100 else f"{value:,.0f}"


def si_prefix(value: float) -> str:
    """Format a large number to three significant digits with an SI prefix.

    Args:
        value: not negative.

    Returns:
        For instance ``22.7 M``.
    """
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def date(value: datetime | None) -> str:
    """Format a day.

    Args:
        value: any time of that day.

    Returns:
        ``YYYY-MM-DD``.
    """
    return MISSING if value is None else f"{value:%Y-%m-%d}"
