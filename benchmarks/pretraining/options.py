"""Command-line options."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks import pretraining
from benchmarks.harness.options import make_parser

OBJECTIVES = ("mlm", "contrastive", "denoising")
TRAINED = ("full", "lora")


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the checked options."""
    parser = make_parser(pretraining)
    parser.add_argument("--reviews", type=Path, required=True, help="Parquet file with category, label and text")
    parser.add_argument("--base", default="minilm", help="model to start from")
    parser.add_argument("--objectives", nargs="+", choices=OBJECTIVES, default=list(OBJECTIVES), help="objectives")
    parser.add_argument("--trained", nargs="+", choices=TRAINED, default=list(TRAINED), help="which weights are trained")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds")
    parser.add_argument("--texts", type=int, default=2_000, help="reviews to pretrain on, 5%% of them held out")
    parser.add_argument("--probe_texts", type=int, default=1_200, help="reviews of the probe; it is trained on half of them")
    parser.add_argument("--max_length", type=int, default=32, help="most tokens per review")
    parser.add_argument("--new_tokens", type=int, default=3_000, help="most characters that are added to the vocabulary")
    parser.add_argument("--steps", type=int, default=60, help="training steps of each pretraining")
    parser.add_argument("--batch_tokens", type=int, default=512, help="tokens per training step, padding included")
    parser.add_argument("--lr", type=float, default=3e-4, help="learning rate of existing weights, for full")
    parser.add_argument("--lora_lr", type=float, default=1e-3, help="learning rate of updates and new rows, for lora")
    parser.add_argument("--precision", default="bf16-mixed", help="precision of the trainer")
    parser.add_argument("--folder", type=Path, help="keep the models here, and use those of a run with the same options")
    parser.add_argument("--out", type=Path, help="write the results to this JSON file, after each seed")
    options = parser.parse_args(arguments)
    if min(options.seeds) < 0 or options.probe_texts < 40:
        parser.error("--seeds must be at least 0 and --probe_texts at least 40")
    if not options.reviews.is_file():
        parser.error(f"--reviews={options.reviews} is no file")
    return options
