"""``interestlab fit | validate | test | predict``: a LightningCLI over the one model and the one data module."""

import json
import logging
import os
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NoReturn, cast

import torch
from jsonargparse import Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_info

from interestlab.cli import shortnames
from interestlab.cli.errors import told_in_one_line
from interestlab.cli.run_folder import RunFolder, is_dry
from interestlab.contract import DataError
from interestlab.data.module import InterestData
from interestlab.model import InterestModel
from interestlab.registry import REGISTRIES


class Parser(LightningArgumentParser):
    """A parser whose errors are a line, without the hundred options of the usage."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        parser = getattr(ex, "subcommand_parser", None) or self
        self.exit(2, f"{parser.prog.replace(' [options]', '')}: {message}\n{shortnames.mistaken_files()}")


class InterestCLI(LightningCLI):
    """LightningCLI with plugin names, one folder a run, and a test at the end of ``fit``."""

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
        for part in ("fusion", "dynamics"):
            parser.link_arguments("model.dim", f"model.{part}.init_args.dim")
        parser.link_arguments("data.sizes", "model.sizes", apply_on="instantiate")
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(EarlyStopping, "early_stopping")
        best = {"monitor": "val/ndcg@10", "mode": "max"}
        parser.set_defaults(
            {f"early_stopping.{k}": v for k, v in (best | {"patience": 10, "check_on_train_epoch_end": False}).items()}
            | {
                f"checkpoint.{k}": v
                for k, v in (best | {"filename": "best", "save_last": True, "enable_version_counter": False}).items()
            }
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        self.config = parser.parse_args(cast(list[str], args))  # Lightning's own warns where args are given

    def _parse_ckpt_path(self) -> None:
        """Nothing: Lightning's own would let the checkpoint win over what the user typed; see :func:`with_checkpoint`."""

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        if config.run_dir is None:
            config.run_dir = str(Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-{config.run_name or name_of(config)}")
        self.run_dir = Path(config.run_dir)
        if self.subcommand == "test":
            config.verbose = False  # the run folder's own table has the intervals too
        if self.subcommand == "fit" and (self.run_dir / "config.yaml").exists() and config.ckpt_path is None:
            raise DataError(f"{self.run_dir} holds a run already; give another --run_dir, or resume it with --ckpt_path=last.")
        config.checkpoint.dirpath = config.checkpoint.dirpath or str(self.run_dir / "checkpoints")

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
        except ValueError as err:  # a part says what is wrong with its arguments
            raise DataError(str(err)) from err

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
        parser = self._parser(self.subcommand)
        if self.config[self.subcommand].trainer.logger is None:
            kwargs["logger"] = (
                loggers(self.config[self.subcommand].loggers, self.run_dir) if self.subcommand == "fit" else False
            )
        folder = RunFolder(self.run_dir, lambda: parser.dump(self.config[self.subcommand], skip_none=False), self._seed)
        self.trainer_defaults["callbacks"] = [folder]
        return super().instantiate_trainer(default_root_dir=str(self.run_dir), **kwargs)

    @property
    def _seed(self) -> int:
        return self.config[self.subcommand].seed_everything

    def after_fit(self) -> None:
        """Test the best checkpoint of the run."""
        best = getattr(self.trainer.checkpoint_callback, "best_model_path", "")
        if is_dry(self.trainer) or not self.config.fit.test_after_fit:
            return
        if not best:
            rank_zero_info("nothing was validated, so there is no best checkpoint to test; train for more epochs.")
        else:
            self.trainer.test(self.model, datamodule=self.datamodule, ckpt_path=best, verbose=False, weights_only=True)


def run(args: list[str]) -> InterestCLI:
    """Parse and run; the objects that ran are returned, for tests."""
    shortnames.install()
    quiet()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # batches may be assembled in forked processes
    if not (os.environ.get("WANDB_API_KEY") or Path("~/.netrc").expanduser().exists()):
        os.environ.setdefault("WANDB_MODE", "offline")
    names = "; ".join(f"{r.kind}: {', '.join(r.names())}" for r in REGISTRIES.values())
    epilog = {"epilog": f"Installed plugins. {names}. Arguments of one: --model.encoder.help NAME"}
    with told_in_one_line():
        return InterestCLI(
            InterestModel,
            InterestData,
            parser_class=Parser,
            args=shortnames.ordered(with_checkpoint(with_run(args))),
            seed_everything_default=0,
            trainer_defaults={"use_distributed_sampler": False, "num_sanity_val_steps": 0},
            save_config_callback=None,
            auto_configure_optimizers=False,
            parser_kwargs={command: dict(epilog) for command in ("fit", "validate", "test", "predict")},
        )


def quiet() -> None:
    """Leave out what Lightning says of its other products, and of frozen parts being in evaluation mode, as they are meant."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(lambda record: "Tip:" not in record.getMessage())
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")


def option(args: list[str], name: str) -> str | None:
    """The last value of an option in a command line."""
    value = None
    for arg, after in zip(args, [*args[1:], ""], strict=True):
        if arg == name:
            value = after
        elif arg.startswith(f"{name}="):
            value = arg.partition("=")[2]
    return value


def with_run(args: list[str]) -> list[str]:
    """The config and the best checkpoint of ``--run_dir``, for the commands that look at a run that is there.

    Raises:
        DataError: the folder holds no run, or no such checkpoint.
    """
    command, rest = args[0], args[1:]
    folder = option(rest, "--run_dir")
    if folder is None:
        return args
    asked = option(rest, "--ckpt_path")
    if command != "fit":
        config = Path(folder) / "config.yaml"
        if config.exists():
            rest = [f"--config={config}", *rest]
            asked = asked or "best"
        elif asked is None:
            raise DataError(f"{folder} holds no config.yaml, so no run was kept there; give the folder of a finished fit.")
    if asked in ("best", "last"):
        checkpoint = Path(folder) / "checkpoints" / f"{asked}.ckpt"
        if not checkpoint.exists():
            raise DataError(f"{checkpoint} is not there; the run kept no such checkpoint.")
        rest = [*rest, f"--ckpt_path={checkpoint}"]
    return [command, *rest]


def with_checkpoint(args: list[str]) -> list[str]:
    """The model that ``--ckpt_path`` holds as the first config, so that whatever the user gives wins over it."""
    path = option(args[1:], "--ckpt_path")
    if path is None or not Path(path).is_file():
        return args
    try:
        held = torch.load(path, weights_only=True, map_location="cpu", mmap=True)["hyper_parameters"]
    except Exception as err:
        raise DataError(f"{path} is not a checkpoint of interestlab that loads safely: {err}".splitlines()[0]) from err
    model = {k: v for k, v in held.items() if k not in ("sizes", "_instantiator")}
    for part in [part for part in ("fusion", "dynamics") if model[part]]:
        model[part] = model[part] | {"init_args": {k: v for k, v in model[part]["init_args"].items() if k != "dim"}}
    return [args[0], f"--config={json.dumps({'model': model})}", *args[1:]]


def name_of(config: Namespace) -> str:
    """The name of a run: that of its last config file."""
    files = [Path(str(file)) for file in config.get("config") or [] if file is not None]
    return files[-1].stem if files else "run"


def loggers(names: list[str], run_dir: Path) -> list[Logger]:
    """Lightning's own loggers, each writing into the folder of the run."""
    made: dict[str, Callable[[], Logger]] = {
        "csv": lambda: CSVLogger(run_dir, name="", version=""),
        "tensorboard": lambda: TensorBoardLogger(run_dir, name="", version="", sub_dir="tensorboard"),
        "wandb": lambda: WandbLogger(name=run_dir.name, save_dir=run_dir, project="interestlab"),
    }
    try:
        return [made[name]() for name in names]
    except ModuleNotFoundError as err:
        raise DataError(f"a logger of {names} is not installed: pip install 'interestlab[tracking]'.") from err
