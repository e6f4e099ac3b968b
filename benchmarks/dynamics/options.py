"""Command-line options."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks import dynamics
from benchmarks.harness.options import add_clock_option, check_clock_option, make_parser
from interestlab.registry import DYNAMICS

LENGTHS = (16, 32, 64, 128, 256, 512, 1024, 2048)


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the checked options; the lengths are sorted."""
    parser = make_parser(dynamics)
    names = DYNAMICS.names()
    help_names = f"dynamics to measure, of {names}; default: all"
    parser.add_argument("--dynamics", nargs="+", choices=names, default=names, metavar="NAME", help=help_names)
    parser.add_argument("--lengths", nargs="+", type=int, default=LENGTHS, metavar="T", help="events per history")
    parser.add_argument("--events", type=int, default=1024, help="events per batch")
    parser.add_argument("--histories", type=int, default=4, help="histories per batch, at least")
    parser.add_argument("--dim", type=int, default=64, help="width of the dynamics")
    parser.add_argument("--dropout", type=float, help="dropout of the dynamics that have it; default: their own")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which the median is reported")
    parser.add_argument("--limit", type=float, default=5.0, help="stop at the first T whose pass takes more seconds")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    add_clock_option(parser)
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, dropout and events")
    parser.add_argument("--out", type=Path, help="write the results to this JSON file")
    parser.add_argument("--plot", type=Path, help="write the figure to this PNG file")
    options = parser.parse_args(arguments)
    options.lengths = sorted(set(options.lengths))
    if min(*options.lengths, options.histories, options.rounds, options.threads, options.dim) < 1:
        parser.error("--lengths, --histories, --rounds, --threads and --dim must be at least 1")
    check_clock_option(parser, options, options.threads, options.device == "cuda")
    return options
