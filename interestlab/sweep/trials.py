"""The trials of a sweep: each combination of labels with each seed."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from interestlab.config.arguments import from_settings
from interestlab.errors import DataError, PluginError
from interestlab.sweep.spec import Spec, load
from interestlab.sweep.spec_values import Settings
from interestlab.training.recipe_arguments import choose_recipe


@dataclass(frozen=True)
class Trial:
    """One run of ``interestlab fit`` in a sweep.

    Attributes:
        id: name of the trial, which is the same as long as its settings are the same.
        sweep: name of the sweep.
        labels: label of each axis.
        seed: seed of the run; ``data.seed`` equals it unless a setting fixes it.
        base: config files.
        settings: options of ``fit`` that win over the config files.
    """

    id: str
    sweep: str
    labels: Mapping[str, str]
    seed: int
    base: tuple[Path, ...]
    settings: Settings
    job_type: ClassVar[str] = "trial"

    @property
    def fit_settings(self) -> Settings:
        """Return all options of the fit, apart from its folder."""
        # In a log file, a progress bar is one line per step.
        return {"trainer.enable_progress_bar": False} | self.settings | {"seed_everything": self.seed}

    def arguments(self, run_dir: Path) -> list[str]:
        """Return the options of ``interestlab fit`` that run the trial from the command line.

        Args:
            run_dir: folder of its run.
        """
        return from_settings(self.fit_settings | {"run_dir": str(run_dir)}, self.base)


def expand(spec: Spec, chosen: Sequence[tuple[Mapping[str, str], Settings]] | None = None) -> list[Trial]:
    """Return all trials of a sweep.

    The first seed of every combination comes first, so that a sweep that is stopped early compares all of them.

    Args:
        spec: the sweep.
        chosen: combinations and the settings that a search chose for them; by default all combinations, without a search.
    """
    combinations = []
    for labels, searched in [(labels, {}) for labels in spec.combinations] if chosen is None else chosen:
        settings = spec.settings(labels) | searched
        combinations.append((readable_name(spec, labels), settings_digest(spec, labels, settings), labels, settings))
    return [
        Trial(f"{name}-seed{seed}-{digest}", spec.name, labels, seed, spec.base, settings)
        for seed in spec.seeds
        for name, digest, labels, settings in combinations
    ]


def settings_digest(spec: Spec, labels: Mapping[str, str], settings: Settings, *other: Any) -> str:
    """Return eight digits that change with the settings of a combination, the files they name, and its recipe.

    Args:
        spec: the sweep.
        labels: label of each axis.
        settings: options of ``fit`` that win over the config files.
        *other: plain values that change it too.
    """
    base = [with_files(load(file), file.parent) for file in spec.base]
    recipe = recipe_content(from_settings(settings, spec.base))
    content = json.dumps([labels, base, with_files(settings, Path()), *recipe, *other], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:8]


def recipe_content(arguments: list[str]) -> list[dict[str, Any]]:
    """Return a list with the content of a trial's recipe, so that a changed recipe is another trial; empty without a recipe.

    Args:
        arguments: options of ``fit``.
    """
    try:
        recipe = choose_recipe(arguments)
    except (DataError, PluginError):
        return []  # the check of the settings reports it
    return [recipe.content] if recipe else []


def find_trial(trials: Sequence[Trial], name: str) -> Trial:
    """Return the trial with an id.

    Args:
        trials: trials of the sweep.
        name: the id.

    Raises:
        DataError: no trial has this id.
    """
    match = next((trial for trial in trials if trial.id == name), None)
    if match is None:
        raise DataError(f"the sweep has no trial '{name}'; --dry_run lists them.")
    return match


def readable_name(spec: Spec, labels: Mapping[str, str]) -> str:
    """Return labels as the beginning of a file name; a plain value follows the last part of its option's name.

    Args:
        spec: the sweep.
        labels: label of each axis.
    """
    parts = []
    for axis in sorted(labels):
        is_plain = all(entry.keys() == {axis} for entry in spec.axes[axis].values())
        parts.append(slug(f"{axis.rpartition('.')[2]}-{labels[axis]}" if is_plain else labels[axis]))
    return "-".join(parts)[:120] or "all"


def slug(text: str) -> str:
    """Return a text as a part of a file name.

    Args:
        text: any text.
    """
    return re.sub(r"[^\w.]+", "-", text, flags=re.ASCII).strip("-.")[:40] or "x"


def with_files(value: Any, folder: Path) -> Any:
    """Return a setting with the content of the YAML files that it names, so that a changed file is another setting.

    Args:
        value: the setting.
        folder: folder that the names are relative to.
    """
    if isinstance(value, dict):
        return {key: with_files(inner, folder) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_files(inner, folder) for inner in value]
    if isinstance(value, str) and value.endswith((".yaml", ".yml")) and (folder / value).is_file():
        return with_files(load(folder / value), (folder / value).parent)
    return value
