"""The run folder, and the commands that read it."""

import json
import subprocess
import sys

import polars as pl
import pytest
import torch

from interestlab.cli.main import main, run
from interestlab.training.lightning_module import InterestModel
from interestlab.training.loggers.jsonl import read_metrics

SHOP = ["--data.source=simulated", "--data.source.users=30", "--data.source.items=40", "--data.source.events=6"]
ID = ["--model.encoder=id", "--model.dynamics=ewma"]


def test_run_folder_contains_all_results(fit, tmp_path):
    cli = fit(*ID)
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert {
        "config.yaml",
        "versions.json",
        "metrics.json",
        "metrics.jsonl",
        "cost.json",
        "ranks.parquet",
        "checkpoints",
    } <= names
    assert {p.name for p in (tmp_path / "run" / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert {p.name for p in tmp_path.iterdir()} == {"run"}
    result = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert {"source", "data", "k_core", "ties", "split", "history", "seed"} <= result["fingerprint"].keys()
    low, high = result["test/ndcg@10/ci95"]
    assert low <= result["test/ndcg@10"] <= high
    ranks = pl.read_parquet(tmp_path / "run" / "ranks.parquet")
    assert ranks["user_id"].is_unique().all()
    untied = ranks.filter(pl.col("tied") == 0)
    if untied.height == ranks.height:
        assert result["test/recall@10"] == pytest.approx((ranks["rank"] <= 10).mean())
    assert cli.datamodule.log.meta["users"] >= ranks.height


def test_cost_of_a_run(fit, bert, tmp_path):
    encoder = f"{{class_path: lora, init_args: {{model: {bert}, max_length: 6, layers: 1}}}}"
    cli = fit(f"--model.encoder={encoder}", "--model.dynamics=ewma", "--trainer.max_epochs=3", "--trainer.max_steps=-1")
    cost = json.loads((tmp_path / "run" / "cost.json").read_text())
    assert cost.keys() == {
        *("trainable_parameters", "parameters", "epochs", "steps", "seconds_before", "seconds", "seconds_per_epoch"),
        *("peak_memory_mb", "processes", "device"),
    }
    sizes = {flag: sum(p.numel() for p in cli.model.parameters() if p.requires_grad >= flag) for flag in (True, False)}
    assert (cost["trainable_parameters"], cost["parameters"]) == (sizes[True], sizes[False])
    assert sizes[True] < sizes[False] / 2
    assert (cost["epochs"], cost["steps"]) == (3, cli.trainer.global_step)
    assert 0 < cost["seconds_per_epoch"] <= cost["seconds"]
    assert cost["seconds_before"] > 0  # caching the frozen layers
    assert cost["peak_memory_mb"] > 50
    assert (cost["processes"], cost["device"]) == (1, "cpu")


def test_a_resumed_run_counts_every_epoch(fit, tmp_path):
    epochs = ["--trainer.max_steps=-1", "--trainer.max_epochs"]
    fit(*ID, f"{epochs[1]}=2", epochs[0])
    first = json.loads((tmp_path / "run" / "cost.json").read_text())
    fit(*ID, f"{epochs[1]}=5", epochs[0], "--ckpt_path=last")
    second = json.loads((tmp_path / "run" / "cost.json").read_text())
    assert (first["epochs"], second["steps"]) == (2, 5 * first["steps"] // 2)
    assert second["epochs"] == 5  # including those of the first fit


def test_the_default_folder_is_named_by_time_and_config(monkeypatch, tmp_path):
    (tmp_path / "mine.yaml").write_text("model: {encoder: id, dynamics: ewma, objective: next_item}\n")
    run(["fit", f"--config={tmp_path / 'mine.yaml'}", *SHOP, "--trainer.max_steps=1", "--trainer.enable_progress_bar=false"])
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("-mine")


def test_same_seed_same_result(fit, tmp_path):
    result = []
    for folder in ("a", "b"):
        fit("--model.encoder=id", "--model.dynamics=transformer", steps=4, folder=folder)
        result.append(json.loads((tmp_path / folder / "metrics.json").read_text()))
    assert result[0] == result[1]


def test_a_run_is_not_overwritten(fit, capsys):
    fit(*ID)
    with pytest.raises(SystemExit):
        fit(*ID)
    assert "already contains a run" in capsys.readouterr().err


def test_a_rejected_fit_creates_no_run(fit, tmp_path):
    with pytest.raises(SystemExit):
        fit(*ID, "--model.dim=0")
    assert list((tmp_path / "run").iterdir()) == []
    fit(*ID)


def test_resume_continues_the_run(fit, tmp_path):
    fit(*ID, steps=1)
    cli = fit(*ID, "--ckpt_path=last", steps=3)
    assert cli.trainer.global_step == 3


def test_a_run_folder_in_a_config_is_not_overwritten(fit, tmp_path, capsys):
    cli = fit(*ID)
    before = (tmp_path / "run" / "checkpoints" / "last.ckpt").read_bytes()
    (tmp_path / "config.yaml").write_text(f"run_dir: {cli.run_dir}\n")  # also in the working directory
    with pytest.raises(SystemExit):
        main(["fit", "--config=config.yaml", *SHOP, *ID, "--model.objective=next_item", "--ckpt_path=last"])
    assert "need a --run_dir" in capsys.readouterr().err
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").read_bytes() == before


def test_predict_writes_unseen_items_best_first(fit, tmp_path):
    fit(*ID)
    stale = tmp_path / "run" / "predictions-1.parquet"  # left by a run with several processes
    stale.touch()
    cli = run(["predict", f"--run_dir={tmp_path / 'run'}", "--model.top_k=7", "--trainer.enable_progress_bar=false"])
    assert not stale.exists()
    predictions = pl.read_parquet(tmp_path / "run" / "predictions.parquet")
    assert predictions.group_by("user_id").len()["len"].to_list() == [7] * cli.datamodule.log.meta["users"]
    assert predictions.select((pl.col("score").diff().over("user_id") <= 0).all()).item()
    log = cli.datamodule.log
    events = log.events.select("user", "item").collect()
    seen = set(zip(log.users.gather(events["user"]), log.items["item_id"].gather(events["item"]), strict=True))
    assert not seen & set(zip(predictions["user_id"], predictions["item_id"], strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["id", "frozen"])
def test_a_checkpoint_reloads_in_a_fresh_process(fit, tmp_path, encoder):
    model = fit(f"--model.encoder={encoder}", "--model.dynamics=momentum").model
    checkpoint = tmp_path / "run" / "checkpoints" / "best.ckpt"
    torch.save(model.state_dict(), tmp_path / "expected.pt")
    code = f"""
import sys, torch
from interestlab.training.lightning_module import InterestModel
assert not any(m.startswith("interestlab_") for m in sys.modules)
model = InterestModel.load_from_checkpoint({str(checkpoint)!r}, weights_only=True)
expected = torch.load({str(tmp_path / "expected.pt")!r}, weights_only=True)
torch.testing.assert_close(dict(model.state_dict()), dict(expected), rtol=0, atol=0)
"""
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr


def test_a_checkpoint_contains_only_plain_values(fit, tmp_path):
    fit("--model.encoder={text: frozen, id: id}", "--model.fusion=attention", "--model.dynamics=transformer")
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["hyper_parameters"]
    assert json.loads(json.dumps(state)) == state
    assert state["encoder"]["text"]["class_path"] == "interestlab.encoders.frozen"


def test_command_line_options_override_the_checkpoint(fit, tmp_path, capsys):
    fit(*ID, "--model.ks=[5,10]")
    checkpoint = tmp_path / "run" / "checkpoints" / "best.ckpt"
    quiet = ["--trainer.enable_progress_bar=false", f"--run_dir={tmp_path / 'other'}"]
    from_checkpoint = run(["test", f"--ckpt_path={checkpoint}", *SHOP, *quiet[:1]])
    assert from_checkpoint.model.ks == [5, 10]
    overridden = run(["test", f"--ckpt_path={checkpoint}", *SHOP, "--model.ks=[3]", *quiet[:1]])
    assert overridden.model.ks == [3]
    with pytest.raises(SystemExit):
        run(["test", f"--ckpt_path={checkpoint}", *SHOP, "--model.dim=32", *quiet[:1]])
    assert "does not fit the model" in capsys.readouterr().err


def test_models_are_built_and_loaded_in_python(fit, tmp_path):
    from interestlab import dynamics, encoders, objectives

    model = InterestModel(encoders.id(), dynamics.momentum(dim=8), objectives.next_item(), {"item.id": 5}, dim=8)
    assert model.hparams["encoder"] == {"class_path": "interestlab.encoders.id", "init_args": {}}
    fit(*ID)
    reloaded = InterestModel.load_from_checkpoint(tmp_path / "run" / "checkpoints" / "best.ckpt", top_k=3)
    assert reloaded.top_k == 3


@pytest.mark.parametrize("more", [[], pytest.param(["wandb"], marks=pytest.mark.slow)], ids=["local", "wandb"])
def test_all_loggers_write_into_the_run_folder(fit, tmp_path, more):
    fit(*ID, f"--loggers=[{','.join(['jsonl', 'tensorboard', *more])}]")
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert {"metrics.jsonl", "tensorboard", *more} <= names
    assert {p.name for p in tmp_path.iterdir()} == {"run"}


@pytest.mark.parametrize("command", ["test", "validate", "predict"])
def test_a_folder_without_a_run_is_reported_in_one_line(capsys, command):
    with pytest.raises(SystemExit) as exit_info:
        main([command, "--run_dir=nowhere"])
    assert exit_info.value.code == 2
    assert "nowhere has no config.yaml" in capsys.readouterr().err


def test_a_pickled_checkpoint_is_rejected(tmp_path, capsys):
    (tmp_path / "evil.ckpt").write_bytes(b"\x80\x04cos\nsystem\n(S'echo no'\ntR.")
    with pytest.raises(SystemExit) as exit_info:
        main(["test", f"--ckpt_path={tmp_path / 'evil.ckpt'}", "--data.source=simulated"])
    assert exit_info.value.code == 2
    assert "could run code" in capsys.readouterr().err


def test_a_saved_config_starts_a_new_run_and_leaves_the_first_unchanged(fit, tmp_path):
    fit(*ID)
    before = (tmp_path / "run" / "checkpoints" / "best.ckpt").read_bytes()
    run(["fit", f"--config={tmp_path / 'run' / 'config.yaml'}", f"--run_dir={tmp_path / 'other'}", "--seed_everything=5"])
    assert (tmp_path / "run" / "checkpoints" / "best.ckpt").read_bytes() == before
    assert (tmp_path / "other" / "checkpoints" / "best.ckpt").exists()
    result = [json.loads((tmp_path / name / "metrics.json").read_text())["fingerprint"] for name in ("run", "other")]
    assert [(t["seed"], t["data_seed"]) for t in result] == [(0, 0), (5, 5)]


def test_a_run_resumes_from_its_folder_and_appends_to_its_metrics(fit, tmp_path):
    fit(*ID, steps=1)
    before = read_metrics(tmp_path / "run" / "metrics.jsonl")
    cli = run(["fit", f"--run_dir={tmp_path / 'run'}", "--ckpt_path=last", "--trainer.max_steps=2"])
    assert cli.trainer.global_step == 2
    after = read_metrics(tmp_path / "run" / "metrics.jsonl")
    training_rows = before.filter(pl.col("test/ndcg@10").is_null())  # the resumed run is tested again
    assert after.head(training_rows.height).select(before.columns).equals(training_rows)
    assert after["test/ndcg@10"].is_not_null().sum() == 1
    assert len(list((tmp_path / "run").rglob("metrics.jsonl"))) == 1


def test_only_leftovers_of_a_run_are_removed(fit, tmp_path):
    own_file, leftover = tmp_path / ".mine.part", tmp_path / "checkpoints" / ".best.ckpt.part"
    leftover.parent.mkdir()
    for file in (own_file, leftover):
        file.touch()
    fit(*ID, "--run_dir=.")
    assert (own_file.exists(), leftover.exists()) == (True, False)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["test", *ID], "needs a trained model"),
        (["predict"], "predict needs a trained model"),
        (["predict", *ID, "--ckpt_path=nope.ckpt"], "nope.ckpt is not a file"),
        (["fit", *ID, "--ckpt_path=last"], "last is not a file"),
        (["fit", *ID, "--config={ckpt_path: last}", "--run_dir=run"], "must be written out on the command line"),
        (["fit", *ID, "--checkpoint.dirpath=elsewhere"], "checkpoints/ of --run_dir"),
        (["fit", *ID, "--checkpoint.filename=mine"], "checkpoints/ of --run_dir"),
        (["fit", *ID, "--model.dim=0"], "dim must be at least 1"),
        (["fit", *ID, "--model.optim.lr=-1"], "lr must be at least 0"),
        (["fit", *ID, "--run_dir=/proc/none"], "cannot be created"),
        (["fit", "--model.encoder={item: id}", "--model.dynamics=ewma"], "be called 'item'"),
        (["fit", "--model.encoder={type: id}", "--model.dynamics=ewma"], "be called 'type'"),
        (["fit", "--model.encoder=frozen", "--model.encoder.fields=[item.description+item.price_tag]", *ID[1:]], "price_tag"),
    ],
)
def test_invalid_settings_are_reported_in_one_line(capsys, args, message):
    shop = ["--data.source=simulated", "--data.source.users=30", "--data.source.items=40", "--model.objective=next_item"]
    with pytest.raises(SystemExit) as exit_info:
        main([args[0], *shop, *args[1:]])
    assert exit_info.value.code == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize("config_option", [["--config", "bad.yaml"], ["--config=bad.yaml"], ["-c", "bad.yaml"]])
def test_a_config_that_is_not_utf8_is_reported(capsys, tmp_path, config_option):
    (tmp_path / "bad.yaml").write_bytes(b"model: \xff")
    with pytest.raises(SystemExit) as exit_info:
        main(["fit", *config_option])
    assert exit_info.value.code == 2
    err = capsys.readouterr().err
    assert "not UTF-8" in err
    assert "byte 8" in err
    assert "bad.yaml" in err


def test_an_empty_text_column_is_rejected(capsys, tmp_path):
    (tmp_path / "e.csv").write_text(
        "user_id,item_id,timestamp\n" + "".join(f"u{u},i{t},{u + t + 1}\n" for u in range(4) for t in range(5))
    )
    files = ["--data.source=files", f"--data.source.interactions={tmp_path / 'e.csv'}", "--model.objective=next_item"]
    with pytest.raises(SystemExit):
        main(["fit", *files, "--model.encoder=frozen", "--model.dynamics=ewma", "--trainer.max_steps=1"])
    assert "no item has a value for item.title" in capsys.readouterr().err


@pytest.mark.parametrize(
    "precision",
    [pytest.param("bf16-true", marks=pytest.mark.slow), "bf16-mixed", pytest.param("64-true", marks=pytest.mark.slow)],
)
def test_precisions(fit, precision):
    clip = ["--trainer.gradient_clip_val=1.0"] if precision == "bf16-mixed" else []
    encoder = "--model.encoder={id: id, text: {class_path: frozen, init_args: {max_length: 6}}}"
    fit(encoder, "--model.fusion=attention", "--model.dynamics=transformer", f"--trainer.precision={precision}", *clip)


def test_monitored_metric_follows_the_cutoffs(fit):
    assert fit(*ID, "--model.ks=[3]").trainer.checkpoint_callback.monitor == "val/ndcg@3"


def test_fit_prints_one_line_per_validation(fit, tmp_path, capsys):
    fit(*ID, "--trainer.max_epochs=2", "--trainer.max_steps=-1", "--test_after_fit=false")
    out, err = capsys.readouterr()
    assert "val/" not in out
    values = read_metrics(tmp_path / "run" / "metrics.jsonl")["val/ndcg@10"].drop_nulls()
    lines = [line for line in err.splitlines() if "val/" in line]
    assert lines == [f"epoch {epoch}: val/ndcg@10 {value:.4f}" for epoch, value in enumerate(values)]
    assert len(lines) == 2


def test_metrics_are_printed_in_order_of_their_cutoffs(fit, tmp_path, capsys):
    fit(*ID)
    printed = [line.split()[1] for line in capsys.readouterr().out.splitlines() if "test/" in line]
    assert printed == [f"test/{name}@{k}" for name in ("mrr", "ndcg", "recall") for k in (5, 10, 20)]


def test_validate_prints_the_fingerprint_and_the_checkpoint_contains_it(fit, tmp_path, capsys):
    fit(*ID)
    capsys.readouterr()
    run(["validate", f"--run_dir={tmp_path / 'run'}"])
    out = capsys.readouterr().out
    assert "val/ndcg@10" in out
    assert "split=leave_one_out" in " ".join(out.split())
    fingerprint = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)["fingerprint"]
    assert fingerprint == json.loads((tmp_path / "run" / "metrics.json").read_text())["fingerprint"]


@pytest.mark.parametrize(
    ("optimizer", "candidates"),
    [
        ("adamw", "batch"),
        ("adafactor", "catalogue"),
        pytest.param("adamw", "catalogue", marks=pytest.mark.slow),
        pytest.param("adafactor", "batch", marks=pytest.mark.slow),
    ],
)
def test_optimisers_and_candidates(fit, optimizer, candidates):
    objective = ["--model.objective=next_item", f"--model.objective.candidates={candidates}"]
    schedule = ["--model.optim.schedule=cosine", "--model.optim.warmup=2"]
    cli = fit(*ID, *objective, f"--model.optim.optimizer={optimizer}", *schedule, steps=3)
    assert type(cli.trainer.optimizers[0]).__name__.lower() == optimizer
    assert all(p.isfinite().all() for p in cli.model.parameters())


def test_seen_items_are_ranked_if_history_is_included(fit, tmp_path):
    fit(*ID)
    excluded = pl.read_parquet(tmp_path / "run" / "ranks.parquet")
    run(["test", f"--run_dir={tmp_path / 'run'}", "--data.exclude_history=false"])
    included = pl.read_parquet(tmp_path / "run" / "ranks.parquet")
    assert (included["rank"] >= excluded["rank"]).all()
    assert included["rank"].sum() > excluded["rank"].sum()
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["fingerprint"]["history"] == "included"
