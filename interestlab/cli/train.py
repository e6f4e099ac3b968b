"""``interestlab fit | validate | test | predict``: a LightningCLI over the one model and the one data module."""

import logging
import os
import secrets
import signal
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, cast

from jsonargparse import Namespace
from lightning.fabric.plugins import CheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import SIGTERMException

from interestlab.config import plugin_names
from interestlab.config.one_line_errors import reason, told_in_one_line
from interestlab.config.parser import OneLineParser
from interestlab.config.run_arguments import option, with_checkpoint, with_run
from interestlab.data.datamodule import InterestData
from interestlab.distributed.rank import is_rank_zero
from interestlab.errors import DataError
from interestlab.registry import REGISTRIES
from interestlab.training.callbacks.cost import Cost
from interestlab.training.callbacks.last_checkpoint import LastCheckpoint, forget_parts
from interestlab.training.callbacks.run_folder import RunFolder
from interestlab.training.checkpoint_io import HashedCheckpointIO
from interestlab.training.lightning_module import InterestModel
from interestlab.training.loggers.curve import Curve
from interestlab.training.loggers.wandb import PatientWandbLogger
from interestlab.training.run_state import is_fast_dev_run
from interestlab.utils.atomic_files import write_text_atomic

MONITOR = "val/ndcg@10"
"""What decides which checkpoint is best, and when to stop."""


class Parser(OneLineParser, LightningArgumentParser):
    """LightningCLI's parser."""


class InterestCLI(LightningCLI):
    """LightningCLI with plugin names, one folder a run, and a test at the end of ``fit``."""

    begun: Path | None = None
    """The config of a run that this process began."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--run_dir", type=str | None, default=None, help="Folder of the run; default runs/<time>-<name>.")
        parser.add_argument("--run_name", type=str | None, default=None, help="Name of the run; default that of its config.")
        parser.add_argument(
            "--test_after_fit", type=bool, default=True, help="Whether fit ends by testing the best checkpoint."
        )
        parser.add_argument(
            "--loggers",
            type=list[Literal["csv", "tensorboard", "wandb"]],
            default=["csv"],
            help="What follows the run, in its folder; --trainer.logger, where given, takes their place.",
        )
        parser.add_argument(
            "--checkpoint_minutes",
            type=float,
            default=30.0,
            help="After how many minutes last.ckpt is written within an epoch.",
        )
        for part in ("fusion", "dynamics"):
            parser.link_arguments("model.dim", f"model.{part}.init_args.dim")
        parser.link_arguments("data.cardinalities", "model.cardinalities", apply_on="instantiate")
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(EarlyStopping, "early_stopping")
        best = {"monitor": MONITOR, "mode": "max"}
        parser.set_defaults(
            {f"early_stopping.{k}": v for k, v in (best | {"patience": 10, "check_on_train_epoch_end": False}).items()}
            | {f"checkpoint.{k}": v for k, v in (best | {"filename": "best", "enable_version_counter": False}).items()}
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        self.typed = cast(list[str], args)
        self.config = parser.parse_args(self.typed)  # Lightning's own warns where args are given

    def _parse_ckpt_path(self) -> None:
        """Nothing: Lightning's own would let the checkpoint win over what the user typed; see :func:`with_checkpoint`."""

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        if config.ckpt_path in ("best", "last") and option(self.typed, "--ckpt_path") is None:  # then no folder was looked at
            told = f"--ckpt_path={config.ckpt_path} and its --run_dir"
            raise DataError(f"{told} must be written out on the command line, not in a config.")
        if self.subcommand == "fit" and (config.checkpoint.dirpath or config.checkpoint.filename != "best"):
            told = "checkpoint.dirpath and checkpoint.filename are fixed, so that a run is found again"
            raise DataError(f"{told}: best.ckpt and last.ckpt lie in checkpoints/ of --run_dir; leave them out.")
        resolved = config.clone()
        # What belongs to this one run is not kept: the config starts another as well.
        resolved.run_dir = resolved.ckpt_path = None
        self.resolved = self._parser(self.subcommand).dump(resolved, skip_none=False)
        self.run_dir = Path(
            config.run_dir or Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-{config.run_name or name_of(config)}"
        )
        if self.subcommand != "fit" and config.ckpt_path is None:
            raise DataError(f"{self.subcommand} needs something trained: --run_dir=DIR of a run, or --ckpt_path=FILE.")
        file = self.run_dir / "config.yaml"
        # What the others find may be of this very run, which the first process began.
        if is_rank_zero() and self.subcommand == "fit" and file.exists() and config.ckpt_path is None:
            raise DataError(f"{self.run_dir} holds a run already; give another --run_dir, or resume it with --ckpt_path=last.")
        if config.ckpt_path == "last":  # a run that was killed before its first checkpoint; see with_run
            rank_zero_info(f"{self.run_dir} holds no checkpoint yet: the run starts anew.")
            config.ckpt_path = None
        if is_rank_zero() and not config.trainer.fast_dev_run:
            try:
                self.run_dir.mkdir(parents=True, exist_ok=True)
            except OSError as err:
                raise DataError(f"{self.run_dir} cannot be made ({err.strerror}); give another --run_dir.") from err
            if self.subcommand == "fit" and not file.exists():
                self.begun = file  # before the data, which may take long: a run that is killed there goes on, too
                write_text_atomic(file, self.resolved)
        if self.subcommand in ("test", "validate"):
            config.verbose = False  # the run folder's own table has intervals and the fingerprint too
        config.checkpoint.dirpath = str(self.run_dir / "checkpoints")
        if config.data.seed is None:
            config.data.seed = self.seed
        ks = config.model.ks
        for watcher in (config.checkpoint, config.early_stopping):
            if watcher.monitor == MONITOR and 10 not in ks:
                watcher.monitor = f"val/ndcg@{max(ks)}"

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
        except Exception as err:
            if self.begun:
                self.begun.unlink(missing_ok=True)  # what is refused here is no run
            if isinstance(err, ValueError | MisconfigurationException):  # a part says what is wrong with its arguments
                raise DataError(reason(err)) from err
            raise

    def _run_subcommand(self, subcommand: str) -> None:
        try:
            super()._run_subcommand(subcommand)
        except RuntimeError as err:
            if "loading state_dict" not in str(err):
                raise
            path = self.config[subcommand].ckpt_path
            raise DataError(f"{path} does not fit the model that was asked for: {' '.join(str(err).split()[:60])}") from err
        finally:
            for logger in self.trainer.loggers:
                if isinstance(logger, WandbLogger):
                    logger.experiment.finish()  # else the next run of this process would go on in this one

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        if self.config[self.subcommand].trainer.logger is None:
            kwargs["logger"] = (
                loggers(self.config[self.subcommand].loggers, self.run_dir) if self.subcommand == "fit" else False
            )
        config = self.config[self.subcommand]
        resume = f"interestlab fit --run_dir={self.run_dir} --ckpt_path=last"
        last = LastCheckpoint(config.checkpoint.dirpath, config.checkpoint_minutes, resume)
        kept = RunFolder(self.run_dir, self.resolved, self.seed)
        self.trainer_defaults["callbacks"] = [last, kept, Cost(self.run_dir)]
        plugins = self._get(self.config_init, "trainer").plugins or []
        plugins = plugins if isinstance(plugins, list) else [plugins]
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            kwargs["plugins"] = [*plugins, HashedCheckpointIO()]
        if self.subcommand == "fit":
            forget_parts(Path(config.checkpoint.dirpath))
        return super().instantiate_trainer(default_root_dir=str(self.run_dir), **kwargs)

    @property
    def seed(self) -> int:
        """What the run is seeded with."""
        return self.config[self.subcommand].seed_everything

    def after_fit(self) -> None:
        """Test the best checkpoint of the run."""
        best = getattr(self.trainer.checkpoint_callback, "best_model_path", "")
        if is_fast_dev_run(self.trainer) or not self.config.fit.test_after_fit:
            return
        if not best:
            rank_zero_info("nothing was validated, so there is no best checkpoint to test; train for more epochs.")
        else:
            self.trainer.test(self.model, datamodule=self.datamodule, ckpt_path=best, verbose=False, weights_only=True)


def run(args: list[str], cli: type[InterestCLI] = InterestCLI) -> InterestCLI:
    """Parse and run; the objects that ran are returned, for tests."""
    quiet()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # batches may be assembled in forked processes
    if not (os.environ.get("WANDB_API_KEY") or Path("~/.netrc").expanduser().exists()):
        os.environ.setdefault("WANDB_MODE", "offline")
    names = "; ".join(f"{r.kind}: {', '.join(r.names())}" for r in REGISTRIES.values())
    epilog = {"epilog": f"Installed plugins. {names}. Arguments of one: --model.encoder.help NAME"}
    with told_in_one_line():
        plugin_names.install()
        try:
            return cli(
                InterestModel,
                InterestData,
                parser_class=Parser,
                args=plugin_names.ordered(with_checkpoint(with_run(args))),
                seed_everything_default=0,
                trainer_defaults={"use_distributed_sampler": False, "num_sanity_val_steps": 0, "log_every_n_steps": 10},
                save_config_callback=None,
                auto_configure_optimizers=False,
                parser_kwargs={command: dict(epilog) for command in ("fit", "validate", "test", "predict")},
            )
        except SIGTERMException as left:  # Lightning's, which leaves with status 0
            raise SystemExit(128 + signal.SIGTERM) from left


def quiet() -> None:
    """Leave out what Lightning says of its other products, and of frozen parts being in evaluation mode, as they are meant."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(lambda record: "Tip:" not in record.getMessage())
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    warnings.filterwarnings("ignore", message="It is recommended to use .*sync_dist=True")  # what is logged is of all processes
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")  # that of a run that goes on
    warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended before the epoch ended")


def name_of(config: Namespace) -> str:
    """The name of a run: that of its last config file."""
    files = [Path(str(file)) for file in config.get("config") or [] if file is not None]
    return files[-1].stem if files else "run"


def loggers(names: list[str], run_dir: Path) -> list[Logger]:
    """Lightning's own loggers, each writing into the folder of the run."""
    made: dict[str, Callable[[], Logger]] = {
        "csv": lambda: Curve(run_dir),
        "tensorboard": lambda: TensorBoardLogger(run_dir, name="", version="", sub_dir="tensorboard"),
        "wandb": lambda: PatientWandbLogger(name=run_dir.name, save_dir=run_dir, project="interestlab", id=wandb_id(run_dir)),
    }
    try:
        return [made[name]() for name in names]
    except ModuleNotFoundError as err:
        raise DataError(f"a logger of {names} is not installed: pip install 'interestlab[tracking]'.") from err


def wandb_id(run_dir: Path) -> str | None:
    """The id of a run folder's W&B run: what it was given when it began, so that a run that goes on does so there too."""
    file = run_dir / "wandb_id.txt"
    if file.exists():
        return file.read_text("utf-8").strip()
    made = os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4)  # an agent of a W&B sweep says which
    if run_dir.exists() and is_rank_zero():
        write_text_atomic(file, made)
    return made
