"""Pretrain with each objective, and probe the vectors before and after."""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.harness.provenance import describe_machine
from benchmarks.pretraining.probes import embed, probe, probe_characters
from interestlab import sources
from interestlab.data.datamodule import InterestData
from interestlab.data.text_cleaning import Cleaning
from interestlab.pretraining.base import load_tokenizer, open_base
from interestlab.pretraining.output import METRICS
from interestlab.pretraining.run import pretrain
from interestlab.pretraining.settings import Contrast, PretrainSettings
from interestlab.pretraining.vocabulary import unknown_characters, write_extended_model
from interestlab.training.optimizers import Optim, Rates
from interestlab.training.seeding import seed_everything_from

LABELS = {"sentiment": "label", "category": "category"}


def measure(options: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Measure everything.

    Args:
        options: the command line.
        folder: for logs and models; a model in it is not trained again.

    Yields:
        The results after each seed, as they are written to JSON.
    """
    reviews = pl.read_parquet(options.reviews).with_columns(Cleaning()(pl.col("text"))).drop_nulls("text").unique("text")
    reviews = reviews.sort("text")
    results: dict[str, Any] = {
        "reviews": reviews.height,
        "settings": {k: v for k, v in vars(options).items() if k not in ("reviews", "folder", "out")},
        "machine": describe_machine("cpu"),
        "seeds": [],
    }
    for seed in options.seeds:
        start = time.process_time()
        rows = measure_seed(options, reviews, seed, folder / str(seed))
        results["seeds"].append({"seed": seed, "rows": rows, "cpu_seconds": round(time.process_time() - start)})
        yield results


def measure_seed(options: argparse.Namespace, reviews: pl.DataFrame, seed: int, folder: Path) -> dict[str, Any]:
    """Return the results of one seed by name of the row."""
    folder.mkdir(parents=True, exist_ok=True)
    sample = reviews.sample(options.texts + options.probe_texts, seed=seed, shuffle=True)
    data = review_log(sample.tail(options.texts), folder)
    probed = sample.head(options.probe_texts)
    texts, train = probed["text"].to_list(), options.probe_texts // 2
    labels = {name: probed[column].to_numpy() for name, column in LABELS.items()}
    rows: dict[str, Any] = {
        "characters": {name: probe_characters(texts, values, train).tolist() for name, values in labels.items()}
    }

    def add(name: str, model: str | Path, metrics: dict[str, Any]) -> None:
        vectors = embed(model, texts, options.max_length)
        rows[name] = metrics | {label: probe(vectors, values, train).tolist() for label, values in labels.items()}

    add("base", options.base, {})
    if options.new_tokens:
        add("new tokens", untrained(options, sample.tail(options.texts)["text"].to_list(), seed, folder), {})
    for objective in options.objectives:
        for trained in options.trained:
            out = folder / f"{objective}-{trained}"
            if not out.exists():
                settings = pretrain_settings(options, objective, trained, seed)
                pretrain(settings, data, out, {"precision": options.precision, "accelerator": "cpu"})
            metrics = json.loads((out / METRICS).read_text("utf-8"))
            kept = ("before", "after", "steps", "seconds", "unknown_share", "new_tokens", "trained_parameters")
            add(f"{objective}, {trained}", out, {name: metrics[name] for name in kept})
    return rows


def review_log(reviews: pl.DataFrame, folder: Path) -> InterestData:
    """Return the reviews as a log of users with one event each, all of them in the training part."""
    frame = reviews.select(
        pl.int_range(pl.len()).cast(pl.String).alias("user_id"),
        pl.col("category").alias("item_id"),
        pl.lit(1_700_000_000).alias("timestamp"),
        "text",
    )
    frame.write_parquet(folder / "reviews.parquet")
    source: Any = sources.files(interactions=str(folder / "reviews.parquet"))
    return InterestData(source=source, cache_dir=str(folder / "cache"))


def untrained(options: argparse.Namespace, texts: list[str], seed: int, folder: Path) -> Path:
    """Return the folder of the base with new tokens, whose vectors are random."""
    base = open_base(options.base, options.max_length)
    characters = unknown_characters(texts, load_tokenizer(base.folder), options.new_tokens)
    out = folder / "new_tokens"
    out.mkdir(exist_ok=True)
    seed_everything_from([seed])
    write_extended_model(base, characters, out)
    return out


def pretrain_settings(options: argparse.Namespace, objective: Any, trained: Any, seed: int) -> PretrainSettings:
    """Return the settings of one pretraining."""
    warmup = options.steps // 10
    return PretrainSettings(
        text=["event.text"],
        base=options.base,
        objective=objective,
        train=trained,
        max_length=options.max_length,
        new_tokens=options.new_tokens,
        steps=options.steps,
        batch_tokens=options.batch_tokens,
        seed=seed,
        contrastive=Contrast(pairs="self"),
        optim=Optim(
            lr=1e-3,
            warmup=warmup,
            schedule="cosine",
            pretrained=Rates(options.lr, 0.01, warmup),
            peft=Rates(options.lora_lr, 0.0, warmup),
        ),
    )


def paired_difference(rows: list[list[bool]], references: list[list[bool]]) -> tuple[float, float]:
    """Return the mean difference of two accuracies over texts, and half the width of its normal 95% interval."""
    pairs = zip(rows, references, strict=True)
    difference = np.concatenate([np.subtract(row, reference, dtype=float) for row, reference in pairs])
    return float(difference.mean()), float(1.96 * difference.std(ddof=1) / np.sqrt(len(difference)))
