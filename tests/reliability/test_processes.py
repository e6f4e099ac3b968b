"""A job of several processes is the job of one: curve, weights, metrics, folder and store."""

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
    "--trainer.log_every_n_steps=1",
]
OBJECTIVES = {
    "catalogue": ["--model.objective=next_item"],
    "batch": ["--model.objective=next_item", "--model.objective.candidates=batch"],
    "sampled": ["--model.objective=sampled_softmax", "--model.objective.num_sampled=8"],
}

GRU = ["--model.dynamics=gru", "--model.dynamics.dropout=0"]
NO_TEST = ["--test_after_fit=false", "--trainer.limit_val_batches=0"]


@pytest.fixture(scope="session")
def still(bert, tmp_path_factory):
    """The text model without dropout, which each process draws by itself."""
    folder = tmp_path_factory.mktemp("still") / "bert"
    shutil.copytree(bert, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def text(model, method="full", **more):
    args = {"model": model, "max_length": 8, "fields": ["item.title"]} | more
    return [f"--model.encoder={json.dumps({'class_path': method, 'init_args': args})}", "--model.dynamics=momentum"]


def curve(folder):
    return read_metrics(folder / "metrics.jsonl")["train/loss"].drop_nulls().to_numpy()


def weights(folder):
    state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return {name: tensor for name, tensor in state.items() if isinstance(tensor, torch.Tensor)}


def apart(one: Path, other: Path) -> tuple[float, float]:
    """The largest difference of two curves, and of two runs' weights."""
    assert len(curve(one)) == len(curve(other)) == 6
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    return float(abs(curve(one) - curve(other)).max()), max(float((a[k] - b[k]).abs().max()) for k in a)


def assert_alike(tmp_path, of, names):
    for name in names:
        found = apart(tmp_path / of, tmp_path / name)
        print(f"{of} and {name}: curve {found[0]:.1e}, weights {found[1]:.1e}")
        assert found[0] < 2e-5, f"{curve(tmp_path / of)} {curve(tmp_path / name)}"
        assert found[1] < 1e-3  # AdamW steps by its full rate where a gradient is rounding alone


def run(apart, tmp_path, folder, *args, **more):
    assert apart(folder, *SHOP, *args, **more) == 0, (tmp_path / f"{folder}.log").read_text()[-3000:]


@pytest.mark.parametrize(
    ("objective", "processes"),
    [
        ("sampled", [2]),  # the quick one
        *(pytest.param(objective, [2, 3], marks=pytest.mark.slow) for objective in OBJECTIVES),
    ],
)
def test_curve_and_weights(apart, tmp_path, still, objective, processes):
    for n in (1, *processes):
        run(apart, tmp_path, f"of{n}", *text(still), *OBJECTIVES[objective], *NO_TEST, processes=n)
    assert_alike(tmp_path, "of1", [f"of{n}" for n in processes])


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        ["--model.objective=next_item", "--model.encoder=id", "--model.dynamics=transformer", "--model.dynamics.dropout=0"],
        [*OBJECTIVES["batch"], "--trainer.accumulate_grad_batches=2", "--model.encoder=id", *GRU],
        [*OBJECTIVES["batch"], "--trainer.gradient_clip_val=0.1", "--model.encoder=id", "--model.dynamics=momentum"],
    ],
    ids=["id", "accumulated", "clipped"],
)
def test_curve_and_weights_with(apart, tmp_path, more):
    for n in (1, 3):
        run(apart, tmp_path, f"of{n}", *more, *NO_TEST, processes=n)
    assert_alike(tmp_path, "of1", ["of3"])


@pytest.mark.slow
def test_two_streams_a_penalty_and_texts_of_events(apart, tmp_path, still):
    """Processes share out the titles, and each reads the texts of its own events; AdaLoRA's penalty counts once."""
    encoders = {
        "title": {"class_path": "adalora", "init_args": {"model": still, "max_length": 8, "fields": ["item.title"]}},
        "text": {"class_path": "lora", "init_args": {"model": still, "max_length": 8, "fields": ["event.text"]}},
    }
    for n in (1, 3):
        more = [f"--model.encoder={json.dumps(encoders)}", "--model.fusion=concat", "--model.dynamics=momentum"]
        run(apart, tmp_path, f"of{n}", *more, *OBJECTIVES["sampled"], *NO_TEST, processes=n)
    assert_alike(tmp_path, "of1", ["of3"])


@pytest.mark.slow
def test_bfloat16_is_near_float32(apart, tmp_path, still):
    run(apart, tmp_path, "whole", *text(still), *OBJECTIVES["batch"], *NO_TEST)
    for n in (1, 2):
        run(
            apart,
            tmp_path,
            f"of{n}",
            *text(still),
            *OBJECTIVES["batch"],
            *NO_TEST,
            "--trainer.precision=bf16-mixed",
            processes=n,
        )
        found = abs(curve(tmp_path / "whole") - curve(tmp_path / f"of{n}")) / curve(tmp_path / "whole")
        print(f"bfloat16, {n} processes: {found.max():.1e}")
        assert found.max() < 0.01


@pytest.mark.slow
def test_one_folder_one_run_of_wandb_and_every_user_once(apart, tmp_path):
    pytest.importorskip("wandb")
    cold = str(tmp_path / "cold cache")
    log = tmp_path / "jobs.log"
    more = ["--model.encoder=id", "--model.dynamics=ewma", "--model.objective=next_item"]
    run(apart, tmp_path, "jobs", *more, "--loggers=[jsonl,wandb]", processes=3, INTERESTLAB_CACHE=cold)
    assert {p.name for p in tmp_path.iterdir()} == {"jobs", "jobs.log", "cold cache"}, log.read_text()
    assert len(list((tmp_path / "jobs" / "wandb").glob("offline-run-*"))) == 1
    result, ranks = (tmp_path / "jobs" / name for name in ("metrics.json", "ranks.parquet"))
    of_three = result.read_bytes(), pl.read_parquet(ranks)
    users = of_three[1]["user_id"]
    assert users.is_unique().all()
    assert len(users) % 3
    assert apart("jobs", "--trainer.devices=1", "--trainer.strategy=auto", command="test", INTERESTLAB_CACHE=cold) == 0
    assert result.read_bytes() == of_three[0]
    assert pl.read_parquet(ranks).equals(of_three[1])


@pytest.mark.slow
@pytest.mark.parametrize("when", [("SIGTERM", "logging", 3), ("SIGKILL", "batch", 4)])
def test_a_killed_job_of_several_processes_resumes(apart, tmp_path, still, same, when):
    args = [*text(still), *OBJECTIVES["sampled"], "--checkpoint_minutes=0"]
    run(apart, tmp_path, "whole", *args, processes=2)
    assert apart("parted", *SHOP, *args, processes=2, when=when) == (143 if when[0] == "SIGTERM" else -9)
    run(apart, tmp_path, "parted", *args, "--ckpt_path=last", processes=2)
    same(tmp_path / "whole", tmp_path / "parted")


SHARDED = {
    "recomputed": [
        "full",
        {},
        "--model.chunking={max_tokens: 16, chunks_with_activations: 1}",
        "--trainer.gradient_clip_val=0.1",
    ],
    "partly": ["lora", {"layers": 1}, "--model.chunking={max_tokens: 16, chunks_with_activations: 1}"],
    "full": ["full", {}],
    "full of the top": ["full", {"layers": 1}, "--trainer.max_epochs=2"],
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
def test_sharded_weights_take_the_step_of_unsharded_ones(apart, tmp_path, still, method):
    """Also where what is constant of an encoder is not kept yet, and the first process computes it alone."""
    kind, init, *more = SHARDED[method]
    args = [*text(still, kind, **init), *OBJECTIVES["sampled"], *more]
    cold = str(tmp_path / "cold")
    run(apart, tmp_path, "of1", *args)
    run(apart, tmp_path, "of2", *args, processes=2, strategy="fsdp2", INTERESTLAB_CACHE=cold)
    assert_alike(tmp_path, "of1", ["of2"])
    result = tmp_path / "of2" / "metrics.json"
    of_two = result.read_bytes()
    assert apart("of2", "--trainer.devices=1", "--trainer.strategy=auto", command="test", INTERESTLAB_CACHE=cold) == 0
    assert result.read_bytes() == of_two


@pytest.mark.slow
@pytest.mark.parametrize("args", [["adalora"], ["full", "--model.optim.optimizer=adafactor"]])
def test_methods_that_need_unsharded_weights_are_refused(apart, tmp_path, still, args):
    kind, *more = args
    assert apart("run", *SHOP, *text(still, kind), *OBJECTIVES["sampled"], *more, processes=2, strategy="fsdp2") == 2
    assert "needs full weights, which fsdp2 shards; use --trainer.strategy=ddp" in (tmp_path / "run.log").read_text()


@pytest.mark.slow
def test_sharded_texts_of_events(apart, tmp_path, still):
    """Processes have unlike numbers of texts, and at times none, but gather weights equally often."""
    encoders = {
        "title": {"class_path": "full", "init_args": {"model": still, "max_length": 8, "fields": ["item.title"]}},
        "text": {"class_path": "lora", "init_args": {"model": still, "max_length": 8, "fields": ["event.text"]}},
    }
    more = [
        "--model.fusion=concat",
        "--model.dynamics=momentum",
        "--model.chunking={max_tokens: 16, chunks_with_activations: 1}",
    ]
    args = [f"--model.encoder={json.dumps(encoders)}", *more, *OBJECTIVES["sampled"], *NO_TEST]
    run(apart, tmp_path, "of1", *args)
    run(apart, tmp_path, "of3", *args, processes=3, strategy="fsdp2")
    assert_alike(tmp_path, "of1", ["of3"])


@pytest.mark.slow
@pytest.mark.parametrize("when", [("SIGTERM", "logging", 3), ("SIGKILL", "batch", 4)])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_killed_sharded_job_resumes(apart, tmp_path, still, same, when, method):
    args = [*text(still, method), *OBJECTIVES["sampled"], "--checkpoint_minutes=0"]
    run(apart, tmp_path, "whole", *args, processes=2, strategy="fsdp2")
    status = apart("parted", *SHOP, *args, processes=2, strategy="fsdp2", when=when)
    assert status == (143 if when[0] == "SIGTERM" else -9)
    run(apart, tmp_path, "parted", *args, "--ckpt_path=last", processes=2, strategy="fsdp2")
    same(tmp_path / "whole", tmp_path / "parted")
