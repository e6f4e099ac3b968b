"""Checks of numeric arguments."""


def require_at_least(minimum: float, **values: float) -> None:
    """Check that every value is at least ``minimum``.

    Args:
        minimum: smallest allowed value.
        **values: argument name -> value.

    Raises:
        ValueError: a value is smaller, or NaN; the message names the argument.
    """
    for name, value in values.items():
        if not value >= minimum:
            raise ValueError(f"{name} must be at least {minimum}, not {value}")
