"""The complete model: its inputs, their order in time, and results that do not depend on the batches."""

import json

import numpy as np
import polars as pl
import pytest
import torch
from lightning.pytorch import Trainer

from interestlab import dynamics, encoders, fusion, objectives
from interestlab.cli.main import run
from interestlab.contract import EventLog, Source
from interestlab.data.datamodule import InterestData
from interestlab.training.lightning_module import InterestModel


class Log(Source):
    """A log of a few users, whose reviews begin with the given text."""

    def __init__(self, reviews: str = "fine", users: int = 12) -> None:
        self.reviews, self.users = reviews, users

    def read(self) -> EventLog:
        rng = np.random.default_rng(0)
        rows = [
            {
                "user_id": f"u{u}",
                "item_id": f"i{rng.integers(15)}",
                "timestamp": 1_000_000 + 86_400 * t,
                "text": f"{self.reviews} {u} {t}",
            }
            for u in range(self.users)
            for t in range(3 + u % 5)
        ]
        items = pl.LazyFrame(
            {"item_id": [f"i{i}" for i in range(15)], "title": [f"thing {i % 9}" if i % 4 else None for i in range(15)]}
        )
        return EventLog(pl.LazyFrame(rows), items)


def attach(model: InterestModel, data: InterestData) -> Trainer:
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False
    )
    trainer.test(model, data, verbose=False)
    return trainer


def build_model(encoder, data: InterestData, **kwargs) -> InterestModel:
    torch.manual_seed(0)
    parts = {
        "dynamics": dynamics.momentum(dim=8),
        "objective": objectives.next_item(),
        "fusion": fusion.attention(dim=8),
    } | kwargs
    return InterestModel(encoder, cardinalities=data.cardinalities, dim=8, ks=[1, 3], **parts)


def text(*fields: str):
    return encoders.frozen(fields=list(fields), max_length=8)


@pytest.mark.parametrize("encoder", [*(pytest.param(e, marks=pytest.mark.slow) for e in ("id", "full")), "streams"])
def test_metrics_do_not_depend_on_the_batches(fit, bert, tmp_path, encoder):
    spec = {
        "id": "id",
        "full": f"{{class_path: full, init_args: {{model: {bert}, max_length: 6}}}}",
        "streams": (
            "{id: id, text: {class_path: full, init_args: "
            f"{{model: {bert}, max_length: 6, fields: [item.title, event.text]}}}}}}"
        ),
    }[encoder]
    fit(f"--model.encoder={spec}", "--model.fusion=attention", "--model.dynamics=transformer", steps=2)
    results = []
    for events in (1, 17, 100_000):
        run(["test", f"--run_dir={tmp_path / 'run'}", f"--data.eval_events={events}", "--trainer.enable_progress_bar=false"])
        results.append((tmp_path / "run" / "metrics.json").read_bytes())
        results.append(pl.read_parquet(tmp_path / "run" / "ranks.parquet").write_json().encode())
    assert results[0] == results[2] == results[4]
    assert results[1] == results[3] == results[5]


def test_two_streams_share_one_encoder():
    data = InterestData(Log())
    shared = build_model(text("item.title", "event.text"), data)
    assert [(s.field, s.side) for s in shared.backbone.streams] == [("item.title", "item"), ("event.text", "event")]
    assert len({s.encoder for s in shared.backbone.streams}) == 1
    attach(shared, data)


def test_a_review_affects_later_states_but_not_the_items():
    data, other = InterestData(Log("fine")), InterestData(Log("awful broken smell"))
    m = build_model({"id": encoders.id(), "review": text("event.text")}, data).eval()
    vectors, interests = [], []
    for d in (data, other):
        attach(m, d)
        batch = next(iter(d.loader("test")))
        with torch.no_grad():
            vectors.append(m.start_evaluation().catalogue)
            interests.append(m.last_user_state(batch))
    torch.testing.assert_close(vectors[0], vectors[1], rtol=0, atol=0)
    assert not torch.allclose(interests[0], interests[1])


def test_each_distinct_value_is_encoded_once_per_step(monkeypatch):
    data = InterestData(Log())
    full = encoders.full(fields=["item.title"], max_length=8)
    m = build_model(full, data, fusion=None)
    attach(m, data)
    batch_sizes: list[int] = []
    original = type(full).forward
    monkeypatch.setattr(
        type(full), "forward", lambda self, inputs: batch_sizes.append(len(inputs.values)) or original(self, inputs)
    )
    monkeypatch.setattr(m, "log", lambda *args, **kwargs: None)
    m.training_step(next(iter(data.loader("train"))))
    assert sum(batch_sizes) == data.cardinalities["item.title"]


def test_constant_vectors_are_computed_once_over_runs(monkeypatch):
    data = InterestData(Log("kept"))
    attach(build_model({"id": encoders.id(), "review": text("event.text")}, data), data)
    frozen = text("event.text")

    def fail(self, inputs):
        raise AssertionError("encoded again")

    monkeypatch.setattr(type(frozen), "forward", fail)
    attach(build_model({"id": encoders.id(), "review": frozen}, data), data)


def test_batch_candidates_equal_the_catalogue_if_the_batch_contains_it(monkeypatch):
    data = InterestData(Log(users=60), batch_events=100_000)
    batch = next(iter(data.loader("train")))
    losses = []
    for candidates in ("catalogue", "batch"):
        m = build_model(encoders.id(), data, objective=objectives.next_item(candidates=candidates, log_q=False), fusion=None)
        attach(m, data)
        monkeypatch.setattr(m, "log", lambda *args, **kwargs: None)
        losses.append(m.training_step(batch).item())
    items = torch.cat([batch.items[batch.mask], batch.targets[batch.targets >= 0]]).unique()
    assert len(items) == data.cardinalities["item.id"]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_an_item_without_text_has_a_finite_vector():
    data = InterestData(Log())
    m = build_model({"text": text("item.title"), "id": encoders.id()}, data)
    attach(m, data)
    vectors = m.backbone.embed_items(np.arange(data.cardinalities["item.id"]))
    assert vectors.isfinite().all()
    assert m.backbone.embed_rows(m.backbone.item_streams[0], np.arange(15))[1].tolist() == [
        bool(t) for t in data.log.items["title"]
    ]


def test_hooks_and_logs_of_parts_reach_the_trainer(tmp_path):
    data = InterestData(Log())
    called: list[str] = []

    class Watched(dynamics.momentum):
        def on_train_epoch_start(self):
            called.append("epoch")

        def on_before_optimizer_step(self, optimizer):
            called.append("step")
            self.log("momentum/beta", 0.5)

        def on_save_checkpoint(self, checkpoint):
            checkpoint["mark"] = 7

    m = build_model(encoders.id(), data, dynamics=Watched(dim=8), fusion=None)
    trainer = Trainer(
        max_steps=1, accelerator="cpu", logger=False, enable_progress_bar=False, default_root_dir=tmp_path, limit_val_batches=0
    )
    trainer.fit(m, data)
    assert called == ["epoch", "step"]
    assert trainer.callback_metrics["momentum/beta"] == 0.5
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    assert torch.load(tmp_path / "x.ckpt", weights_only=True)["mark"] == 7


@pytest.mark.parametrize(("method", "rate"), [("full", 2e-5), ("bitfit", 2e-5), ("lora", 5e-4), ("side", 5e-4), ("id", 1e-3)])
def test_pretrained_and_added_parameters_have_their_own_learning_rates(bert, method, rate):
    data = InterestData(Log())
    encoder = getattr(encoders, method)(**{} if method == "id" else {"model": bert, "max_length": 8})
    m = build_model(encoder, data, fusion=None)
    trainer = Trainer(max_steps=1, logger=False, accelerator="cpu", enable_checkpointing=False, limit_val_batches=0)
    trainer.fit(m, data)
    (optimizer,) = trainer.optimizers
    rates = {id(p): (g["initial_lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    trained = {id(p): p.ndim for p in m.backbone.encoders["main"].parameters() if p.requires_grad}
    assert {rates[i][0] for i in trained} == {rate}
    gains = {id(p) for p in m.backbone.dynamics.parameter_groups()["gains"]}
    assert {rates[i][0] for i in gains} == {5e-3}
    assert {lr for i, (lr, _) in rates.items() if i not in trained and i not in gains} == {1e-3}
    decay = 0.01 if rate == 2e-5 else 0.0
    assert {(ndim > 1, rates[i][1]) for i, ndim in trained.items()} <= {(True, decay), (False, 0.0)}
    assert len(rates) == sum(p.requires_grad for p in m.parameters())


def test_training_beats_random_ranking(fit, tmp_path):
    fit("--model.encoder=id", "--model.dynamics=ewma", "--model.optim.lr=0.01", "--data.source.users=200", steps=60)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["test/recall@10/ci95"][0] > 10 / 40


def test_predicting_leaves_the_model_trainable():
    data = InterestData(Log())
    m = build_model(encoders.id(), data, fusion=None)
    quiet = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    Trainer(**quiet).predict(m, data)
    before = {k: v.clone() for k, v in m.backbone.encoders["main"].state_dict().items()}
    Trainer(max_epochs=1, limit_val_batches=0, **quiet).fit(m, data)
    assert any(not torch.equal(v, before[k]) for k, v in m.backbone.encoders["main"].state_dict().items())


def test_cached_vectors_do_not_depend_on_the_precision_of_the_run(tmp_path):
    tables = []
    for precision in ("32-true", "bf16-mixed"):
        data = InterestData(Log("precise"), cache_dir=str(tmp_path / precision))
        m = build_model({"id": encoders.id(), "review": text("event.text")}, data)
        trainer = Trainer(
            accelerator="cpu", precision=precision, logger=False, enable_checkpointing=False, enable_progress_bar=False
        )
        trainer.test(m, data, verbose=False)
        tables.append(m.backbone.caches["review"](np.arange(m.backbone.features["review"].size)).numpy())
    assert np.array_equal(*tables)
