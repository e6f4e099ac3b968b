"""Command-line options."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks import amortised_bias
from benchmarks.finetuning_cost.methods import FRAMEWORK_METHODS, has_trained_layers
from benchmarks.harness.options import add_log_options, check_log_options, make_parser
from interestlab.model.chunking import EncoderChunking


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the checked options."""
    parser = make_parser(amortised_bias)
    add_log_options(parser)
    methods = [name for name in FRAMEWORK_METHODS if has_trained_layers(name)]
    parser.add_argument("--method", choices=methods, default="lora, top 2", help="fine-tuning method")
    parser.add_argument("--share", type=float, default=0.1, help="share of a step's titles that is encoded with gradient")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 10, 40], help="training steps after which to measure")
    parser.add_argument("--samples", type=int, default=12, help="samples per measurement, at least 2")
    parser.add_argument("--batch_events", type=int, default=1024, help="events per batch, padding included")
    parser.add_argument("--max_length", type=int, default=16, help="most tokens per title")
    parser.add_argument("--accelerator", default="auto", help="accelerator of the trainer: auto, cpu or gpu")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, dropout, batches and samples")
    parser.add_argument("--out", type=Path, help="write the results to this JSON file")
    chunking = EncoderChunking()
    parser.set_defaults(max_tokens=chunking.max_tokens, chunks_with_activations=chunking.chunks_with_activations)
    options = parser.parse_args(arguments)
    if options.samples < 2 or min(options.steps) < 1:
        parser.error("--samples must be at least 2 and --steps at least 1")
    check_log_options(parser, options)
    return options
