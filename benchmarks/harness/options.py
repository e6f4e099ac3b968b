"""Command-line options that several benchmarks share, and their checks."""

import argparse
from types import ModuleType

from benchmarks.harness.timing import CLOCKS


def make_parser(benchmark: ModuleType, *parents: argparse.ArgumentParser, name: str | None = None) -> argparse.ArgumentParser:
    """Return a parser whose help is the docstring of the benchmark.

    Args:
        benchmark: its package or module; the docstring begins with one line on what it does.
        parents: parsers whose options are added.
        name: its name after ``python -m``; default: that of the module.
    """
    summary, _, details = (benchmark.__doc__ or "").partition("\n\n")
    return argparse.ArgumentParser(
        prog=f"python -m {name or benchmark.__name__}",
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=parents,
        allow_abbrev=False,
    )


def add_log_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose an event log: two files, or the size of a simulated log."""
    parser.add_argument("--interactions", help="events, in a file that the source `files` reads; default: a simulated log")
    parser.add_argument("--items", help="items with titles, in a file that the source `files` reads")
    parser.add_argument("--users", type=int, default=4_000, help="users of the simulated log")
    parser.add_argument("--catalogue", type=int, default=4_000, help="items of the simulated log")


def add_clock_option(parser: argparse.ArgumentParser, default: str = "wall") -> None:
    """Add ``--clock``."""
    help_text = "processor: count processor time; for one thread on a machine that does other work"
    parser.add_argument("--clock", choices=CLOCKS, default=default, help=help_text)


def check_log_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Stop with a usage error if ``--items`` comes without ``--interactions``."""
    if options.items and not options.interactions:
        parser.error("--items needs --interactions")


def check_clock_option(parser: argparse.ArgumentParser, options: argparse.Namespace, threads: int, gpu: bool) -> None:
    """Stop with a usage error if processor time would not measure the work.

    Args:
        parser: reports the error.
        options: the parsed options.
        threads: number of CPU threads; a waiting thread uses processor time too.
        gpu: whether the work runs on a GPU, whose time a processor clock does not count.
    """
    if options.clock == "processor" and (threads > 1 or gpu):
        parser.error("--clock=processor needs one CPU thread and no GPU: waiting threads use processor time too")
