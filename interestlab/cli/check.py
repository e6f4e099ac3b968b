"""The settings of a sweep, read by the command line that they are for, before anything runs."""

import io
import re
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from lightning.pytorch.cli import ArgsType, LightningArgumentParser

from interestlab.cli import train
from interestlab.config import plugin_names
from interestlab.errors import DataError, PluginError
from interestlab.sweep.trials import Trial


class Parsing(train.InterestCLI):
    """The command line of ``interestlab fit``, which parses and runs nothing."""

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        self.config = {"subcommand": None}

    def _set_seed(self) -> None:
        """Nothing, like all that would follow the parsing."""

    def before_instantiate_classes(self) -> None:
        """Nothing."""

    def instantiate_classes(self) -> None:
        """Nothing."""


def check(trials: Sequence[Trial], metrics: Sequence[str]) -> None:
    """Parse the command line of each distinct combination; no plugin is built, and no data is read.

    Raises:
        DataError: an option that is not known, a value that does not fit, a metric that no trial would measure.
    """
    cli = train.run(["fit"], Parsing)
    cli._parser("fit").allow_abbrev = False  # else a mistyped option could be taken for another
    parser = cli.parser
    for trial in {tuple(trial.labels.items()): trial for trial in trials}.values():
        found = parse(parser, trial)
        if isinstance(found, str):
            raise DataError(f"{culprit(parser, trial, found)}: {found}")
        for metric in metrics:
            k = re.fullmatch(r".*@(\d+)", metric)
            if k and int(k[1]) not in found.fit.model.ks:
                raise DataError(f"metrics.{metric}: it is not measured; model.ks is {found.fit.model.ks}.")


def parse(parser: ArgumentParser, trial: Trial) -> Namespace | str:
    """The config of a trial, or what is wrong with it."""
    told = io.StringIO()
    try:
        with redirect_stderr(told):
            return parser.parse_args(plugin_names.ordered(trial.arguments(Path(trial.id))))
    except SystemExit:
        said = told.getvalue().partition(": ")[2].replace("fit.", "")  # options are told of as those of a subcommand
        return " ".join(said.split())[:500]
    except (DataError, PluginError) as err:
        return str(err)


def culprit(parser: ArgumentParser, trial: Trial, error: str) -> str:
    """The setting that an error is about, as the parser does not always name it; else the trial's labels."""
    told_of = None
    for key, value in trial.settings.items():
        rest = {k: v for k, v in trial.settings.items() if k != key}
        without = parse(parser, replace(trial, settings=rest))
        if not isinstance(without, str):
            return key
        if without != error and str(value) in error:  # one that is needed, with another value
            told_of = key
    return told_of or ", ".join(f"{axis}={label}" for axis, label in trial.labels.items()) or "all trials"
