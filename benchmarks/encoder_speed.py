"""Texts per second of the encoder `static` against `frozen`, in evaluation and without the cache on disk.

Both read the same titles, tokenised beforehand, in chunks as in training. They take turns; the ratio is that of neighbours.
Tokenisation is the same for both and is reported separately, as is the time to make the token table.
"""

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from benchmarks.harness.data import log_source
from benchmarks.harness.options import add_clock_option, add_log_options, check_clock_option, check_log_options, make_parser
from benchmarks.harness.provenance import describe_machine, machine_line, write_results
from benchmarks.harness.tables import format_number, make_console, make_progress, make_table
from benchmarks.harness.timing import Stopwatch, alternate, paired_ratios, summarize
from interestlab import encoders
from interestlab.contract import Encoder
from interestlab.data import ragged
from interestlab.data.fields import FieldValues
from interestlab.data.ragged import RaggedArray
from interestlab.model.chunking import EncoderChunking
from interestlab.model.embedding_cache import EmbeddingCache

DIM = 64


def main(arguments: list[str]) -> None:
    """Run the benchmark."""
    parser = make_parser(sys.modules[__name__], name="benchmarks.encoder_speed")
    add_log_options(parser)
    add_clock_option(parser)
    parser.add_argument("--texts", type=int, default=2_000, help="titles to encode, the first of the items")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each encoder")
    parser.add_argument("--max_length", type=int, default=32, help="tokens per title")
    parser.add_argument("--model", default="minilm", help="the pretrained model of both encoders")
    parser.add_argument("--out", type=Path, help="write all results as JSON")
    options = parser.parse_args(arguments)
    check_log_options(parser, options)
    check_clock_option(parser, options, torch.get_num_threads(), gpu=False)
    results = measure(options)
    write_results(options.out, results)
    print_results(results)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Time both encoders in turns."""
    items = log_source(options).read().items
    assert items is not None
    titles = items.select(pl.col("title").cast(pl.String)).collect()["title"]
    texts = titles.drop_nulls().unique(maintain_order=True).head(options.texts).to_list()
    watch, seconds = Stopwatch(options.clock), {"frozen": list[float](), "static": list[float]()}
    with tempfile.TemporaryDirectory() as folder, make_progress() as progress:
        start = time.perf_counter()
        static = encoders.static(model=options.model, max_length=options.max_length, trainable=False)
        static.build({}, DIM)
        results = {"machine": describe_machine("cpu"), "texts": len(texts), "build_static_s": time.perf_counter() - start}
        frozen = encoders.frozen(model=options.model, max_length=options.max_length)
        frozen.build({}, DIM)
        results["tokenisation_s"] = watch.seconds(lambda: static.preprocess(texts))
        caches = {"frozen": make_cache(frozen, texts, folder), "static": make_cache(static, texts, folder)}
        codes = np.arange(len(texts))
        caches["static"](codes)
        caches["frozen"](codes[:8])
        task = progress.add_task("measuring", total=2 * options.rounds)
        for _, name in alternate(list(caches), options.rounds):
            with torch.no_grad():
                seconds[name].append(watch.seconds(partial(caches[name], codes)))
            progress.advance(task)
    return results | {"seconds": seconds, "ratio": summarize(paired_ratios(seconds["frozen"], seconds["static"]))}


def make_cache(encoder: Encoder, texts: list[str], folder: str) -> EmbeddingCache:
    """Return the encoder with the tokenised texts, without the cache on disk."""
    rows = Path(folder) / type(encoder).__name__
    rows.mkdir()
    ragged.write(rows, [encoder.preprocess(texts)])
    feature = FieldValues(np.arange(len(texts)), len(texts), Path(folder), RaggedArray(rows))
    return EmbeddingCache(encoder.eval(), feature, EncoderChunking(), use_disk=False)


def print_results(results: dict[str, Any]) -> None:
    """Print a table of texts per second, and the ratio."""
    texts = results["texts"]
    rows = [
        [f"`{name}`", format_number(texts / summarize(times)["median"]), format_number(1000 * summarize(times)["median"])]
        for name, times in results["seconds"].items()
    ]
    console, ratio = make_console(), results["ratio"]
    console.print(make_table(None, ["encoder", "texts per second", "ms in all"], rows))
    console.print(
        f"`static` is {ratio['median']:,.0f} times as fast ({ratio['min']:,.0f} to {ratio['max']:,.0f}), {texts:,} titles"
    )
    console.print(
        f"tokenisation {results['tokenisation_s']:.2f} s, loading the model and the table {results['build_static_s']:.1f} s"
    )
    console.print(machine_line(results["machine"]))


if __name__ == "__main__":
    main(sys.argv[1:])
