"""Check the key ``search`` of a sweep file."""

import difflib
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from interestlab.errors import DataError
from interestlab.sweep.search.space import Choices, Range, Search, Space, space_options
from interestlab.sweep.spec_values import check_settings, entries, label, mapping, mappings

KEYS = ("trials", "minutes", "metric", "seed", "pruner", "prune_after", "space", "extra")
"""Keys of a search."""

RANGE_KEYS = ("low", "high", "step", "log")
"""Keys of a range."""

PRUNERS = ("median", "none")


def parse_search(content: Any) -> Search | None:
    """Check the key ``search`` of a sweep file.

    Args:
        content: its value.

    Returns:
        The search; None if the file has none.

    Raises:
        DataError: naming the key that is wrong.
    """
    if content is None:
        return None
    if not isinstance(content, dict):
        raise DataError(f"search: it must be a mapping with the keys space and trials or minutes, not {content!r}.")
    for key in content:
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise DataError(f"search: '{key}' is not a key of a search{hint} ({', '.join(KEYS)})")
    pruner = content.get("pruner", "median")
    pruner = "none" if pruner is None else pruner
    if pruner not in PRUNERS:
        raise DataError(f"search.pruner: it must be one of {', '.join(PRUNERS)}, not {pruner!r}.")
    try:
        space = parse_space(mapping(content, "space"), "space")
        extra = tuple(parse_extra(part) for part in mappings(content, "extra"))
    except DataError as err:
        raise DataError(f"search.{err}") from err
    search = Search(
        content=content,
        trials=whole(content, "trials", None, low=1),
        minutes=content.get("minutes"),
        metric=check_metric(content.get("metric", "val/ndcg@10")),
        seed=whole(content, "seed", 0) or 0,
        pruner=pruner,
        prune_after=whole(content, "prune_after", 3, low=1) or 3,
        space=space,
        extra=extra,
    )
    if search.minutes is not None and not (is_number(search.minutes) and search.minutes > 0):
        raise DataError(f"search.minutes: it must be a positive number, not {search.minutes!r}.")
    if search.trials is None and search.minutes is None:
        raise DataError("search: give its budget per combination, trials or minutes or both.")
    if not space:
        raise DataError("search.space: it is empty; give options of `interestlab fit` and their values.")
    for part in (search.space, *({**search.space, **more} for _, more in extra)):
        options = space_options(part)
        if twice := next((key for key in options if options.count(key) > 1), None):
            raise DataError(f"search.space: two entries set {twice}.")
    return search


def parse_extra(part: Mapping[Any, Any]) -> tuple[Mapping[str, str], Space]:
    """Check an entry of ``extra``.

    Args:
        part: the entry: ``labels``, as in ``exclude``, and ``space``.

    Raises:
        DataError: naming the key that is wrong.
    """
    labels = mapping(part, "labels")
    if part.keys() != {"labels", "space"} or not labels:
        raise DataError("extra: each entry must have labels, which name at least one axis, and space.")
    return {label(k): label(v) for k, v in labels.items()}, parse_space(mapping(part, "space"), "extra")


def parse_space(content: Mapping[Any, Any], where: str) -> dict[str, Choices | Range]:
    """Check a space.

    Args:
        content: values by option.
        where: key of the search, for errors.

    Raises:
        DataError: naming the option that is wrong.
    """
    space: dict[str, Choices | Range] = {}
    for name, value in content.items():
        has_labels = isinstance(value, dict) and all(isinstance(entry, dict | None) for entry in value.values())
        if isinstance(value, dict) and value and not has_labels:
            check_settings({name: None}, where)
            space[name] = parse_range(value, f"{where}.{name}")
        else:
            space[label(name)] = Choices(entries(label(name), value, where))
    return space


def parse_range(value: Mapping[Any, Any], where: str) -> Range:
    """Check a range.

    Args:
        value: ``low``, ``high`` and, optionally, ``step`` or ``log``.
        where: its option, for errors.

    Raises:
        DataError: naming what is wrong.
    """
    ends: list[Any] = [value.get(key) for key in RANGE_KEYS]
    low, high, step, log = ends
    if not value.keys() <= set(RANGE_KEYS) or not is_number(low) or not is_number(high) or not isinstance(log, bool | None):
        raise DataError(
            f"{where}: a range has the numbers low and high, and optionally step: NUMBER or log: true, not {dict(value)!r}."
        )
    if low >= high:
        raise DataError(f"{where}: low must be below high.")
    if log and (low <= 0 or step is not None):
        raise DataError(f"{where}: with log, low must be above 0, and there is no step.")
    if step is not None:
        count = (high - low) / step if is_number(step) and step > 0 else 0.5
        if abs(count - round(count)) > 1e-6:
            raise DataError(f"{where}: step must be a number that divides high − low, not {step!r}.")
        exact = Decimal(str(low)) + round(count) * Decimal(str(step))  # 0.1 has no exact binary form
        high = float(exact) if isinstance(high, float) else high
    if all(isinstance(number, int | None) for number in (low, high, step)):
        return Range(low, high, step, bool(log))
    return Range(float(low), float(high), step, bool(log))


def check_metric(metric: Any) -> str:
    """Check that a metric is measured on the validation split: a search that sees the test split would invalidate it.

    Args:
        metric: value of the key ``metric``.

    Raises:
        DataError: it is another metric.
    """
    if not isinstance(metric, str) or not metric.startswith("val/"):
        raise DataError(f"search.metric: it must be a validation metric, such as val/ndcg@10, not {metric!r}.")
    return metric


def whole(content: Mapping[str, Any], key: str, default: int | None, low: int = 0) -> int | None:
    """Return a whole number of the search.

    Args:
        content: content of the search.
        key: its key.
        default: value if the key is absent.
        low: smallest value.

    Raises:
        DataError: it is something else.
    """
    value = content.get(key, default)
    if value is not None and (type(value) is not int or value < low):
        raise DataError(f"search.{key}: it must be a whole number from {low}, not {value!r}.")
    return value


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number.

    Args:
        value: any value of YAML.
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
