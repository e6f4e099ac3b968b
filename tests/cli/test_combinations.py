"""Combinations of the installed encoders, fusion heads and dynamics are fitted for one step, tested and reloaded."""

import itertools
import json

import numpy as np
import polars as pl
import pytest
from lightning.pytorch import Trainer

from interestlab import objectives, sources
from interestlab.cli.main import run
from interestlab.data.datamodule import InterestData
from interestlab.registry import DYNAMICS, ENCODERS, FUSION
from interestlab.training.lightning_module import InterestModel

NAMES = ENCODERS.names(), FUSION.names(), DYNAMICS.names()
QUIET = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}

# Combinations that contain every plugin at least once.
COMBINATIONS = [tuple(names[i % len(names)] for names in NAMES) for i in range(max(map(len, NAMES)))]


@pytest.fixture(scope="session")
def encoder_arguments(bert, vit, tmp_path_factory):
    """Return the arguments of each encoder by name; images and vectors belong to the items of the simulated shop."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("items")
    items = [f"i{n:05}" for n in range(1, 41)]
    vectors = np.random.default_rng(0).normal(size=(40, 3))
    pl.DataFrame({"item_id": items, "vector": vectors.tolist()}).write_parquet(folder / "vectors.parquet")
    for item, pixel in zip(items, vectors, strict=True):
        Image.fromarray(np.full((9, 9, 3), 40 * pixel + 128, np.uint8)).save(folder / item, "png")
    text = {"model": bert, "max_length": 6}
    return dict.fromkeys(ENCODERS.names(), text) | {
        "behaviour": {},
        "features": {"file": str(folder / "vectors.parquet")},
        "id": {},
        "image": {"model": vit, "root": str(folder), "fields": ["item.id"]},
        "peft": text | {"method": "vera", "config": {"r": 4}},
    }


def streams(encoder, arguments):
    """Return the specs of the encoder and of two id encoders, so that item and event streams are both fused."""
    main = {"class_path": encoder, "init_args": arguments}
    id_fields = {"brand": "item.brand", "kind": "event.event"}
    return {"main": main} | {name: {"class_path": "id", "init_args": {"field": field}} for name, field in id_fields.items()}


def test_numbers_of_plugins():
    assert [len(names) for names in NAMES] == [14, 7, 14]
    assert [set(part) for part in zip(*COMBINATIONS, strict=True)] == [set(names) for names in NAMES]


@pytest.mark.parametrize(
    ("encoder", "fusion", "dynamics"),
    [pytest.param(*names, marks=[pytest.mark.slow] * (i > 0)) for i, names in enumerate(COMBINATIONS)],
)
def test_fits_from_the_command_line(fit, encoder_arguments, tmp_path, encoder, fusion, dynamics):
    mapping = json.dumps(streams(encoder, encoder_arguments[encoder]))
    cli = fit(f"--model.encoder={mapping}", f"--model.fusion={fusion}", f"--model.dynamics={dynamics}")
    assert cli.trainer.global_step == 1
    first = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert 0 <= first["test/recall@10"] <= 1
    (tmp_path / "run" / "metrics.json").unlink()
    reloaded = run(["test", f"--run_dir={tmp_path / 'run'}", "--trainer.enable_progress_bar=false"])
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == first
    assert reloaded.model.hparams["dynamics"]["class_path"] == f"interestlab.dynamics.{dynamics}"
    assert reloaded.model.hparams["encoder"]["main"]["class_path"] == f"interestlab.encoders.{encoder}"


# Built in Python, because the command line takes ten times as long.
@pytest.mark.parametrize(
    ("encoder", "fusion", "every_dynamics"),
    [
        *((encoder, fusion, [dynamics]) for encoder, fusion, dynamics in COMBINATIONS),
        *(pytest.param(*names, DYNAMICS.names(), marks=pytest.mark.slow) for names in itertools.product(*NAMES[:2])),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0] if len(value) == 1 else "all",
)
def test_fits_from_python(encoder_arguments, tmp_path, encoder, fusion, every_dynamics):
    data = InterestData(sources.simulated(users=30, items=40, events=6), max_history=8)
    for dynamics in every_dynamics:
        encoders = {
            name: ENCODERS.load(spec["class_path"])(**spec["init_args"])
            for name, spec in streams(encoder, encoder_arguments[encoder]).items()
        }
        model = InterestModel(
            encoders,
            DYNAMICS.load(dynamics)(dim=8),
            objectives.next_item(),
            data.cardinalities,
            FUSION.load(fusion)(dim=8),
            dim=8,
        )
        trainer = Trainer(max_steps=1, limit_val_batches=0, enable_checkpointing=False, **QUIET)
        trainer.fit(model, data)
        assert trainer.global_step == 1
        first = trainer.test(model, data, verbose=False)
        trainer.save_checkpoint(tmp_path / "it.ckpt", weights_only=True)
        reloaded = InterestModel.load_from_checkpoint(tmp_path / "it.ckpt", weights_only=True)
        assert trainer.test(reloaded, data, verbose=False) == first, dynamics
