"""``interestlab drift``: how the interests of a log's users moved and deepened, as tables and a page."""

import re
from datetime import datetime
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from interestlab.cli.data import only
from interestlab.config import plugin_names
from interestlab.config.one_line_errors import told_in_one_line
from interestlab.config.parser import OneLineParser
from interestlab.contract import Encoder
from interestlab.data.datamodule import InterestData
from interestlab.drift.analysis import Analysis, analyse
from interestlab.drift.interests import build_interests
from interestlab.drift.model.trajectory import ModelView
from interestlab.drift.session_log import SessionLog, build_session_log
from interestlab.drift.settings import Settings
from interestlab.drift.vectors import cooccurrence_vectors, encode_items, reduce_dimensions
from interestlab.errors import DataError
from interestlab.inference.load import load

ABOUT = """Measure how interests moved (migration) and deepened (evolution): of the log of a config, or of a RUN, whose model
then gives its own view too. `interestlab drift forecast RUN...` measures how well runs foresee it."""

ENCODER = (
    "a frozen encoder of one field, such as item.title or event.text, which says which items are near each other; by default "
    "whether the same users meet them"
)


def run(args: list[str]) -> None:
    """Analyse a log or a run, or measure the forecasts of runs."""
    plugin_names.install()
    with told_in_one_line():
        if args[1:2] == ["forecast"]:
            from interestlab.cli.forecast import forecasts

            forecasts(args[2:])
        elif len(args) > 1 and not args[1].startswith("-"):
            of_run(Path(args[1]), args[2:])
        else:
            of_log(args[1:])


def parser() -> OneLineParser:
    """The options that a log and a run share."""
    made = OneLineParser("interestlab drift [RUN]", description=ABOUT)
    made.add_argument("-c", "--config", action="config", help="a config; its data, encoder and drift are read")
    made.add_argument("--out", type=Path | None, help="folder to write; default RUN/drift, or runs/TIME-drift")
    made.add_argument("--encoder", type=Encoder | None, help=f"{ENCODER}; of a run, by default its own model")
    made.add_class_arguments(Settings, "drift")
    return made


def of_log(args: list[str]) -> None:
    """Analyse a log by itself."""
    made = parser()
    made.add_class_arguments(InterestData, "data")
    told = made.instantiate(made.parse_args(plugin_names.ordered(only(args, "data", "drift", "encoder"))))
    report(told.data, told.drift, told.encoder, None, told.out or now("drift"))


def of_run(folder: Path, args: list[str]) -> None:
    """Analyse the log of a run, and what its model says of it."""
    moved, others = overrides(args)
    made = parser()
    told = made.instantiate(made.parse_args(plugin_names.ordered(only(others, "drift", "encoder"))))
    held = load(folder, overrides=moved)
    report(held.data, told.drift, told.encoder, ModelView.from_model(held.model, held.data), told.out or folder / "drift")


def overrides(args: list[str]) -> tuple[list[str], list[str]]:
    """The options of the data, each as ``--data.a=b`` however it was typed, and all other arguments.

    Raises:
        DataError: one has no value.
    """
    data, others, it = [], [], iter(args)
    for arg in it:
        if not arg.startswith("--data."):
            others.append(arg)
            continue
        value = None if "=" in arg else next(it, "--")
        if value is not None and re.match("-[-A-Za-z]", value):
            raise DataError(f"{arg} needs a value: {arg}=VALUE.")
        data.append(arg if value is None else f"{arg}={value}")
    return data, others


def now(name: str) -> Path:
    """The folder that is written where none is named."""
    return Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-{name}"


def unused(out: Path) -> None:
    """Check that a folder to write holds nothing of another command.

    Raises:
        DataError: it holds a run or a sweep.
    """
    for file, held in {"config.yaml": "run", "sweep.yaml": "sweep"}.items():
        if (out / file).exists():
            raise DataError(f"{out} holds a {held}; give another --out.")


def report(data: InterestData, settings: Settings, encoder: Encoder | None, seen: ModelView | None, out: Path) -> None:
    """Analyse, write the tables and the page, and say what was found."""
    from interestlab.drift.report import write_report

    unused(out)
    whole = build_session_log(data.log, settings.session_gap)
    if seen is not None and encoder is None:
        vectors, kept = reduce_dimensions(seen.catalogue.float().numpy())
    else:
        vectors, kept = vectors_of(data, whole, settings, encoder)
    found = analyse(data.log, build_interests(whole, vectors, settings), settings, data.fingerprint, seen)
    found.write(out)
    tell(found, kept)
    print(f"tables and report: {write_report(out)}")


def vectors_of(data: InterestData, whole: SessionLog, settings: Settings, encoder: Encoder | None) -> tuple[np.ndarray, float]:
    """``[I, D]`` where items lie by an encoder, or else by who meets them; and the share of the variance that is kept."""
    if encoder is None:
        return reduce_dimensions(cooccurrence_vectors(whole, settings.column, seed=settings.seed))
    return reduce_dimensions(encode_items(data, whole, encoder))


def tell(found: Analysis, kept: float) -> None:
    """Print what was found, and what cannot be said."""
    meta, people = found.meta, found.tables["users"]
    table = Table("verdict", "users", "median events", title=f"{meta['source']}, {meta['interests']}")
    for (verdict,), part in sorted(people.group_by("verdict"), key=lambda pair: -pair[1].height):
        table.add_row(str(verdict), f"{part.height:,}", f"{np.median(part['events'].to_numpy()):.0f}")
    console = Console()
    console.print(table)
    console.print(
        f"false discoveries among the changes: at most {meta['level']:.0%} expected; {meta['permutations']} permutations, seed "
        f"{meta['seed']}; the vectors keep {kept:.0%} of their variance"
    )
    for note in meta["notes"]:
        console.print(f"[yellow]note:[/] {note}")
