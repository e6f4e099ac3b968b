"""Command-line options."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks import finetuning_cost
from benchmarks.finetuning_cost.methods import SIDES
from benchmarks.harness.options import (
    add_clock_option,
    add_log_options,
    check_clock_option,
    check_log_options,
    make_parser,
)
from interestlab.model.chunking import EncoderChunking


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the checked options."""
    parser = make_parser(finetuning_cost)
    add_log_options(parser)
    parser.add_argument("--batches", type=int, default=3, help="number of batches of the epoch to measure; 0: all")
    parser.add_argument(
        "--pieces",
        type=int,
        default=8,
        help="pieces of a plain batch to run and extrapolate from; 0: all",
    )
    parser.add_argument("--single_piece", action="store_true", help="run each plain batch in one piece, if it fits into memory")
    parser.add_argument("--batch_events", type=int, default=4096, help="events per batch, padding included")
    parser.add_argument("--max_length", type=int, default=64, help="most tokens per title")
    chunking = EncoderChunking()
    parser.add_argument(
        "--max_tokens",
        type=int,
        default=chunking.max_tokens,
        help="most tokens per chunk of interestlab and per piece of a plain batch",
    )
    help_chunks = "chunks of a step that keep their activations for the backward pass"
    default_chunks = chunking.chunks_with_activations
    parser.add_argument("--chunks_with_activations", type=int, default=default_chunks, help=help_chunks)
    parser.add_argument("--share", type=float, default=0.1, help="share of a step's titles that amortised methods encode")
    parser.add_argument("--schedule", choices=["random", "once"], default="random", help="of amortised methods")
    help_refresh = "when amortised methods encode the whole table again; start: the table counts as work done once"
    parser.add_argument("--refresh", choices=["epoch", "start"], default="epoch", help=help_refresh)
    parser.add_argument("--precision", choices=["32-true", "bf16-mixed"], default="32-true")
    add_clock_option(parser)
    parser.add_argument("--accelerator", default="auto", help="accelerator of the trainer: auto, cpu or gpu")
    help_sides = f"sides to measure, of {SIDES}; default: all"
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES, metavar="SIDE", help=help_sides)
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, dropout and batches")
    parser.add_argument("--out", type=Path, help="write the results to this JSON file")
    options = parser.parse_args(arguments)
    if min(options.batches, options.pieces) < 0:
        parser.error("--batches and --pieces must be at least 0")
    check_clock_option(parser, options, torch.get_num_threads(), torch.cuda.is_available())
    check_log_options(parser, options)
    return options
