"""Checks of constructor arguments that several objectives share."""


def require_positive(**arguments: float) -> None:
    """Raise an error if an argument is not greater than 0.

    Args:
        **arguments: values to check, by argument name.

    Raises:
        ValueError: a value is 0, negative or NaN; the message names the argument.
    """
    for name, value in arguments.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, not {value}")
