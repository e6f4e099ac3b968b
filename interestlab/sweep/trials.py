"""What a sweep runs: each combination of labels with each seed."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interestlab.errors import DataError
from interestlab.sweep.spec import Settings, Spec, load


@dataclass(frozen=True)
class Trial:
    """One ``interestlab fit``.

    Attributes:
        id: a name that is the same as long as what is run is the same.
        sweep: the sweep's name.
        labels: of each axis.
        seed: of the run; ``data.seed`` follows it where no setting fixes it.
        base: config files.
        settings: that win over them.
    """

    id: str
    sweep: str
    labels: Mapping[str, str]
    seed: int
    base: tuple[Path, ...]
    settings: Settings

    def arguments(self, run_dir: Path) -> list[str]:
        """The command line of ``interestlab``."""
        settings = {"trainer.enable_progress_bar": False} | self.settings  # in a file a bar is a line for each of its steps
        return [
            "fit",
            *(f"--config={file}" for file in self.base),
            *(f"--{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in settings.items()),
            f"--seed_everything={self.seed}",
            f"--run_dir={run_dir}",
        ]


def expand(spec: Spec) -> list[Trial]:
    """All trials of a sweep. The first seed of every combination comes first, so that one that is stopped compares them all."""
    base = [resolved(load(file), file.parent) for file in spec.base]
    named = []
    for labels in spec.combinations:
        settings = spec.settings(labels)
        told = json.dumps([labels, base, resolved(settings, Path())], sort_keys=True, ensure_ascii=False)
        named.append((words(spec, labels), hashlib.sha256(told.encode()).hexdigest()[:8], labels, settings))
    return [
        Trial(f"{name}-seed{seed}-{digest}", spec.name, labels, seed, spec.base, settings)
        for seed in spec.seeds
        for name, digest, labels, settings in named
    ]


def chosen(trials: Sequence[Trial], name: str) -> Trial:
    """The trial of that id.

    Raises:
        DataError: there is none.
    """
    found = next((trial for trial in trials if trial.id == name), None)
    if found is None:
        raise DataError(f"the sweep has no trial '{name}'; --dry_run lists them.")
    return found


def words(spec: Spec, labels: Mapping[str, str]) -> str:
    """The labels as the beginning of a file's name; a bare value has the end of its option before it."""
    parts = []
    for axis in sorted(labels):
        bare = all(entry.keys() == {axis} for entry in spec.axes[axis].values())
        parts.append(slug(f"{axis.rpartition('.')[2]}-{labels[axis]}" if bare else labels[axis]))
    return "-".join(parts)[:120] or "all"


def slug(text: str) -> str:
    """A text as a part of a file's name."""
    return re.sub(r"[^\w.]+", "-", text, flags=re.ASCII).strip("-.")[:40] or "x"


def resolved(value: Any, folder: Path) -> Any:
    """A setting with the files that it names in the place of their names, so that a changed file is another setting."""
    if isinstance(value, dict):
        return {key: resolved(inner, folder) for key, inner in value.items()}
    if isinstance(value, list):
        return [resolved(inner, folder) for inner in value]
    if isinstance(value, str) and value.endswith((".yaml", ".yml")) and (folder / value).is_file():
        return resolved(load(folder / value), (folder / value).parent)
    return value
