"""Command-line options."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks import overhead
from benchmarks.harness.options import (
    add_clock_option,
    add_log_options,
    check_clock_option,
    check_log_options,
    make_parser,
)


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the checked options, and as ``run_arguments`` those arguments that concern a single run."""
    comparison = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    comparison.add_argument("--against", type=Path, metavar="CHECKOUT", help="compare with the revision in this folder")
    comparison.add_argument("--against_options", metavar="OPTIONS", help="options for that revision, in place of this run's")
    comparison.add_argument("--rounds", type=int, default=3, help="runs of each revision, with --against")
    comparison.add_argument("--out", type=Path, help="write the results to this JSON file")
    parser = make_parser(overhead, comparison)
    add_log_options(parser)
    parser.add_argument("--epochs", type=int, default=3, help="pairs of epochs after the warm-up")
    parser.add_argument("--batch_events", type=int, default=2048, help="events per batch, padding included")
    parser.add_argument("--bar", action="store_true", help="include Lightning's progress bar, in place of the benchmark's own")
    add_clock_option(parser)
    parser.add_argument("--accelerator", default="auto", help="accelerator of the trainer: auto, cpu or gpu")
    parser.add_argument("--seed", type=int, default=0, help="seed of the weights")
    options = parser.parse_args(arguments)
    if min(options.epochs, options.rounds) < 1:
        parser.error("--epochs and --rounds must be at least 1")
    if options.against_options is not None and not options.against:
        parser.error("--against_options needs --against")
    if options.against and not (options.against / "benchmarks").is_dir():
        parser.error(f"--against: {options.against} is no checkout with a folder benchmarks/")
    if options.clock == "processor":
        import torch

        check_clock_option(parser, options, torch.get_num_threads(), torch.cuda.is_available() and options.accelerator != "cpu")
    check_log_options(parser, options)
    options.run_arguments = comparison.parse_known_args(arguments)[1]
    return options
