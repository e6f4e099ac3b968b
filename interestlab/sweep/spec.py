"""Read a sweep file, and check everything but its settings of ``fit``, which :mod:`interestlab.sweep.validation` checks."""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from interestlab.config.safe_yaml import config_text
from interestlab.errors import DataError
from interestlab.sweep.search.parsing import parse_search
from interestlab.sweep.search.space import Search
from interestlab.sweep.spec_values import Settings, check_seeds, check_settings, entries, label, mapping, mappings, strings

KEYS = ("name", "base", "set", "axes", "seeds", "budget", "baseline", "metrics", "exclude", "search")
"""Keys of a sweep file."""


@dataclass(frozen=True)
class Spec:
    """A sweep: its trials, and the comparison of its report.

    Attributes:
        name: name of the sweep.
        base: config files; a later one wins.
        set: settings of all trials.
        axes: settings of each label of each axis; they win over ``set``.
        seeds: seeds that each combination of labels runs with.
        budget: settings of ``--trainer`` for all trials.
        baseline: labels of the combination that the others are compared with; empty for none.
        metrics: metrics that are compared.
        exclude: combinations that are not run, named by some of their labels.
        search: search for further settings of each combination; None for none.
    """

    name: str
    base: tuple[Path, ...]
    set: Settings
    axes: Mapping[str, Mapping[str, Settings]]
    seeds: tuple[int, ...]
    budget: Settings
    baseline: Mapping[str, str]
    metrics: tuple[str, ...]
    exclude: tuple[Mapping[str, str], ...]
    search: Search | None = None

    @property
    def combinations(self) -> list[dict[str, str]]:
        """Return all combinations of one label per axis that are not excluded."""
        every = (dict(zip(self.axes, labels, strict=True)) for labels in product(*self.axes.values()))
        return [labels for labels in every if not any(part.items() <= labels.items() for part in self.exclude)]

    def settings(self, labels: Mapping[str, str]) -> Settings:
        """Return all settings of one combination.

        Args:
            labels: label of each axis.
        """
        settings = self.set | {f"trainer.{key}": value for key, value in self.budget.items()}
        for axis, chosen in labels.items():
            settings |= self.axes[axis][chosen]
        return settings

    def dump(self) -> str:
        """Return the text of a sweep file that means the same in any folder."""
        content = {key: getattr(self, key) for key in KEYS if key != "search"} | {"base": [str(file) for file in self.base]}
        content |= {"search": self.search.content} if self.search else {}
        plain = json.loads(json.dumps(content))  # YAML has no tuples
        return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)


def read(file: Path, overrides: Settings | None = None, seeds: Sequence[int] | None = None) -> Spec:
    """Read a sweep file.

    Args:
        file: the sweep file.
        overrides: settings that win over those of the file.
        seeds: seeds instead of those of the file.

    Raises:
        DataError: naming the file and the key that is wrong.
    """
    content = load(file)
    try:
        spec = parse(override(content, overrides or {}, seeds), file.parent)
        if searched := spec.search and [key for key in overrides or {} if key in spec.search.options]:
            raise DataError(f"{searched[0]}: the search varies it, so --set cannot fix it.")
        return spec
    except DataError as err:
        raise DataError(f"{file}: {err}") from err


def load(file: Path) -> dict[str, Any]:
    """Read a YAML file that contains a mapping.

    Args:
        file: the file.

    Raises:
        DataError: the file cannot be read, is not a mapping, or has a key twice (YAML would silently drop one).
    """
    try:
        text = file.read_text("utf-8")
        content = config_text(text)
        refuse_duplicates(yaml.compose(text, Loader=yaml.SafeLoader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, DataError) as err:
        raise DataError(f"{file} cannot be read: {' '.join(str(err).split())}") from err
    if not isinstance(content, dict):
        raise DataError(f"{file} must be a mapping.")
    return content


def refuse_duplicates(node: yaml.Node | None) -> None:
    """Refuse a mapping with the same key twice, at any depth.

    Args:
        node: YAML node of the file.

    Raises:
        DataError: naming the line and the key.
    """
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise DataError(f"line {key.start_mark.line + 1}: '{key.value}' appears twice.")
            seen.add(key.value)
            refuse_duplicates(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            refuse_duplicates(value)


def override(content: dict[str, Any], overrides: Settings, seeds: Sequence[int] | None) -> dict[str, Any]:
    """Return the content of a sweep file with other settings. Naming another plugin drops the file's arguments of the first.

    Args:
        content: content of the file.
        overrides: settings that win over it.
        seeds: seeds that replace its own; None: none.

    Raises:
        DataError: an axis varies one of the settings.
    """
    content = content | ({} if seeds is None else {"seeds": list(seeds)})
    settings, budget = dict(mapping(content, "set")), dict(mapping(content, "budget"))
    for key, value in overrides.items():
        for axis, labels in mapping(content, "axes").items():
            varied = {k for entry in labels.values() for k in entry or ()} if isinstance(labels, dict) else {axis}
            if key in varied:
                raise DataError(f"{key}: the axis {axis} varies it, so --set cannot fix it.")
        settings = {k: v for k, v in settings.items() if not k.startswith(f"{key}.")}
        if key.startswith("trainer.") and key.removeprefix("trainer.") in budget:
            budget[key.removeprefix("trainer.")] = value
        else:
            settings[key] = value
    return content | {"set": settings, "budget": budget}


def parse(content: Mapping[str, Any], folder: Path) -> Spec:
    """Check the content of a sweep file.

    Args:
        content: content of the file.
        folder: folder that its paths are relative to.

    Raises:
        DataError: naming the key that is wrong.
    """
    for key in content:
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise DataError(f"'{key}' is not a key of a sweep{hint} ({', '.join(KEYS)})")
    name = content.get("name")
    if not isinstance(name, str) or not name or set(name) & set("/\\") or name.startswith("."):
        raise DataError(f"name: it must be a name for the sweep and its folder, not {name!r}.")
    base = content.get("base") or []
    spec = Spec(
        name=name,
        base=tuple(check_base(folder / file) for file in ([base] if isinstance(base, str) else strings(content, "base"))),
        set=check_settings(mapping(content, "set"), "set"),
        axes={label(axis): entries(label(axis), value) for axis, value in mapping(content, "axes").items()},
        seeds=check_seeds(content.get("seeds", [0])),
        budget=mapping(content, "budget"),
        baseline={label(k): label(v) for k, v in mapping(content, "baseline").items()},
        metrics=tuple(strings(content, "metrics")) or ("test/recall@10", "test/ndcg@10"),
        exclude=tuple({label(k): label(v) for k, v in part.items()} for part in mappings(content, "exclude")),
        search=parse_search(content.get("search")),
    )
    check_consistency(spec)
    return spec


def check_consistency(spec: Spec) -> None:
    """Check that the keys of a sweep do not contradict each other.

    Args:
        spec: the sweep.

    Raises:
        DataError: naming the key that contradicts another.
    """
    check_settings({f"trainer.{key}": value for key, value in spec.budget.items()}, "budget")
    for key in spec.budget:
        if f"trainer.{key}" in spec.set:
            raise DataError(f"budget.{key}: set gives trainer.{key} too; give it once.")
    owner: dict[str, str] = {}
    for axis, labels in spec.axes.items():
        for key in {key for entry in labels.values() for key in entry}:
            if owner.setdefault(key, axis) != axis:
                raise DataError(f"axes.{axis}: the axis {owner[key]} sets {key} too.")
    named = [("baseline", spec.baseline), *(("exclude", part) for part in spec.exclude)]
    if spec.search:
        spec.search.check_owners(owner | {f"trainer.{key}": "budget" for key in spec.budget})
        named += [("search.extra", labels) for labels, _ in spec.search.extra]
    for where, part in named:
        for axis, chosen in part.items():
            if axis not in spec.axes:
                raise DataError(f"{where}.{axis}: there is no such axis; the axes are {', '.join(spec.axes) or 'none'}.")
            if chosen not in spec.axes[axis]:
                raise DataError(f"{where}.{axis}: '{chosen}' is not one of its labels, which are {', '.join(spec.axes[axis])}.")
    if not all(spec.exclude):
        raise DataError("exclude: an entry names no axis, so it would exclude everything.")
    combinations = spec.combinations
    if not combinations:
        raise DataError("exclude: nothing is left to run.")
    matches = [labels for labels in combinations if spec.baseline.items() <= labels.items()]
    if spec.baseline and len(matches) != 1:
        raise DataError(f"baseline: it must match one combination that is run, a label per axis; it matches {len(matches)}.")


def check_base(file: Path) -> Path:
    """Check a base config.

    Args:
        file: the config.

    Returns:
        Its absolute path.

    Raises:
        DataError: the config cannot be read, or sets something that all trials would share.
    """
    try:
        content = load(file)
    except DataError as err:
        raise DataError(f"base: {err}") from err
    shared = {
        "ckpt_path": content.get("ckpt_path"),
        "checkpoint.dirpath": isinstance(content.get("checkpoint"), dict) and content["checkpoint"].get("dirpath"),
        "test_after_fit": content.get("test_after_fit", True) is not True,
    }
    if present := [key for key, is_set in shared.items() if is_set]:
        raise DataError(f"base: {file} sets {', '.join(present)}, which all trials would share; remove it.")
    return file.resolve()
