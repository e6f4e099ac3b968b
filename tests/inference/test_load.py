"""From a run folder to a recommender, and what stands in the way."""

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
ORDERED = "--model.encoder=id", "--model.dynamics=ewma"


@pytest.fixture(scope="session")
def rows():
    """A log without types of events, whose items are numbers and whose hours are told in words."""
    rng = random.Random(0)
    return [
        {"user_id": f"u{u}", "item_id": rng.randrange(7), "timestamp": 1_700_000_000 + 9_000 * e, "hour": rng.choice("ab")}
        for u in range(12)
        for e in range(6)
    ]


@pytest.fixture(scope="session")
def fitted_to_files(rows, tmp_path_factory):
    """A run on a file, and the file."""
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
    """A copy of the run, which the test may damage, and of its file."""
    for path in ("run", "events.csv"):
        (shutil.copytree if path == "run" else shutil.copyfile)(fitted_to_files / path, tmp_path / path)
    return tmp_path


def told(run, *args, **options):
    with pytest.raises(DataError) as err:
        load(run, *args, **options)
    assert "\n" not in str(err.value)
    return str(err.value)


def test_importing_the_package_imports_no_torch():
    code = "import sys, interestlab; print('torch' in sys.modules, *interestlab.__all__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "load"]


def test_a_fresh_process_loads_a_run(fitted, loaded):
    code = "import sys; from interestlab import load; print(load(sys.argv[1]).recommend(['i00001']).write_json())"
    done = subprocess.run([sys.executable, "-c", code, fitted(*ORDERED)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == loaded(*ORDERED).recommend(["i00001"]).to_dicts()


def test_a_log_of_files_is_read_as_it_was(fitted_to_files, rows):
    recommender = load(fitted_to_files / "run", "last")
    expected = pl.read_parquet(fitted_to_files / "run" / "predictions.parquet")
    recommender = load(fitted_to_files / "run")
    for (user,), frame in expected.group_by("user_id"):
        found = recommender.recommend([row for row in rows if row["user_id"] == user])
        assert found["item_id"].to_list() == frame["item_id"].to_list()
        assert found["score"].to_list() == pytest.approx(frame["score"].to_list(), abs=1e-6)


def test_the_last_checkpoint(fitted):
    folder = fitted(*ORDERED)
    best, last = (load(folder, name).model.state_dict() for name in ("best", "last"))
    assert best.keys() == last.keys()


def test_a_file_that_moved(files, fitted_to_files):
    (files / "events.csv").rename(files / "moved.csv")
    override = f"--data.source.interactions={files / 'moved.csv'}"
    found = load(files / "run", overrides=[override]).recommend([{"item_id": 1}])
    assert found.equals(load(fitted_to_files / "run").recommend(["1"]))
    assert "gone.csv" in told(files / "run", overrides=["--data.source.interactions=gone.csv"])
    assert "config.yaml" in told(files / "run", overrides=["--data.source.file=gone.csv"])


def test_a_file_that_changed(files):
    with (files / "events.csv").open("a") as file:
        file.write("u0,3,1700900000,a\n")
    override = f"--data.source.interactions={files / 'events.csv'}"
    message = told(files / "run", overrides=[override])
    assert message.startswith(f"the data is not that of {files / 'run'}: data=")
    assert "events=73 where the run had 72" in message
    assert "k_core=2" in told(files / "run", overrides=["--data.k_core=2"])


def test_what_is_not_there_is_named(files):
    assert told(files / "none") == f"{files / 'none' / 'config.yaml'} does not exist; give the folder of a finished fit."
    assert "checkpoints/worst.ckpt does not exist" in told(files / "run", "worst")
    (files / "run" / "config.yaml").unlink()
    assert "config.yaml does not exist" in told(str(files / "run"))


@pytest.mark.parametrize(
    "config", ["", "model: {}", "data: [", "data: {source: nothing}", "seed_everything: 0\ndata: {seed: 1}"]
)
def test_a_config_that_was_damaged(files, config):
    (files / "run" / "config.yaml").write_text(config)
    assert told(files / "run").startswith(f"{files / 'run' / 'config.yaml'}: ")


@pytest.mark.parametrize("damage", ["cut", "other", "empty"])
def test_a_checkpoint_that_was_damaged(files, damage):
    file = files / "run" / "checkpoints" / "best.ckpt"
    if damage == "other":
        torch.save({"weights": torch.zeros(1)}, file)
    else:
        file.write_bytes(file.read_bytes()[: 1000 if damage == "cut" else 0])
    assert told(files / "run").startswith(f"{file} cannot be loaded: ")


def test_a_checkpoint_holds_what_was_trained_and_names_its_base(fitted, shop, compositions, tmp_path):
    folder, model = fitted(*compositions["lora"]), shop("lora").model
    checkpoint = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    held = [
        t
        for name, t in checkpoint["state_dict"].items()
        if name.startswith("backbone.encoders") and isinstance(t, torch.Tensor)
    ]
    assert sum(t.numel() for t in held) < sum(p.numel() for p in model.backbone.encoders.parameters()) / 4
    shutil.copytree(folder, tmp_path / "copy")
    checkpoint["hyper_parameters"]["encoder"]["init_args"]["model"] = str(tmp_path / "gone")
    torch.save(checkpoint, tmp_path / "copy" / "checkpoints" / "best.ckpt")
    assert str(tmp_path / "gone") in told(tmp_path / "copy")
    assert load(Path(folder)).recommend(["i00001"]).equals(shop("lora").recommend(["i00001"]))
