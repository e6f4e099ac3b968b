"""Options of bottleneck adapters."""

from dataclasses import dataclass
from enum import Enum

from peft import PeftConfig
from transformers.activations import ACT2FN


class BottleneckType(str, Enum):  # noqa: UP042 - PEFT parses the output of str(), which for a StrEnum lacks the class name
    """The name of the method, in the form of a member of PEFT's own enum ``PeftType``."""

    BOTTLENECK = "BOTTLENECK"


@dataclass
class BottleneckConfig(PeftConfig):
    """Bottleneck adapters: the output h of each target module becomes h + up(act(down(h))).

    ``up`` is initialised with zeros, so the adapted model starts equal to the original.

    Source: Houlsby et al. 2019, arXiv 1902.00751; Pfeiffer et al. 2020, arXiv 2005.00247.

    Args:
        target_modules: linear modules with an adapter: full names, name suffixes, or a regular expression. Note that
            ``output.dense`` in a BERT is also a suffix of ``attention.output.dense``; :func:`find_target_modules` returns
            full names.
        exclude_modules: target modules without an adapter, given in the same way.
        modules_to_save: other modules that are trained and saved completely.
        reduction: width of the target's output divided by the width of the bottleneck, at least 1.
        size: width of the bottleneck; overrides ``reduction``.
        nonlinearity: act, by its name in transformers.
        dropout: probability, in training, of dropping an element that is added to h.

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

    def bottleneck_width(self, output_width: int) -> int:
        """Compute the width of the bottleneck after a module.

        Args:
            output_width: width of the module's output.

        Returns:
            the width of the bottleneck, at least 1.

        Raises:
            ValueError: ``reduction`` exceeds ``output_width``.
        """
        size = self.size or output_width // self.reduction
        if not size:
            raise ValueError(
                f"reduction={self.reduction} is more than the output width {output_width}; use a smaller reduction"
            )
        return size
