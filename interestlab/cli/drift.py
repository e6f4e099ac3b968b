"""Measure how interests migrated and evolved, in a log or in a run.

``interestlab drift`` analyses the log of ``--data`` options or of a config; ``interestlab drift RUN`` that of a run, together
with the view of the run's model.
"""

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from interestlab.config.arguments import extract
from interestlab.config.parser import CommandParser
from interestlab.contract import Encoder
from interestlab.data.datamodule import InterestData
from interestlab.drift.analysis import Analysis, analyse
from interestlab.drift.interests import build_interests
from interestlab.drift.item_vectors import ENCODER_HELP, item_vectors
from interestlab.drift.session_log import build_session_log
from interestlab.drift.settings import Settings
from interestlab.drift.vectors import reduce_dimensions
from interestlab.inference.load import load
from interestlab.inference.trajectory import ModelView
from interestlab.utils.output_folders import default_folder, refuse_used

DESCRIPTION = """Measure how interests moved (migration) and deepened (evolution): in the log of a config, or of a RUN, together
with the view of its model. `interestlab drift forecast RUN...` measures how well runs predict it."""


def run(args: list[str]) -> None:
    """Analyse a log or a run.

    Args:
        args: the options, after the folder of the run if there is one.
    """
    if args and not args[0].startswith("-"):
        analyse_run(Path(args[0]), args[1:])
    else:
        analyse_log(args)


def analyse_log(args: list[str]) -> None:
    """Analyse the log of ``--data`` options.

    Args:
        args: the options.
    """
    parser = drift_parser("data")
    parser.add_class_arguments(InterestData, "data")
    options = parser.instantiate(parser.parse_args(args))
    report(options.data, options.drift, options.encoder, None, options.out or default_folder("drift"))


def analyse_run(folder: Path, args: list[str]) -> None:
    """Analyse the log of a run, and its model's view of the log.

    Args:
        folder: folder of the run.
        args: the options; those of the data override the run's.
    """
    data, rest = extract(args, prefix="--data.")
    parser = drift_parser()
    options = parser.instantiate(parser.parse_args(rest))
    recommender = load(folder, overrides=[f"{option}={value}" for option, value in data])
    seen = ModelView.from_model(recommender.model, recommender.data)
    report(recommender.data, options.drift, options.encoder, seen, options.out or folder / "drift")


def drift_parser(*config_keys: str) -> CommandParser:
    """Return the parser of the options that a log and a run share.

    Args:
        config_keys: further keys of a config to read.
    """
    parser = CommandParser("interestlab drift [RUN]", description=DESCRIPTION, config_keys=("drift", "encoder", *config_keys))
    parser.add_argument("-c", "--config", action="config", help="a config file; only its data, encoder and drift keys are read")
    parser.add_argument("--out", type=Path | None, help="folder to write (default RUN/drift, or runs/TIME-drift)")
    parser.add_plugin_argument("--encoder", Encoder | None, f"{ENCODER_HELP}; for a run, by default its own model")
    parser.add_class_arguments(Settings, "drift")
    return parser


def report(data: InterestData, settings: Settings, encoder: Encoder | None, seen: ModelView | None, out: Path) -> None:
    """Analyse a log, write the tables and the page, and print a summary.

    Args:
        data: the log.
        settings: settings of the analysis.
        encoder: encoder of the items; None: the item vectors of the model, or vectors by which users interact with each item.
        seen: a trained model's view of the log; None without a model.
        out: folder to write.
    """
    from interestlab.drift.report import write_report

    refuse_used(out)
    events = build_session_log(data.log, settings.session_gap)
    if seen is not None and encoder is None:
        vectors, explained = reduce_dimensions(seen.catalogue.float().numpy())
    else:
        vectors, explained = item_vectors(data, events, settings, encoder)
    analysis = analyse(data.log, events, build_interests(events, vectors, settings), settings, data.fingerprint, seen)
    analysis.write(out)
    print_summary(analysis, explained)
    print(f"tables and report: {write_report(out)}")


def print_summary(analysis: Analysis, explained: float) -> None:
    """Print the counts of each verdict, and what cannot be answered.

    Args:
        analysis: the result.
        explained: share of the variance of the item vectors that their reduction retains.
    """
    meta, users = analysis.meta, analysis.tables["users"]
    table = Table("verdict", "users", "median events", title=f"{meta['source']}, {meta['interests']}")
    for (verdict,), part in sorted(users.group_by("verdict"), key=lambda pair: -pair[1].height):
        table.add_row(str(verdict), f"{part.height:,}", f"{np.median(part['events'].to_numpy()):.0f}")
    console = Console()
    console.print(table)
    console.print(
        f"false discoveries among the changes: at most {meta['significance_level']:.0%} expected; {meta['permutations']} "
        f"permutations, seed {meta['seed']}; the vectors retain {explained:.0%} of their variance"
    )
    for note in meta["notes"]:
        console.print(f"[yellow]note:[/] {note}")
