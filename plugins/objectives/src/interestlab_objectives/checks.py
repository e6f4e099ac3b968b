"""A check that many constructors share."""


def positive(**given: float) -> None:
    """Refuse arguments that are not above 0, by name.

    Raises:
        ValueError: one is not.
    """
    for name, value in given.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, not {value}")
