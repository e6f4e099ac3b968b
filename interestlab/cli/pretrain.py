"""Train a text model further on the shop's own texts, before a recommender is trained; with the --data options of fit."""

import inspect
from dataclasses import fields
from pathlib import Path

from lightning.pytorch import Trainer
from rich.console import Console

from interestlab.config.parser import CommandParser
from interestlab.data.datamodule import InterestData
from interestlab.pretraining.output import metrics_table
from interestlab.pretraining.run import pretrain
from interestlab.pretraining.settings import PretrainSettings
from interestlab.utils.atomic_files import write_text_atomic
from interestlab.utils.output_folders import default_folder

DESCRIPTION = "Train a text model further on the texts of a log; text encoders take the folder as their `model`."
SETTINGS = tuple(field.name for field in fields(PretrainSettings))
TRAINER_OPTIONS = {
    "accelerator",
    "precision",
    "gradient_clip_val",
    "accumulate_grad_batches",
    "max_time",
    "log_every_n_steps",
    "deterministic",
    "enable_progress_bar",
    "enable_model_summary",
}
"""Options of the trainer that have no setting of their own; training runs in one process."""


def run(args: list[str]) -> None:
    """Train, print the held-out loss before and after, and write the model's folder.

    Args:
        args: the options.
    """
    parser = pretrain_parser()
    parsed = parser.parse_args(args)
    out = parsed.out or default_folder("pretrain")
    saved = parser.dump(parsed, skip_unset=False)
    if parsed.data.seed is None:
        parsed.data.seed = parsed.seed
    options = parser.instantiate(parsed)
    settings = PretrainSettings(**{name: options[name] for name in SETTINGS})
    metrics = pretrain(settings, options.data, out, vars(parsed.trainer), overwrite=parsed.overwrite)
    write_text_atomic(out / "pretrain.yaml", saved)
    Console().print(metrics_table(metrics))
    print(f"written: {out}")


def pretrain_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = CommandParser("interestlab pretrain", description=DESCRIPTION, config_keys=("data", *SETTINGS))
    parser.add_argument("-c", "--config", action="config", help="a config of `fit`, of which only the data is read, or of this")
    parser.add_argument("--out", type=Path | None, help="folder to write (default runs/TIME-pretrain)")
    parser.add_argument("--overwrite", action="store_true", help="replace a model that --out contains")
    parser.add_class_arguments(PretrainSettings)
    parser.add_class_arguments(InterestData, "data")
    skipped = set(inspect.signature(Trainer.__init__).parameters) - TRAINER_OPTIONS - {"self"}
    parser.add_class_arguments(Trainer, "trainer", skip=skipped, instantiate=False)
    parser.set_defaults({"trainer.log_every_n_steps": 10, "trainer.enable_model_summary": False})
    return parser
