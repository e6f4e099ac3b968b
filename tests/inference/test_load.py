"""Load a recommender from a run folder, and the errors of damaged or changed runs."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import torch

from interestlab import load
from interestlab.cli.main import run
from interestlab.errors import DataError

QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--trainer.accelerator=cpu"]
ID_OPTIONS = "--model.encoder=id", "--model.dynamics=ewma"


@pytest.fixture(scope="session")
def rows():
    """Return a log without event types, with integer items and a text column ``hour``."""
    rng = random.Random(0)
    return [
        {"user_id": f"u{u}", "item_id": rng.randrange(7), "timestamp": 1_700_000_000 + 9_000 * e, "hour": rng.choice("ab")}
        for u in range(12)
        for e in range(6)
    ]


@pytest.fixture(scope="session")
def fitted_to_files(rows, tmp_path_factory):
    """Return the folder of a run on a file, with that file."""
    folder = tmp_path_factory.mktemp("files")
    pl.DataFrame(rows).write_csv(folder / "events.csv")
    signals = {name: {"class_path": "behaviour", "init_args": {"field": f"event.{name}"}} for name in ("event", "hour")}
    model = [f"--model.encoder={json.dumps({'id': 'id'} | signals)}", "--model.fusion=concat", "--model.dynamics=ewma"]
    source = ["--data.source=files", f"--data.source.interactions={folder / 'events.csv'}", f"--data.cache_dir={folder}"]
    rest = ["--model.objective=next_item", "--trainer.max_steps=2", "--test_after_fit=false", f"--run_dir={folder / 'run'}"]
    cli = run(["fit", *model, *source, *QUIET, *rest])
    cli.trainer.predict(cli.model, datamodule=cli.datamodule, ckpt_path="best", weights_only=True)
    return folder


@pytest.fixture
def files(fitted_to_files, tmp_path):
    """Return a copy of that folder, which the test may damage."""
    for path in ("run", "events.csv"):
        (shutil.copytree if path == "run" else shutil.copyfile)(fitted_to_files / path, tmp_path / path)
    return tmp_path


def load_error(run, *args, **options):
    with pytest.raises(DataError) as err:
        load(run, *args, **options)
    assert "\n" not in str(err.value)
    return str(err.value)


def test_importing_the_package_imports_no_torch():
    code = "import sys, interestlab; print('torch' in sys.modules, *interestlab.__all__)"
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert completed.stdout.split() == ["False", "load"]


@pytest.mark.slow
def test_a_fresh_process_loads_a_run(fitted, loaded):
    code = "import sys; from interestlab import load; print(load(sys.argv[1]).recommend(['i00001']).write_json())"
    completed = subprocess.run([sys.executable, "-c", code, fitted(*ID_OPTIONS)], capture_output=True, text=True, check=True)
    assert json.loads(completed.stdout) == loaded(*ID_OPTIONS).recommend(["i00001"]).to_dicts()


def test_recommendations_from_a_file_log_equal_the_predictions(fitted_to_files, rows):
    recommender = load(fitted_to_files / "run", "last")
    expected = pl.read_parquet(fitted_to_files / "run" / "predictions.parquet")
    recommender = load(fitted_to_files / "run")
    for (user,), frame in expected.group_by("user_id"):
        recommendations = recommender.recommend([row for row in rows if row["user_id"] == user])
        assert recommendations["item_id"].to_list() == frame["item_id"].to_list()
        assert recommendations["score"].to_list() == pytest.approx(frame["score"].to_list(), abs=1e-6)


def test_the_last_checkpoint(fitted):
    folder = fitted(*ID_OPTIONS)
    best, last = (load(folder, name).model.state_dict() for name in ("best", "last"))
    assert best.keys() == last.keys()


def test_moved_data_file(files, fitted_to_files):
    (files / "events.csv").rename(files / "moved.csv")
    override = f"--data.source.interactions={files / 'moved.csv'}"
    recommendations = load(files / "run", overrides=[override]).recommend([{"item_id": 1}])
    assert recommendations.equals(load(fitted_to_files / "run").recommend(["1"]))
    assert "gone.csv" in load_error(files / "run", overrides=["--data.source.interactions=gone.csv"])
    assert "config.yaml" in load_error(files / "run", overrides=["--data.source.file=gone.csv"])


def test_changed_data_file(files):
    with (files / "events.csv").open("a") as file:
        file.write("u0,3,1700900000,a\n")
    override = f"--data.source.interactions={files / 'events.csv'}"
    message = load_error(files / "run", overrides=[override])
    assert message.startswith(f"the data is not that of {files / 'run'}: data=")
    assert "events=73 where the run had 72" in message
    assert "k_core=2" in load_error(files / "run", overrides=["--data.k_core=2"])


def test_missing_files_are_named(files):
    assert load_error(files / "none") == f"{files / 'none' / 'config.yaml'} does not exist; give the folder of a finished fit."
    assert "checkpoints/worst.ckpt does not exist" in load_error(files / "run", "worst")
    (files / "run" / "config.yaml").unlink()
    assert "config.yaml does not exist" in load_error(str(files / "run"))


@pytest.mark.parametrize(
    "config", ["", "model: {}", "data: [", "data: {source: nothing}", "seed_everything: 0\ndata: {seed: 1}"]
)
def test_damaged_config(files, config):
    (files / "run" / "config.yaml").write_text(config)
    assert load_error(files / "run").startswith(f"{files / 'run' / 'config.yaml'}: ")


@pytest.mark.parametrize("damage", ["cut", "other", "empty"])
def test_damaged_checkpoint(files, damage):
    file = files / "run" / "checkpoints" / "best.ckpt"
    if damage == "other":
        torch.save({"weights": torch.zeros(1)}, file)
    else:
        file.write_bytes(file.read_bytes()[: 1000 if damage == "cut" else 0])
    assert load_error(files / "run").startswith(f"{file} cannot be loaded: ")


def test_a_checkpoint_contains_the_trained_parameters_and_names_its_base_model(
    fitted, recommender_for, model_options, tmp_path
):
    folder, model = fitted(*model_options["lora"]), recommender_for("lora").model
    checkpoint = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    encoder_tensors = [
        t
        for name, t in checkpoint["state_dict"].items()
        if name.startswith("backbone.encoders") and isinstance(t, torch.Tensor)
    ]
    assert sum(t.numel() for t in encoder_tensors) < sum(p.numel() for p in model.backbone.encoders.parameters()) / 4
    shutil.copytree(folder, tmp_path / "copy")
    checkpoint["hyper_parameters"]["encoder"]["init_args"]["model"] = str(tmp_path / "gone")
    torch.save(checkpoint, tmp_path / "copy" / "checkpoints" / "best.ckpt")
    assert str(tmp_path / "gone") in load_error(tmp_path / "copy")
    assert load(Path(folder)).recommend(["i00001"]).equals(recommender_for("lora").recommend(["i00001"]))
