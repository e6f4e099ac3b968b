"""Fit, validate, test and predict from Python: the functions behind the commands of these names, and behind sweeps."""

import logging
import os
import signal
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from lightning.pytorch.cli import ArgsType, LightningArgumentParser
from lightning.pytorch.utilities.exceptions import SIGTERMException

from interestlab.config.arguments import from_settings
from interestlab.config.parser import EVERY_COMMAND, CommandParser
from interestlab.data.datamodule import InterestData
from interestlab.registry import REGISTRIES
from interestlab.training.lightning_cli import InterestCLI, Parser
from interestlab.training.lightning_module import InterestModel
from interestlab.training.run_arguments import add_checkpoint, add_run


def fit(settings: Mapping[str, Any], *, configs: Sequence[str | Path] = (), run_dir: str | Path | None = None) -> InterestCLI:
    """Train a model, and test its best checkpoint.

    Stability: provisional.

    Args:
        settings: options of ``interestlab fit`` without their dashes, and their values, such as ``{"model.encoder": "id"}``.
        configs: config files; the settings win over them, and a later file over an earlier one.
        run_dir: folder to write the run into; default ``runs/TIME-NAME``.

    Returns:
        An object with the ``trainer``, ``model``, ``datamodule`` and ``run_dir`` of the run.

    Raises:
        DataError: a setting or the data cannot be used.
        PluginError: a plugin is unknown, or does not import.
        TrainingError: the result of the training cannot be trusted.
    """
    folder = {} if run_dir is None else {"run_dir": str(run_dir)}
    return run(["fit", *from_settings({**settings, **folder}, configs)])


def run(args: list[str], cli: type[InterestCLI] = InterestCLI, description: str | None = None) -> InterestCLI:
    """Run ``fit``, ``validate``, ``test`` or ``predict``.

    Args:
        args: the command and its options.
        cli: class that parses and runs them.
        description: what the command does, for its help.

    Returns:
        An object with the trainer, model and data that ran.
    """
    hide_expected_messages()
    set_environment()
    try:
        return _construct(cli, add_checkpoint(add_run(args)), description)
    except SIGTERMException as err:  # Lightning would exit with status 0
        raise SystemExit(128 + signal.SIGTERM) from err


def fit_parser() -> CommandParser:
    """Return the parser of the options of ``interestlab fit``."""
    set_environment()
    parser = cast(Parser, _construct(_ParserOnly, ["fit"])._parser("fit"))
    parser.allow_abbrev = False  # otherwise a mistyped option could be taken for a longer one
    return parser


class _ParserOnly(InterestCLI):
    """Build the parser, and neither parse nor run anything."""

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        self.config = {"subcommand": None}

    def _set_seed(self) -> None:
        pass

    def before_instantiate_classes(self) -> None:
        pass

    def instantiate_classes(self) -> None:
        pass


def _construct(cli: type[InterestCLI], args: list[str], description: str | None = None) -> InterestCLI:
    names = "; ".join(f"{r.kind}: {', '.join(r.names())}" for r in REGISTRIES.values())
    epilog = f"Installed plugins. {names}. Arguments of one: --model.encoder.help NAME. {EVERY_COMMAND}"
    usage = f"interestlab {args[0]} [options]"  # the generated one lists more than a hundred options
    return cli(
        args[0],
        model_class=InterestModel,
        datamodule_class=InterestData,
        parser_class=Parser,
        args=args,
        seed_everything_default=0,
        trainer_defaults={"use_distributed_sampler": False, "num_sanity_val_steps": 0, "log_every_n_steps": 10},
        save_config_callback=None,
        auto_configure_optimizers=False,
        parser_kwargs={args[0]: {"usage": usage, "description": description, "epilog": epilog}},
    )


def set_environment() -> None:
    """Set environment variables of libraries, where the user has not set them."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # batches may be assembled in forked processes
    if not (os.environ.get("WANDB_API_KEY") or Path("~/.netrc").expanduser().exists()):
        os.environ.setdefault("WANDB_MODE", "offline")


def hide_expected_messages() -> None:
    """Hide Lightning's advertisements, and warnings about intended behaviour, such as frozen modules in evaluation mode."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(lambda record: "Tip:" not in record.getMessage())
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    # Metrics are computed over all processes before they are logged.
    warnings.filterwarnings("ignore", message="It is recommended to use .*sync_dist=True")
    # The interval counts the steps of all epochs, so short epochs are logged too.
    warnings.filterwarnings("ignore", message="The number of training batches .* is smaller than the logging interval")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")  # of a resumed run
    warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended before the epoch ended")
