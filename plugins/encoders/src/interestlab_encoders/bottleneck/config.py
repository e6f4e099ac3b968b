"""Options of bottleneck adapters."""

from dataclasses import dataclass
from enum import Enum

from peft import PeftConfig
from transformers.activations import ACT2FN


class BottleneckType(str, Enum):  # noqa: UP042 - PEFT reads the name out of str(), in which a StrEnum has no class before it
    """The method's name, in the form of a member of PEFT's own enum ``PeftType``."""

    BOTTLENECK = "BOTTLENECK"


@dataclass
class BottleneckConfig(PeftConfig):
    """Bottleneck adapters (arXiv 1902.00751, 2005.00247): the output h of each target becomes h + up(act(down(h))).

    ``up`` starts at zero, and so the adapted model as the model itself.

    Args:
        target_modules: linear modules that get one: full names or how they end, or a regular expression. Note that
            ``output.dense`` in a BERT is the end of ``attention.output.dense`` too; :func:`places` gives full names.
        exclude_modules: those of the targets that get none, given likewise.
        modules_to_save: other modules that are trained and saved whole.
        reduction: how many times narrower than the target's output the bottleneck is.
        size: its width; overrides ``reduction``.
        nonlinearity: act, by its name in transformers.
        dropout: probability, in training, of dropping a number of what is added to h.

    Raises:
        ValueError: an option is out of its range.
    """

    target_modules: list[str] | str | None = None
    exclude_modules: list[str] | str | None = None
    modules_to_save: list[str] | None = None
    reduction: int = 16
    size: int | None = None
    nonlinearity: str = "relu"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[no-untyped-call]
        self.peft_type = BottleneckType.BOTTLENECK
        if self.reduction < 1:
            raise ValueError(f"reduction={self.reduction} must be at least 1")
        if self.size is not None and self.size < 1:
            raise ValueError(f"size={self.size} must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} must be at least 0 and less than 1")
        if self.nonlinearity not in ACT2FN:
            raise ValueError(f"transformers has no nonlinearity '{self.nonlinearity}'; it has {', '.join(sorted(ACT2FN))}")

    def width(self, width: int) -> int:
        """Width of the bottleneck after a module that gives vectors of ``width`` numbers.

        Raises:
            ValueError: ``reduction`` leaves none.
        """
        size = self.size or width // self.reduction
        if not size:
            raise ValueError(f"reduction={self.reduction} leaves no bottleneck in vectors of {width} numbers")
        return size
