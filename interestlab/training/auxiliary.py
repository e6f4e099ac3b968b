"""An auxiliary term of the loss."""

from dataclasses import dataclass

from interestlab.contract import Objective


@dataclass(frozen=True)
class Auxiliary:
    """An objective that is added to the main one.

    Args:
        objective: name of an installed objective, and its arguments.
        weight: factor of its value in the loss.

    Raises:
        ValueError: the weight is negative.
    """

    objective: Objective
    weight: float = 0.1

    def __post_init__(self) -> None:
        if not self.weight >= 0:
            raise ValueError(f"weight must be 0 or more, not {self.weight}")
