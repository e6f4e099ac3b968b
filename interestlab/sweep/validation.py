"""Check the settings of a sweep with the parser of ``interestlab fit``, before anything runs."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jsonargparse import Namespace

from interestlab.config.parser import CommandParser
from interestlab.errors import DataError, PluginError
from interestlab.sweep.search.space import Choices, space_settings
from interestlab.sweep.spec import Spec
from interestlab.sweep.trials import Trial
from interestlab.training.fit import fit_parser
from interestlab.training.recipe_arguments import add_recipe, choose_recipe, recipe_errors


def check_trials(trials: Sequence[Trial], metrics: Sequence[str]) -> None:
    """Parse the settings of each distinct combination; no plugin is built, and no data is read.

    Args:
        trials: trials of the sweep.
        metrics: names of the metrics that the sweep compares.

    Raises:
        DataError: an option is unknown, a value does not fit, or no trial would measure a metric.
    """
    parser = fit_parser()
    for trial in {tuple(trial.labels.items()): trial for trial in trials}.values():
        config = parse(parser, trial)
        if isinstance(config, str):
            raise DataError(f"{culprit(parser, trial, config)}: {config}")
        for metric in metrics:
            k = re.fullmatch(r".*@(\d+)", metric)
            if k and int(k[1]) not in config.model.ks:
                raise DataError(f"metrics.{metric}: it is not measured; model.ks is {config.model.ks}.")


def search_probes(spec: Spec) -> list[Trial]:
    """Return trials that are parsed but not run: one per combination, and one per choice or end of a range of the search.

    Args:
        spec: a sweep with a search.
    """
    assert spec.search
    probes, seen = [], set[str]()
    for labels in spec.combinations:
        space = spec.search.space_of(labels)
        ends = {name: list(e.settings) if isinstance(e, Choices) else [e.low, e.high] for name, e in space.items()}
        first = {name: values[0] for name, values in ends.items()}
        points = [first] + [first | {name: value} for name in space if name not in seen for value in ends[name][1:]]
        seen |= space.keys()
        for number, point in enumerate(points):
            settings = spec.settings(labels) | space_settings(space, point)
            named = labels if number == 0 else {**labels, "search": str(number)}
            probes.append(Trial("probe", spec.name, named, spec.seeds[0], spec.base, settings))
    return probes


def parse(parser: CommandParser, trial: Trial) -> Namespace | str:
    """Parse the settings of a trial.

    Args:
        parser: parser of ``interestlab fit``.
        trial: one of the sweep.

    Returns:
        The config, or an error message.
    """
    arguments = trial.arguments(Path(trial.id))
    try:
        recipe = choose_recipe(arguments)
        with recipe_errors(parser, recipe):
            return parser.parse_args(add_recipe(arguments, recipe))
    except (DataError, PluginError) as err:
        return str(err)[:500]


def culprit(parser: CommandParser, trial: Trial, error: str) -> str:
    """Return the setting that causes an error, which the parser does not always name; failing that, the trial's labels.

    Args:
        parser: parser of ``interestlab fit``.
        trial: one with an error.
        error: its message.
    """
    candidate = None
    for key, value in trial.settings.items():
        others = {k: v for k, v in trial.settings.items() if k != key}
        without = parse(parser, replace(trial, settings=others))
        if not isinstance(without, str):
            return key
        if without != error and str(value) in error:  # a required setting with a wrong value
            candidate = key
    return candidate or ", ".join(f"{axis}={label}" for axis, label in trial.labels.items()) or "all trials"
