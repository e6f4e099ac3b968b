"""Print the results: one function per section."""

import argparse
import math
from collections.abc import Callable, Iterable, Sequence

from rich.table import Table

from benchmarks.drift.momentum import MOMENTA
from benchmarks.drift.planted import KINDS, MOVED, VISITS, Values
from benchmarks.harness.tables import make_console, make_table
from interestlab.stats.intervals import t_interval

GOALS = """power >= .65 at n = 20 and >= .99 at 50, false positives within .02 to .08; AUROC of migration >= .98 and of
evolution >= .88 at 50; source and destination >= .90 at 50; F1 >= .90 at L = 100"""
SETTINGS = [(visit, moved) for visit in VISITS for moved in MOVED]
"""Visit and reading of the logs."""
SCORES = {
    "|M|": ("null", "evolve"),
    "M excess": ("null", "evolve"),
    "tv": ("null", "evolve"),
    "|E|": ("null", "migrate"),
    "E excess": ("null", "migrate"),
    "-p entropy": ("null", "migrate"),
    "-p depth": ("null", "migrate"),
}
"""Kinds of users that a score is compared against."""


def print_results(options: argparse.Namespace, values: Values) -> None:
    """Print the tables of the sections of ``--only``."""
    console = make_console()
    console.print(f"goals: {GOALS}\n")
    for section, tables in TABLES.items():
        if section in options.only:
            for table in tables(options, values):
                console.print(table)


def migration_tables(options: argparse.Namespace, values: Values) -> Iterable[Table]:
    """Return the shares of users who are called, per kind of user."""
    names = ("tv", "js", "span", "tv, events", "span, events")
    titles = ("power, of migrators", "false positives, of null users", "of evolvers")
    for kind, title in zip(KINDS, titles, strict=True):
        rows = rows_by_window(options, values, "migration", names, kind)
        yield make_table(f"share with p <= .05: {title}", ["", "n", *names], rows, text_columns=2)


def where_tables(options: argparse.Namespace, values: Values) -> Iterable[Table]:
    """Return the shares of migrators whose source and destination are right."""
    names = ("source", "destination", "both", "both, p <= .05")
    rows = rows_by_window(options, values, "where", names)
    yield make_table("right source and destination, of migrators", ["", "n", *names], rows, text_columns=2)


def rank_tables(options: argparse.Namespace, values: Values) -> Iterable[Table]:
    """Return AUROC and the tests of evolution, per kind of item vectors."""
    windows = [f"n = {n}" for n in options.events]
    for vectors in options.vectors:
        rows = []
        for score, other in ((score, other) for score, others in SCORES.items() for other in others):
            for visit, moved in SETTINGS:
                keys = [("rank", visit, moved, n, vectors, score, other) for n in options.events]
                if keys[0] in values:
                    name, setting = f"{score} vs {other}", f"visit {visit}, {moved}"
                    rows.append([name, setting, *(format_values(values.get(key)) for key in keys)])
        yield make_table(f"AUROC, vectors {vectors}", ["score", "", *windows], rows, text_columns=2)
        rows = []
        for name in ("evolution", "displacement", "entropy", "depth"):
            for kind in ("evolve", "null", "migrate"):
                for visit in VISITS:
                    keys = [("evolution", visit, "all", n, vectors, kind, name) for n in options.events]
                    rows.append([f"{name}, {kind}", f"visit {visit}", *(format_values(values.get(key)) for key in keys)])
        title = f"evolution, share with p <= .05, vectors {vectors}"
        yield make_table(title, ["test, users", "", *windows], rows, text_columns=2)


def change_tables(options: argparse.Namespace, values: Values) -> Iterable[Table]:
    """Return hits, false alarms and delays of the change-points."""
    names = ("F1", "hits", "null users alarmed", "off by", "seen", "delay", "alarmed too early")
    forms = {"off by": ".1f", "delay": ".1f"}
    rows = []
    for moved in MOVED:
        for method in ("scan", "scan, q", "PELT, penalty ln L", "online"):
            for length in options.lengths:
                keys = {name: ("changes", 1, moved, length, method, name) for name in names}
                cells = [format_values(values.get(key), forms.get(name, ".3f")) for name, key in keys.items()]
                rows.append([f"{moved}, {method}", str(length), *cells])
    yield make_table("change-points", ["", "L", *names], rows, text_columns=2)


def momentum_tables(options: argparse.Namespace, values: Values) -> Iterable[Table]:
    """Return the estimates of momentum."""
    names = ("alpha", "alpha width", "alpha covered", "beta", "beta width", "beta covered", "p <= .05", "refused")
    rows = [
        [str(alpha), str(beta), *(format_values(values.get(("momentum", alpha, beta, name))) for name in names)]
        for alpha, beta in MOMENTA
    ]
    title = f"momentum, {options.repeats} logs each"
    yield make_table(title, ["true alpha", "true beta", *names], rows, text_columns=2)


def evidence_tables(options: argparse.Namespace, values: Values) -> Iterable[Table]:
    """Return predicted and measured power."""
    counts = ("interests", "effective", "needed")
    names = (*counts, "predicted", "measured", "answered", "measured, answered", "false, answered")
    forms = dict.fromkeys(counts, ".1f")
    rows = rows_by_window(options, values, "evidence", names, forms=forms)
    yield make_table("evidence, of migrators", ["", "n", *names], rows, text_columns=2)


TABLES: dict[str, Callable[[argparse.Namespace, Values], Iterable[Table]]] = {
    "migration": migration_tables,
    "where": where_tables,
    "rank": rank_tables,
    "changes": change_tables,
    "momentum": momentum_tables,
    "evidence": evidence_tables,
}
"""Tables of each section, in the order in which they are printed."""


def rows_by_window(
    options: argparse.Namespace,
    values: Values,
    section: str,
    names: Sequence[str],
    *kind: str,
    forms: dict[str, str] | None = None,
) -> list[list[str]]:
    """Return one row per setting and size of the windows, and one column per name.

    Args:
        options: the command line.
        values: the measurements.
        section: section of the measurements.
        names: the columns.
        kind: kind of the users, if the section measures each kind.
        forms: formats of columns; default: three decimals.
    """
    rows = []
    for visit, moved in SETTINGS:
        for n in options.events:
            keys = {name: (section, visit, moved, n, *kind, name) for name in names}
            cells = [format_values(values.get(key), (forms or {}).get(name, ".3f")) for name, key in keys.items()]
            rows.append([f"visit {visit}, {moved}", str(n), *cells])
    return rows


def format_values(values: Sequence[float] | None, form: str = ".3f") -> str:
    """Return the mean ± half the width of its 95% interval over the seeds that have a value; a dash without any."""
    known = [value for value in values or [] if not math.isnan(value)]
    if not known:
        return "–"
    estimate = t_interval(known)
    return f"{estimate.mean:{form}}" + ("" if estimate.half_width is None else f" ± {estimate.half_width:{form}}")
