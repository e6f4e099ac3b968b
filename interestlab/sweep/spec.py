"""A sweep file: read, and checked as far as it can be without the command line that its settings are for."""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import get_loader

from interestlab.errors import DataError

KEYS = ("name", "base", "set", "axes", "seeds", "budget", "baseline", "metrics", "exclude")
"""What a sweep file may say."""

RESERVED = (
    "config",
    "run_dir",
    "run_name",
    "seed_everything",
    "ckpt_path",
    "test_after_fit",
    "checkpoint.dirpath",
    "checkpoint.filename",
    "print_config",
    "help",
)
"""Options of ``fit`` that the sweep itself gives, or without which a trial measures nothing."""

Settings = dict[str, Any]
"""Options of ``interestlab fit`` without their dashes, and their values."""


@dataclass(frozen=True)
class Spec:
    """What is run, and what the report compares.

    Attributes:
        name: of the sweep.
        base: config files, of which a later one wins.
        set: settings of all trials.
        axes: the settings of each label of each axis; they win over ``set``.
        seeds: of each combination of labels.
        budget: settings of ``--trainer`` that are the same for all.
        baseline: labels of the combination that the others are compared with; empty for none.
        metrics: that are compared.
        exclude: combinations that are not run, named by some of their labels.
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

    @property
    def combinations(self) -> list[dict[str, str]]:
        """A label of each axis, in all ways that are not excluded."""
        every = (dict(zip(self.axes, labels, strict=True)) for labels in product(*self.axes.values()))
        return [labels for labels in every if not any(part.items() <= labels.items() for part in self.exclude)]

    def settings(self, labels: Mapping[str, str]) -> Settings:
        """All settings of one combination."""
        settings = self.set | {f"trainer.{key}": value for key, value in self.budget.items()}
        for axis, label in labels.items():
            settings |= self.axes[axis][label]
        return settings

    def dump(self) -> str:
        """A sweep file that says the same from any folder."""
        told = {key: getattr(self, key) for key in KEYS} | {"base": [str(file) for file in self.base]}
        plain = json.loads(json.dumps(told))  # tuples and mappings of any kind as YAML has them
        return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)


def read(file: Path, overrides: Settings | None = None, seeds: Sequence[int] | None = None) -> Spec:
    """Read a sweep file.

    Args:
        file: the sweep file.
        overrides: settings that win over those of the file.
        seeds: in the place of the file's.

    Raises:
        DataError: what is wrong, with the file and the key.
    """
    told = load(file)
    try:
        return parsed(overridden(told, overrides or {}, seeds), file.parent)
    except DataError as err:
        raise DataError(f"{file}: {err}") from err


def load(file: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping, and says nothing twice: YAML would keep the last in silence."""
    try:
        text = file.read_text("utf-8")
        refuse_twins(yaml.compose(text, Loader=yaml.SafeLoader))
        told = get_loader("yaml")(text)  # which reads 1e-3 as a number, as the configs of `fit` are read
    except (OSError, UnicodeDecodeError, yaml.YAMLError, DataError) as err:
        raise DataError(f"{file} cannot be read: {' '.join(str(err).split())}") from err
    if not isinstance(told, dict):
        raise DataError(f"{file} must be a mapping.")
    return told


def refuse_twins(node: yaml.Node | None) -> None:
    """Refuse a mapping with the same key twice, however deep."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise DataError(f"line {key.start_mark.line + 1}: '{key.value}' is there twice.")
            seen.add(key.value)
            refuse_twins(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            refuse_twins(value)


def overridden(told: dict[str, Any], overrides: Settings, seeds: Sequence[int] | None) -> dict[str, Any]:
    """What a file says, and over it what was typed. A part that is typed drops the arguments that the file gives it."""
    told = told | ({} if seeds is None else {"seeds": list(seeds)})
    settings, budget = dict(mapping(told, "set")), dict(mapping(told, "budget"))
    for key, value in overrides.items():
        for axis, entries in mapping(told, "axes").items():
            varied = {k for entry in entries.values() for k in entry or ()} if isinstance(entries, dict) else {axis}
            if key in varied:
                raise DataError(f"{key}: it is varied by the axis {axis}, so --set cannot fix it.")
        settings = {k: v for k, v in settings.items() if not k.startswith(f"{key}.")}
        if key.startswith("trainer.") and key.removeprefix("trainer.") in budget:
            budget[key.removeprefix("trainer.")] = value
        else:
            settings[key] = value
    return told | {"set": settings, "budget": budget}


def parsed(told: Mapping[str, Any], folder: Path) -> Spec:
    """A spec of what a file says; its paths are relative to its ``folder``."""
    for key in told:
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, n=1)
            raise DataError(f"'{key}' is no key of a sweep{f'; did you mean {near[0]}' if near else ''}? ({', '.join(KEYS)})")
    name = told.get("name")
    if not isinstance(name, str) or not name or set(name) & set("/\\") or name.startswith("."):
        raise DataError(f"name: a name for the sweep and its folder is needed, not {name!r}.")
    base = told.get("base") or []
    spec = Spec(
        name=name,
        base=tuple(existing(folder / file) for file in ([base] if isinstance(base, str) else strings(told, "base"))),
        set=settings(mapping(told, "set"), "set"),
        axes={label(axis): entries(label(axis), value) for axis, value in mapping(told, "axes").items()},
        seeds=seeds_of(told.get("seeds", [0])),
        budget=mapping(told, "budget"),
        baseline={label(k): label(v) for k, v in mapping(told, "baseline").items()},
        metrics=tuple(strings(told, "metrics")) or ("test/recall@10", "test/ndcg@10"),
        exclude=tuple({label(k): label(v) for k, v in part.items()} for part in mappings(told, "exclude")),
    )
    agree(spec)
    return spec


def agree(spec: Spec) -> None:
    """Refuse what contradicts itself."""
    settings({f"trainer.{key}": value for key, value in spec.budget.items()}, "budget")
    for key in spec.budget:
        if f"trainer.{key}" in spec.set:
            raise DataError(f"budget.{key}: set says trainer.{key} too; say it once.")
    owner: dict[str, str] = {}
    for axis, labels in spec.axes.items():
        for key in {key for entry in labels.values() for key in entry}:
            if owner.setdefault(key, axis) != axis:
                raise DataError(f"axes.{axis}: {key} is set by the axis {owner[key]} too.")
    for where, part in [("baseline", spec.baseline), *(("exclude", part) for part in spec.exclude)]:
        for axis, chosen in part.items():
            if axis not in spec.axes:
                raise DataError(f"{where}.{axis}: there is no such axis; the axes are {', '.join(spec.axes) or 'none'}.")
            if chosen not in spec.axes[axis]:
                raise DataError(f"{where}.{axis}: '{chosen}' is no label of it; it has {', '.join(spec.axes[axis])}.")
    if not all(spec.exclude):
        raise DataError("exclude: an entry names no axis, so it would leave out everything.")
    left = spec.combinations
    if not left:
        raise DataError("exclude: nothing is left to run.")
    alike = [labels for labels in left if spec.baseline.items() <= labels.items()]
    if spec.baseline and len(alike) != 1:
        raise DataError(f"baseline: it must be one combination that is run, a label of each axis; {len(alike)} are like it.")


def label(value: Any) -> str:
    """How a value of an axis is called."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def entries(axis: str, value: Any) -> dict[str, Settings]:
    """The settings of each label of an axis: a list of values of one option, or a mapping of labels to settings."""
    where = f"axes.{axis}"
    if not isinstance(value, list | dict):
        raise DataError(f"{where}: it must be a list of values, or a mapping of labels to settings.")
    if not value:
        raise DataError(f"{where}: it is empty.")
    pairs = [(one, {axis: one}) for one in value] if isinstance(value, list) else list(value.items())
    made: dict[str, Settings] = {}
    for name, entry in pairs:
        if label(name) in made:
            raise DataError(f"{where}: '{label(name)}' is there twice.")
        if not isinstance(entry, dict | None):
            raise DataError(f"{where}.{label(name)}: it must be a mapping of settings, not {entry!r}.")
        made[label(name)] = settings(entry or {}, f"{where}.{label(name)}")
    return made


def settings(told: Mapping[Any, Any], where: str) -> Settings:
    """Settings, none of which is the sweep's own."""
    for key in told:
        if not isinstance(key, str) or key.startswith("-"):
            raise DataError(f"{where}: {key!r} must be an option of `interestlab fit` without its dashes.")
        if key in RESERVED:
            raise DataError(f"{where}.{key}: the sweep itself gives --{key} to each trial.")
    return dict(told)


def existing(file: Path) -> Path:
    """A base config that can be read, by its whole path."""
    try:
        told = load(file)
    except DataError as err:
        raise DataError(f"base: {err}") from err
    shared = {
        "ckpt_path": told.get("ckpt_path"),
        "checkpoint.dirpath": isinstance(told.get("checkpoint"), dict) and told["checkpoint"].get("dirpath"),
        "test_after_fit": told.get("test_after_fit", True) is not True,
    }
    if taken := [key for key, said in shared.items() if said]:
        raise DataError(f"base: {file} says {', '.join(taken)}, which would be one for all trials.")
    return file.resolve()


def seeds_of(told: Any) -> tuple[int, ...]:
    """Seeds: different whole numbers."""
    if not isinstance(told, list) or not told or not all(type(seed) is int and seed >= 0 for seed in told):
        raise DataError(f"seeds: they must be a list of whole numbers from 0, not {told!r}.")
    if len(set(told)) < len(told):
        raise DataError(f"seeds: one of {told} is there twice.")
    return tuple(told)


def mapping(told: Mapping[str, Any], key: str) -> dict[Any, Any]:
    """The mapping under a key, empty where there is none."""
    value = told.get(key)
    if not isinstance(value, dict | None):
        raise DataError(f"{key}: it must be a mapping, not {value!r}.")
    return value or {}


def mappings(told: Mapping[str, Any], key: str) -> list[dict[Any, Any]]:
    """The list of mappings under a key, empty where there is none."""
    value = told.get(key) or []
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        raise DataError(f"{key}: it must be a list of mappings, not {value!r}.")
    return value


def strings(told: Mapping[str, Any], key: str) -> list[str]:
    """The list of names under a key, empty where there is none."""
    value = told.get(key) or []
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value) or len(set(value)) < len(value):
        raise DataError(f"{key}: it must be a list of different names, not {value!r}.")
    return value
