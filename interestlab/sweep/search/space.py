"""A search of a sweep: which settings it varies, by which metric, and with how many fits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from interestlab.errors import DataError
from interestlab.sweep.spec_values import Settings


@dataclass(frozen=True)
class Choices:
    """Unordered choices.

    Attributes:
        settings: settings of each label.
    """

    settings: Mapping[str, Settings]


@dataclass(frozen=True)
class Range:
    """An interval of numbers, ends included; all of its numbers are whole if both ends are.

    Attributes:
        low, high: its ends.
        step: distance of its values; None: any number, or any whole number.
        log: sample the logarithm uniformly.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def is_whole(self) -> bool:
        """Return whether its values are whole numbers."""
        return all(isinstance(end, int) for end in (self.low, self.high))

    @property
    def values(self) -> list[float] | None:
        """Return all its values; None if there are infinitely many."""
        step = self.step or (1 if self.is_whole else None)
        return None if step is None else [self.low + i * step for i in range(round((self.high - self.low) / step) + 1)]


Space = Mapping[str, Choices | Range]
"""What is searched: values by option or, for choices of several options at once, by any name."""


@dataclass(frozen=True)
class Search:
    """A search with the same budget for each combination of the axes.

    Attributes:
        content: the key as it is in the sweep file.
        trials: number of fits per combination; None: no limit.
        minutes: no further fit starts after this time, which is the sum over the fits of a combination; None: no limit.
        metric: validation metric that is optimised.
        seed: seed of the proposals.
        pruner: ``median``, which stops a fit that is worse than the median of the others, or ``none``.
        prune_after: number of validations of a fit before it can be stopped.
        space: what is searched in every combination.
        extra: what else is searched in the combinations that have some labels.
    """

    content: Mapping[str, Any]
    trials: int | None
    minutes: float | None
    metric: str
    seed: int
    pruner: str
    prune_after: int
    space: Space
    extra: tuple[tuple[Mapping[str, str], Space], ...]

    @property
    def is_minimised(self) -> bool:
        """Return whether lower values of the metric are better, as for losses."""
        return self.metric.endswith("loss")

    @property
    def options(self) -> set[str]:
        """Return all options of ``fit`` that the search varies."""
        return {key for space in (self.space, *(extra for _, extra in self.extra)) for key in space_options(space)}

    def space_of(self, labels: Mapping[str, str]) -> Space:
        """Return what is searched in one combination.

        Args:
            labels: label of each axis.
        """
        space = dict(self.space)
        for part, extra in self.extra:
            if part.items() <= labels.items():
                space |= extra
        return space

    def check_owners(self, owner: Mapping[str, str]) -> None:
        """Check that nothing else in the sweep file fixes or varies an option that is searched.

        Args:
            owner: the key or axis that sets an option, by option.

        Raises:
            DataError: naming the option.
        """
        for where, space in (("space", self.space), *(("extra", extra) for _, extra in self.extra)):
            for name, entry in space.items():
                for key in space_options({name: entry}):
                    if key in owner:
                        raise DataError(f"search.{where}.{name}: {owner[key]} sets {key} too.")


def space_options(space: Space) -> list[str]:
    """Return the options of ``fit`` that a space varies.

    Args:
        space: a space.
    """
    options: list[str] = []
    for name, entry in space.items():
        labels = entry.settings.values() if isinstance(entry, Choices) else [{name: None}]
        options += dict.fromkeys(key for settings in labels for key in settings)
    return options


def space_settings(space: Space, params: Mapping[str, Any]) -> Settings:
    """Return the settings of ``fit`` for one point of a space.

    Args:
        space: a space.
        params: label or number by name.
    """
    settings: Settings = {}
    for name, entry in space.items():
        value = params[name]
        if isinstance(entry, Choices):
            settings |= entry.settings[value]
        else:  # six digits, so that settings are readable
            settings[name] = value if isinstance(value, int) else float(f"{value:.6g}")
    return settings
