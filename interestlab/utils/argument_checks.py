"""Limits of arguments, told by name."""


def require_at_least(least: float, **values: float) -> None:
    """Check that every value is at least ``least``.

    Raises:
        ValueError: naming the first that is not.
    """
    for name, value in values.items():
        if not value >= least:
            raise ValueError(f"{name} must be at least {least}, not {value}")
