"""A job of several processes equals the job of one process: curve, weights, metrics, folder and store."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
import torch

from interestlab.training.loggers.jsonl import read_metrics

SHOP = [
    *("--data.source=simulated", "--data.source.users=37", "--data.source.items=40", "--data.source.events=6"),
    *("--data.max_history=8", "--data.batch_events=48", "--model.dim=12", "--trainer.max_steps=6"),
    *("--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--trainer.accelerator=cpu"),
    *("--trainer.log_every_n_steps=1", "--recipe=none"),
]
OBJECTIVES = {
    "catalogue": ["--model.objective=next_item"],
    "batch": ["--model.objective=next_item", "--model.objective.candidates=batch"],
    "sampled": ["--model.objective=sampled_softmax", "--model.objective.num_sampled=8"],
}

GRU = ["--model.dynamics=gru", "--model.dynamics.dropout=0"]
NO_TEST = ["--test_after_fit=false", "--trainer.limit_val_batches=0"]


@pytest.fixture(scope="session")
def bert_without_dropout(bert, tmp_path_factory):
    """Return the folder of the text model without dropout, whose random numbers would differ between processes."""
    folder = tmp_path_factory.mktemp("still") / "bert"
    shutil.copytree(bert, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def text(model, method="full", **options):
    args = {"model": model, "max_length": 8, "fields": ["item.title"]} | options
    return [f"--model.encoder={json.dumps({'class_path': method, 'init_args': args})}", "--model.dynamics=momentum"]


def curve(folder):
    return read_metrics(folder / "metrics.jsonl")["train/loss"].drop_nulls().to_numpy()


def weights(folder):
    state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return {name: tensor for name, tensor in state.items() if isinstance(tensor, torch.Tensor)}


def largest_differences(one: Path, other: Path) -> tuple[float, float]:
    """Return the largest difference between the curves and between the weights of two runs."""
    assert len(curve(one)) == len(curve(other)) == 6
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    return float(abs(curve(one) - curve(other)).max()), max(float((a[k] - b[k]).abs().max()) for k in a)


def assert_close_runs(tmp_path, reference, names):
    for name in names:
        differences = largest_differences(tmp_path / reference, tmp_path / name)
        print(f"{reference} and {name}: curve {differences[0]:.1e}, weights {differences[1]:.1e}")
        assert differences[0] < 2e-5, f"{curve(tmp_path / reference)} {curve(tmp_path / name)}"
        assert differences[1] < 1e-3  # AdamW takes a full step even if a gradient is only rounding error


def assert_runs(run_process, tmp_path, folder, *args, **options):
    assert run_process(folder, *SHOP, *args, **options) == 0, (tmp_path / f"{folder}.log").read_text()[-3000:]


@pytest.mark.parametrize(
    ("objective", "processes"),
    [
        ("sampled", [2]),  # fast
        *(pytest.param(objective, [2, 3], marks=pytest.mark.slow) for objective in OBJECTIVES),
    ],
)
def test_curve_and_weights(run_process, tmp_path, bert_without_dropout, objective, processes):
    for n in (1, *processes):
        assert_runs(run_process, tmp_path, f"of{n}", *text(bert_without_dropout), *OBJECTIVES[objective], *NO_TEST, processes=n)
    assert_close_runs(tmp_path, "of1", [f"of{n}" for n in processes])


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["--model.objective=next_item", "--model.encoder=id", "--model.dynamics=transformer", "--model.dynamics.dropout=0"],
        [*OBJECTIVES["batch"], "--trainer.accumulate_grad_batches=2", "--model.encoder=id", *GRU],
        [*OBJECTIVES["batch"], "--trainer.gradient_clip_val=0.1", "--model.encoder=id", "--model.dynamics=momentum"],
    ],
    ids=["id", "accumulated", "clipped"],
)
def test_curve_and_weights_with_other_options(run_process, tmp_path, options):
    for n in (1, 3):
        assert_runs(run_process, tmp_path, f"of{n}", *options, *NO_TEST, processes=n)
    assert_close_runs(tmp_path, "of1", ["of3"])


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
@pytest.mark.parametrize("options", ["{share: 0.3, refresh: 2}", "{schedule: once}"], ids=["random", "once"])
def test_amortised_encoding(run_process, tmp_path, bert_without_dropout, strategy, options):
    """Titles of items, of which all processes encode a part, and texts of the events of each process."""
    encoders = {
        name: {"class_path": "full", "init_args": {"model": bert_without_dropout, "max_length": 8, "fields": [field]}}
        for name, field in (("title", "item.title"), ("text", "event.text"))
    }
    args = [f"--model.encoder={json.dumps(encoders)}", "--model.fusion=concat", "--model.dynamics=momentum", *NO_TEST]
    args += [*OBJECTIVES["sampled"], f"--model.amortize={options}"]
    assert_runs(run_process, tmp_path, "of1", *args)
    assert_runs(run_process, tmp_path, "of3", *args, processes=3, strategy=strategy)
    assert_close_runs(tmp_path, "of1", ["of3"])


@pytest.mark.slow
def test_two_streams_with_a_penalty_and_event_texts(run_process, tmp_path, bert_without_dropout):
    """Each process encodes a share of the titles and the texts of its own events; AdaLoRA's penalty counts once."""
    encoders = {
        "title": {
            "class_path": "adalora",
            "init_args": {"model": bert_without_dropout, "max_length": 8, "fields": ["item.title"]},
        },
        "text": {"class_path": "lora", "init_args": {"model": bert_without_dropout, "max_length": 8, "fields": ["event.text"]}},
    }
    for n in (1, 3):
        options = [f"--model.encoder={json.dumps(encoders)}", "--model.fusion=concat", "--model.dynamics=momentum"]
        assert_runs(run_process, tmp_path, f"of{n}", *options, *OBJECTIVES["sampled"], *NO_TEST, processes=n)
    assert_close_runs(tmp_path, "of1", ["of3"])


@pytest.mark.slow
def test_bfloat16_is_near_float32(run_process, tmp_path, bert_without_dropout):
    assert_runs(run_process, tmp_path, "float32", *text(bert_without_dropout), *OBJECTIVES["batch"], *NO_TEST)
    for n in (1, 2):
        assert_runs(
            run_process,
            tmp_path,
            f"of{n}",
            *text(bert_without_dropout),
            *OBJECTIVES["batch"],
            *NO_TEST,
            "--trainer.precision=bf16-mixed",
            processes=n,
        )
        relative = abs(curve(tmp_path / "float32") - curve(tmp_path / f"of{n}")) / curve(tmp_path / "float32")
        print(f"bfloat16, {n} processes: {relative.max():.1e}")
        assert relative.max() < 0.01


@pytest.mark.slow
def test_one_folder_one_wandb_run_and_every_user_once(run_process, tmp_path):
    pytest.importorskip("wandb")
    cold = str(tmp_path / "cold cache")
    log = tmp_path / "jobs.log"
    options = ["--model.encoder=id", "--model.dynamics=ewma", "--model.objective=next_item"]
    assert_runs(run_process, tmp_path, "jobs", *options, "--loggers=[jsonl,wandb]", processes=3, INTERESTLAB_CACHE=cold)
    assert {p.name for p in tmp_path.iterdir()} == {"jobs", "jobs.log", "cold cache"}, log.read_text()
    assert len(list((tmp_path / "jobs" / "wandb").glob("offline-run-*"))) == 1
    result, ranks = (tmp_path / "jobs" / name for name in ("metrics.json", "ranks.parquet"))
    results = result.read_bytes(), pl.read_parquet(ranks)
    users = results[1]["user_id"]
    assert users.is_unique().all()
    assert len(users) % 3
    assert run_process("jobs", "--trainer.devices=1", "--trainer.strategy=auto", command="test", INTERESTLAB_CACHE=cold) == 0
    assert result.read_bytes() == results[0]
    assert pl.read_parquet(ranks).equals(results[1])


@pytest.mark.slow
@pytest.mark.parametrize("fault", [("SIGTERM", "logging", 3), ("SIGKILL", "batch", 4)])
def test_a_killed_job_of_several_processes_resumes(run_process, tmp_path, bert_without_dropout, assert_equal_runs, fault):
    args = [*text(bert_without_dropout), *OBJECTIVES["sampled"], "--checkpoint_minutes=0"]
    assert_runs(run_process, tmp_path, "uninterrupted", *args, processes=2)
    assert run_process("resumed", *SHOP, *args, processes=2, fault=fault) == (143 if fault[0] == "SIGTERM" else -9)
    assert_runs(run_process, tmp_path, "resumed", *args, "--ckpt_path=last", processes=2)
    assert_equal_runs(tmp_path / "uninterrupted", tmp_path / "resumed")


SHARDED = {
    "recomputed": [
        "full",
        {},
        "--model.chunking={max_tokens: 16, chunks_with_activations: 1}",
        "--trainer.gradient_clip_val=0.1",
    ],
    "partly": ["lora", {"layers": 1}, "--model.chunking={max_tokens: 16, chunks_with_activations: 1}"],
    "full": ["full", {}],
    "full of the top layer": ["full", {"layers": 1}, "--trainer.max_epochs=2"],
    "lora": ["lora", {}, "--trainer.accumulate_grad_batches=2"],
    "adapter": ["adapter", {}],
    "bitfit": ["bitfit", {}],
    "ia3": ["ia3", {}],
    "side": ["side", {}],
    "frozen": ["frozen", {}],
    "float64": ["full", {}, "--trainer.precision=64-true"],
}


@pytest.mark.slow
@pytest.mark.parametrize("method", SHARDED)
def test_sharded_weights_train_like_unsharded_ones(run_process, tmp_path, bert_without_dropout, method):
    """Also if the frozen layers are not cached yet, and the first process computes them alone."""
    kind, init, *options = SHARDED[method]
    args = [*text(bert_without_dropout, kind, **init), *OBJECTIVES["sampled"], *options]
    cold = str(tmp_path / "cold")
    assert_runs(run_process, tmp_path, "of1", *args)
    assert_runs(run_process, tmp_path, "of2", *args, processes=2, strategy="fsdp2", INTERESTLAB_CACHE=cold)
    assert_close_runs(tmp_path, "of1", ["of2"])
    result = tmp_path / "of2" / "metrics.json"
    metrics_of_two = result.read_bytes()
    assert run_process("of2", "--trainer.devices=1", "--trainer.strategy=auto", command="test", INTERESTLAB_CACHE=cold) == 0
    assert result.read_bytes() == metrics_of_two


@pytest.mark.slow
@pytest.mark.parametrize("args", [["adalora"], ["full", "--model.optim.optimizer=adafactor"]])
def test_methods_that_need_unsharded_weights_are_rejected(run_process, tmp_path, bert_without_dropout, args):
    kind, *options = args
    assert (
        run_process(
            "run", *SHOP, *text(bert_without_dropout, kind), *OBJECTIVES["sampled"], *options, processes=2, strategy="fsdp2"
        )
        == 2
    )
    assert "needs full weights, which fsdp2 shards; use --trainer.strategy=ddp" in (tmp_path / "run.log").read_text()


@pytest.mark.slow
def test_sharded_texts_of_events(run_process, tmp_path, bert_without_dropout):
    """Processes have different numbers of texts, some none, but gather the weights equally often."""
    encoders = {
        "title": {
            "class_path": "full",
            "init_args": {"model": bert_without_dropout, "max_length": 8, "fields": ["item.title"]},
        },
        "text": {"class_path": "lora", "init_args": {"model": bert_without_dropout, "max_length": 8, "fields": ["event.text"]}},
    }
    options = [
        "--model.fusion=concat",
        "--model.dynamics=momentum",
        "--model.chunking={max_tokens: 16, chunks_with_activations: 1}",
    ]
    args = [f"--model.encoder={json.dumps(encoders)}", *options, *OBJECTIVES["sampled"], *NO_TEST]
    assert_runs(run_process, tmp_path, "of1", *args)
    assert_runs(run_process, tmp_path, "of3", *args, processes=3, strategy="fsdp2")
    assert_close_runs(tmp_path, "of1", ["of3"])


@pytest.mark.slow
@pytest.mark.parametrize("fault", [("SIGTERM", "logging", 3), ("SIGKILL", "batch", 4)])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_killed_sharded_job_resumes(run_process, tmp_path, bert_without_dropout, assert_equal_runs, fault, method):
    args = [*text(bert_without_dropout, method), *OBJECTIVES["sampled"], "--checkpoint_minutes=0"]
    assert_runs(run_process, tmp_path, "uninterrupted", *args, processes=2, strategy="fsdp2")
    status = run_process("resumed", *SHOP, *args, processes=2, strategy="fsdp2", fault=fault)
    assert status == (143 if fault[0] == "SIGTERM" else -9)
    assert_runs(run_process, tmp_path, "resumed", *args, "--ckpt_path=last", processes=2, strategy="fsdp2")
    assert_equal_runs(tmp_path / "uninterrupted", tmp_path / "resumed")
