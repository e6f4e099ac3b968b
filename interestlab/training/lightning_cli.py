"""LightningCLI with plugin names, one folder per run, resuming, and a test after ``fit``."""

import logging
import re
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NoReturn, cast

from jsonargparse import Namespace
from lightning.fabric.plugins import CheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import WandbLogger

from interestlab.config.arguments import last_value
from interestlab.config.one_line_errors import first_reason
from interestlab.config.parser import CommandParser
from interestlab.config.recipes import Recipe
from interestlab.distributed.rank import is_rank_zero
from interestlab.errors import DataError
from interestlab.training.callbacks.cost import Cost
from interestlab.training.callbacks.last_checkpoint import LastCheckpoint, remove_partial_checkpoints
from interestlab.training.callbacks.last_validation import LastValidation
from interestlab.training.callbacks.run_folder import RunFolder
from interestlab.training.checkpoint_io import HashedCheckpointIO
from interestlab.training.loggers import create_loggers
from interestlab.training.recipe_arguments import AUTO, HELP, OPTION, add_recipe, choose_recipe, recipe_errors
from interestlab.training.run_state import is_fast_dev_run
from interestlab.training.warm_start import warm_start
from interestlab.utils.atomic_files import write_text_atomic

log = logging.getLogger(__name__)

MONITOR = "val/ndcg@10"
"""Metric that selects the best checkpoint and stops training early."""

NO_MODEL = "{} needs a trained model: --run_dir=DIR of a run, or --ckpt_path=FILE."


class Parser(CommandParser, LightningArgumentParser):
    """The project's parser, as LightningCLI needs it."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if "arguments are required" in message:  # jsonargparse lists keys of the command, such as fit.data.source
            if match := re.search(r": (validate|test|predict)\.model", message):
                message = NO_MODEL.format(match[1])
            message = re.sub(r"\b(?:fit|validate|test|predict)\.", "--", message)
        super().error(message, ex)


class InterestCLI(LightningCLI):
    """Parse the options of ``fit``, ``validate``, ``test`` or ``predict``, build trainer, model and data, and run them.

    Args:
        command: the command; only its parser is built, since each takes a noticeable time.
        kwargs: arguments of :class:`~lightning.pytorch.cli.LightningCLI`.
    """

    new_config: Path | None = None
    """The config.yaml of a run that this process started."""

    recipe: Recipe | None = None
    """The recipe that the options of this run were added to."""

    def __init__(self, command: str, **kwargs: Any) -> None:
        self.command = command
        super().__init__(**kwargs)

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override] # static in Lightning, which calls it on the instance
        return {self.command: LightningCLI.subcommands()[self.command]}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--run_dir", type=str | None, default=None, help="Folder of the run (default runs/TIME-NAME).")
        parser.add_argument(
            "--run_name", type=str | None, default=None, help="Name of the run (default the name of its config file)."
        )
        parser.add_argument(OPTION, type=str, default=AUTO, help=HELP)
        parser.add_argument(
            "--from_run",
            type=str | None,
            default=None,
            help="Only for fit: start from the options and the best weights of this run.",
        )
        parser.add_argument("--test_after_fit", type=bool, default=True, help="Test the best checkpoint at the end of fit.")
        parser.add_argument(
            "--loggers",
            type=list[Literal["jsonl", "tensorboard", "wandb"]],
            default=["jsonl"],
            help="Loggers that write into the run folder; --trainer.logger replaces them.",
        )
        parser.add_argument(
            "--checkpoint_minutes",
            type=float,
            default=30.0,
            help="Minutes between two writes of last.ckpt within an epoch.",
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
        self.args = cast(list[str], args)
        options = cast(Parser, self._parser(self.command))
        cast(Parser, parser).resolver = options.resolver
        self.recipe = choose_recipe(self.args[1:]) if self.command == "fit" else None
        with recipe_errors(options, self.recipe):
            # Lightning's own method warns where args are given.
            self.config = parser.parse_args([self.command, *add_recipe(self.args[1:], self.recipe)])

    def _parse_ckpt_path(self) -> None:
        """Do nothing: in Lightning's own the checkpoint would win over what is typed; see :func:`add_checkpoint`."""

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        self._check(config)
        if self.recipe:
            recipe = f"recipe {self.recipe.name} of {self.recipe.provider}"
            log.info(f"{recipe} sets the options of the model that you did not give: {self.recipe.file}")
        self.resume = config.ckpt_path is not None
        name = config.run_name or default_name(config, self.recipe)
        self.run_dir = Path(config.run_dir or Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-{name}")
        # Folder and checkpoint are left out of the saved config, so that it can start another run.
        saved = config.clone()
        saved.run_dir = saved.ckpt_path = None
        self.saved_config = self._parser(self.subcommand).dump(saved, skip_unset=False)
        file = self.run_dir / "config.yaml"
        # The other processes of a job may find the config that the first has just written.
        if is_rank_zero() and self.subcommand == "fit" and file.exists() and config.ckpt_path is None:
            raise DataError(f"{self.run_dir} already contains a run; give another --run_dir, or resume with --ckpt_path=last.")
        if config.ckpt_path == "last":  # killed before its first checkpoint; see add_run
            log.info(f"{self.run_dir} contains no checkpoint yet: the run starts from the beginning.")
            config.ckpt_path, self.resume = None, False
        if is_rank_zero() and not config.trainer.fast_dev_run:
            self._create_folder(file)
        if self.subcommand in ("test", "validate"):
            config.verbose = False  # the run folder's own table has intervals and the fingerprint too
        config.checkpoint.dirpath = str(self.run_dir / "checkpoints")
        if config.data.seed is None:
            config.data.seed = self.seed
        ks = config.model.ks
        for callback in (config.checkpoint, config.early_stopping):
            if callback.monitor == MONITOR and 10 not in ks:
                callback.monitor = f"val/ndcg@{max(ks)}"

    def _check(self, config: Namespace) -> None:
        if config.ckpt_path in ("best", "last") and last_value(self.args, "--ckpt_path") is None:  # add_run did not see it
            options = f"--ckpt_path={config.ckpt_path} and its --run_dir"
            raise DataError(f"{options} must be written out on the command line, not in a config.")
        if self.subcommand == "fit" and (config.checkpoint.dirpath or config.checkpoint.filename != "best"):
            raise DataError(
                "checkpoint.dirpath and checkpoint.filename are fixed, so that a run can be resumed: best.ckpt and last.ckpt "
                "are written to checkpoints/ of --run_dir; leave these options out."
            )
        if self.subcommand != "fit" and config.ckpt_path is None:
            raise DataError(NO_MODEL.format(self.subcommand))

    def _create_folder(self, config: Path) -> None:
        try:
            self.run_dir.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise DataError(f"{self.run_dir} cannot be created ({err.strerror}); give another --run_dir.") from err
        if self.subcommand == "fit" and not config.exists():
            # Before the data is built, which may take long: a run that is killed then can be resumed too.
            self.new_config = config
            write_text_atomic(config, self.saved_config)

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
            source = self.config[self.subcommand].from_run
            if self.subcommand == "fit" and source is not None and not self.resume:
                warm_start(self.model, self.datamodule, Path(source))
        except Exception as err:
            if self.new_config:
                self.new_config.unlink(missing_ok=True)  # settings that are refused leave no run
            if isinstance(err, ValueError | MisconfigurationException) and not isinstance(err, DataError):
                raise DataError(first_reason(err)) from err  # a plugin or the trainer rejects its arguments
            raise

    def _run_subcommand(self, subcommand: str) -> None:
        try:
            super()._run_subcommand(subcommand)
        except RuntimeError as err:
            if "loading state_dict" not in str(err):
                raise
            path = self.config[subcommand].ckpt_path
            raise DataError(f"{path} does not fit the model of these options: {' '.join(str(err).split()[:60])}") from err
        finally:
            for logger in self.trainer.loggers:
                if isinstance(logger, WandbLogger):
                    logger.experiment.finish()  # otherwise the next run of this process would continue it

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        config = self.config[self.subcommand]
        if config.trainer.logger is None:
            is_fit = self.subcommand == "fit"
            kwargs["logger"] = create_loggers(config.loggers, self.run_dir, resume=self.resume) if is_fit else False
        command = f"interestlab fit --run_dir={self.run_dir} --ckpt_path=last"
        last = LastCheckpoint(config.checkpoint.dirpath, config.checkpoint_minutes, command)
        label = f"{self.recipe.name} {self.recipe.digest}" if self.recipe else None
        run_folder = RunFolder(self.run_dir, self.saved_config, self.seed, label)
        self.trainer_defaults["callbacks"] = [last, run_folder, LastValidation(), Cost(self.run_dir)]
        plugins = self._get(self.config_init, "trainer").plugins or []
        plugins = plugins if isinstance(plugins, list) else [plugins]
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            kwargs["plugins"] = [*plugins, HashedCheckpointIO()]
        if self.subcommand == "fit":
            remove_partial_checkpoints(Path(config.checkpoint.dirpath))
        return super().instantiate_trainer(default_root_dir=str(self.run_dir), **kwargs)

    @property
    def seed(self) -> int:
        """Return the seed of the run."""
        return self.config[self.subcommand].seed_everything

    def after_fit(self) -> None:
        """Test the best checkpoint of the run."""
        best = getattr(self.trainer.checkpoint_callback, "best_model_path", "")
        if is_fast_dev_run(self.trainer) or not self.config.fit.test_after_fit:
            return
        if best:
            self.trainer.test(self.model, datamodule=self.datamodule, ckpt_path=best, verbose=False, weights_only=True)
        else:
            log.info("the run was never validated, so there is no best checkpoint to test; train for more epochs.")


def default_name(config: Namespace, recipe: Recipe | None) -> str:
    """Return the name of the last config file, without its suffix; failing that, of the recipe.

    Args:
        config: config of the run.
        recipe: recipe of the run.
    """
    files = [Path(str(file)) for file in config.get("config") or [] if file is not None]
    if config.from_run is not None and len(files) == 1:  # the config of that run
        return Path(config.from_run).name
    return files[-1].stem if files else recipe.name if recipe else "run"
