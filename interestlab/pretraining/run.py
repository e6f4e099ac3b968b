"""Pretrain a text model on the texts of a log, and write it as a folder that text encoders read."""

import json
import logging
import math
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping

from interestlab.data.datamodule import InterestData
from interestlab.errors import DataError, TrainingError
from interestlab.pretraining.base import TextModel, load_tokenizer, open_base, quiet
from interestlab.pretraining.batches import Samples, fixed_loader, tokenize, train_loader
from interestlab.pretraining.corpus import Corpus, read_corpus
from interestlab.pretraining.module import LOSS, LOWER_RATES, KeepBest, PretrainModule
from interestlab.pretraining.objectives import make_objective
from interestlab.pretraining.output import METRICS, check_out
from interestlab.pretraining.pairs import text_pairs
from interestlab.pretraining.settings import PretrainSettings
from interestlab.pretraining.trained_weights import TrainedWeights
from interestlab.pretraining.vocabulary import unknown_characters, unknown_share, write_extended_model
from interestlab.training.fit import hide_expected_messages, set_environment
from interestlab.training.loggers.jsonl import JsonlLogger
from interestlab.training.seeding import seed_everything_from
from interestlab.utils.artifact_store import content_hash
from interestlab.utils.atomic_files import write_text_atomic
from interestlab.utils.output_folders import new_folder

log = logging.getLogger(__name__)

UNKNOWN_WARNING = 0.05
"""Share of unknown tokens above which a warning points to ``new_tokens``."""


def pretrain(
    settings: PretrainSettings,
    data: InterestData,
    out: Path,
    trainer_options: Mapping[str, Any] | None = None,
    *,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Train a text model further, and write it.

    Args:
        settings: what is trained on which texts.
        data: the log.
        out: folder to write: the model, its tokenizer and pooling, ``metrics.json`` and ``metrics.jsonl``.
        trainer_options: further arguments of Lightning's trainer.
        overwrite: whether a model in ``out`` may be replaced.

    Returns:
        The content of ``metrics.json``.

    Raises:
        DataError: the data, the base model or the settings cannot be used, or ``out`` contains a model or other files.
        TrainingError: the loss is not finite.
    """
    check_out(out, overwrite)
    hide_expected_messages()
    warnings.filterwarnings("ignore", message=".*have no `val_dataloader`")  # the loss is measured before and after
    set_environment()
    base = open_base(settings.base, settings.max_length)
    corpus = read_corpus(data, settings)
    samples = make_samples(data, corpus, settings)
    weights_hash = content_hash(sorted(base.folder.glob("model*.safetensors")))
    tokenizer = load_tokenizer(base.folder)
    known = len(tokenizer)
    with new_folder(out, replace=True) as draft, tempfile.TemporaryDirectory() as temporary:
        seed_everything_from([settings.seed])
        characters = unknown_characters(corpus.train_texts, tokenizer, settings.new_tokens) if settings.new_tokens else []
        if characters:
            write_extended_model(base, characters, Path(temporary))
            base = open_base(temporary, settings.max_length)
        rows = tokenize(base.preprocess, corpus.texts)
        unknown = unknown_share(rows, tokenizer.unk_token_id, tokenizer.all_special_ids)
        if unknown > UNKNOWN_WARNING:
            log.warning(f"{unknown:.0%} of the tokens are unknown to the model; --new_tokens adds frequent characters.")
        results = train(settings, base, known, rows, samples, draft, trainer_options or {})
        metrics = results | {
            "texts": len(corpus.texts),
            "heldout_texts": int(corpus.is_heldout.sum()),
            "new_tokens": len(characters),
            "unknown_share": unknown,
            "fingerprint": fingerprint(settings, data, weights_hash),
        }
        write_text_atomic(draft / METRICS, json.dumps(metrics, indent=1, ensure_ascii=False))
    return metrics


def make_samples(data: InterestData, corpus: Corpus, settings: PretrainSettings) -> tuple[np.ndarray, np.ndarray]:
    """Return the samples to train on and those to measure; a sample with any held-out text is measured.

    Args:
        data: the log.
        corpus: its texts.
        settings: the objective.

    Returns:
        Two arrays ``[samples, 1 or 2]`` of indices of texts.

    Raises:
        DataError: there are no pairs, or too few to hold some out.
    """
    if settings.objective == "contrastive":
        samples = text_pairs(data.log, corpus, settings.contrastive)
    else:
        samples = np.arange(len(corpus.texts))[:, None]
    heldout = corpus.is_heldout[samples].any(1)
    if heldout.all() or not heldout.any():
        raise DataError(f"of {len(samples)} samples {heldout.sum()} have a held-out text; change --heldout={settings.heldout}.")
    return samples[~heldout], samples[heldout]


def train(
    settings: PretrainSettings,
    base: TextModel,
    known_tokens: int,
    rows: list[np.ndarray],
    samples: tuple[np.ndarray, np.ndarray],
    folder: Path,
    trainer_options: Mapping[str, Any],
) -> dict[str, Any]:
    """Train, measure before and after, and write the model.

    Args:
        settings: what is trained, and how long.
        base: the model to start from.
        known_tokens: number of its tokens that are not new.
        rows: tokens of each text.
        samples: samples to train on and to measure.
        folder: an existing folder.
        trainer_options: further arguments of Lightning's trainer.

    Returns:
        The metrics.

    Raises:
        TrainingError: the loss is not finite.
    """
    objective = make_objective(base, settings)
    weights = TrainedWeights(objective, settings.lora if settings.train == "lora" else None, known_tokens)
    module = PretrainModule(objective, weights, settings.optim, settings.seed)
    training, measured = (Samples(rows, part, objective.collate(settings.seed)) for part in samples)
    heldout = fixed_loader(measured, settings.batch_tokens)
    best = KeepBest()
    trainer = make_trainer(settings, best, folder, trainer_options)
    (before,) = trainer.validate(module, heldout, verbose=False)
    module.train()
    start = time.perf_counter()
    trainer.fit(module, train_loader(training, settings.batch_tokens, settings.seed), heldout if settings.patience else None)
    seconds, steps = time.perf_counter() - start, trainer.global_step
    (after,) = trainer.validate(module, heldout, verbose=False)
    if not math.isfinite(after[LOSS]):
        raise TrainingError(f"the held-out loss after training is {after[LOSS]}; {LOWER_RATES}.")
    trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
    weights.merge()
    with quiet():
        base.write_model(objective.model_to_save(), folder)
    return {
        "before": before,
        "after": after,
        "steps": steps if best.step is None else best.step,
        "seconds": round(seconds, 1),
        "train_samples": len(training),
        "heldout_samples": len(measured),
        "trained_parameters": trained,
        "new_head": bool(objective.new_parameters),
    }


def make_trainer(settings: PretrainSettings, best: KeepBest, folder: Path, options: Mapping[str, Any]) -> Trainer:
    """Return the trainer.

    Args:
        settings: how long to train.
        best: keeps the best weights, with early stopping.
        folder: of ``metrics.jsonl``.
        options: further arguments.
    """
    callbacks: list[Callback] = []
    if settings.patience:
        callbacks = [EarlyStopping(LOSS, patience=settings.patience, check_on_train_epoch_end=False), best]
    between = {"val_check_interval": settings.check_every, "check_val_every_n_epoch": None} if settings.check_every else {}
    return Trainer(
        **(between | dict(options)),
        max_epochs=-1 if settings.steps else settings.epochs,
        max_steps=settings.steps or -1,
        devices=1,
        logger=JsonlLogger(folder),
        callbacks=callbacks,
        default_root_dir=folder,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        inference_mode=False,  # weights with hooks would become inference tensors
    )


def fingerprint(settings: PretrainSettings, data: InterestData, weights_hash: str) -> dict[str, Any]:
    """Return what must be equal for two held-out losses to be comparable.

    Args:
        settings: the settings.
        data: the log.
        weights_hash: hash of the weights of the base.
    """
    names = ("objective", "max_length", "new_tokens", "max_texts", "heldout", "batch_tokens", "seed")
    of_data = {key: value for key, value in data.fingerprint.items() if key not in ("max_history", "history", "ranking")}
    chosen = {name: getattr(settings, name) for name in names}
    specific = vars(getattr(settings, settings.objective))
    return of_data | {"text": ", ".join(settings.text), "base": weights_hash} | chosen | specific
