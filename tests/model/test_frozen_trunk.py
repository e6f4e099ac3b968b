"""The cached frozen layers of text encoders: computed once per text, without an effect on results."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from transformers import BertModel

from interestlab import dynamics, encoders, fusion, objectives, sources
from interestlab.data.datamodule import InterestData
from interestlab.errors import DataError
from interestlab.model import disk_cache
from interestlab.training.lightning_module import InterestModel

METHODS = {
    "frozen": {},
    "full": {"layers": 1, "dropout": 0.0},
    "bitfit": {"layers": 1, "dropout": 0.0},
    "adapter": {"layers": 1, "reduction": 4},
    "lora": {"layers": 1, "targets": "all-linear"},
    "adalora": {"layers": 1},
    "ia3": {"layers": 1},
    "side": {"width": 8},
    "peft": {"layers": 1, "method": "vera", "config": {"r": 4}},
}
QUIET = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}


@pytest.fixture
def build_model(bert):
    """Return a function that builds a model of titles over the small BERT: ``build_model("lora", data, cache="off")``."""

    def build_model(method, data, model=bert, **arguments):
        torch.manual_seed(0)
        encoder = getattr(encoders, method)(model=model, max_length=24, **METHODS[method] | arguments)
        parts = {"dynamics": dynamics.momentum(dim=8), "objective": objectives.next_item()}
        return InterestModel(encoder, cardinalities=data.cardinalities, dim=8, ks=[5], fusion=fusion.concat(dim=8), **parts)

    return build_model


@pytest.fixture
def build_data():
    return lambda **kwargs: InterestData(sources.simulated(users=20, items=32, events=5), **{"batch_events": 60} | kwargs)


@pytest.fixture
def fresh_data(build_data, tmp_path):
    """Return the data of the shop with an empty cache."""
    return build_data(cache_dir=str(tmp_path / "cache"))


class RecordLosses(Callback):
    def __init__(self):
        self.losses = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(outputs["loss"].item())


def train_and_test(model, data, steps=50, **options):
    """Return the losses of a training and the metrics of its test."""
    torch.manual_seed(1)
    curve = RecordLosses()
    trainer = Trainer(max_steps=steps, callbacks=[curve], enable_checkpointing=False, limit_val_batches=0, **QUIET | options)
    trainer.fit(model, data)
    assert trainer.global_step == steps
    (metrics,) = trainer.test(model, data, verbose=False)
    return curve.losses, metrics


def attach_data(model, data):
    """Attach the data to the model, and return its embedding cache."""
    trainer = Trainer(max_steps=1, enable_checkpointing=False, **QUIET)
    trainer.test(model, data, verbose=False)
    (embeddings,) = model.backbone.caches.values()
    return embeddings


def cached_folders(data):
    return sorted(p.name for p in data.cache.rglob("trunk-*") if p.is_dir())


def delete_cache(embeddings, data):
    """Delete the cached rows."""
    for folder in list(data.cache.rglob("trunk-*/")):
        shutil.rmtree(folder, ignore_errors=True)
    embeddings._trunk_rows.clear()


def fail(*_):
    raise AssertionError("the lower layers ran again")


# ---- results


@pytest.mark.parametrize(
    "method", [pytest.param(m, marks=[pytest.mark.slow] * (m not in ("frozen", "full", "lora"))) for m in METHODS]
)
def test_training_and_metrics_do_not_depend_on_the_cache(build_model, build_data, method):
    (curve, metrics), (recomputed, recomputed_metrics) = (
        train_and_test(build_model(method, build_data(), cache=c), build_data()) for c in ("float32", "off")
    )
    np.testing.assert_allclose(curve, recomputed, rtol=1e-4)
    assert metrics == pytest.approx(recomputed_metrics, abs=1e-6)
    assert method == "frozen" or np.mean(curve[-5:]) < np.mean(curve[:5])


@pytest.mark.parametrize("method", ["full", *(pytest.param(m, marks=pytest.mark.slow) for m in ("lora", "side"))])
def test_a_bfloat16_cache_changes_the_losses_only_slightly(build_model, build_data, method):
    curves = [
        train_and_test(build_model(method, build_data(), cache=cache), build_data(), steps=20)[0]
        for cache in ("bfloat16", "off")
    ]
    np.testing.assert_allclose(*curves, rtol=0.02)
    assert curves[0] != curves[1]


def test_cached_rows_equal_the_hidden_states_of_the_model(build_model, bert, fresh_data):
    embeddings = attach_data(build_model("lora", fresh_data), fresh_data)
    rows = embeddings.trunk_rows()
    model = BertModel.from_pretrained(bert, add_pooling_layer=False).eval()
    codes = np.arange(embeddings.feature.size)
    inputs, cached = embeddings.feature.inputs(codes), rows.inputs(codes)
    assert len(set(inputs.lengths.tolist())) > 2
    states = model(inputs.values.long(), inputs.mask.long(), output_hidden_states=True).hidden_states[1]
    assert torch.equal(cached.lengths, inputs.lengths)
    torch.testing.assert_close(cached.values[cached.mask], states[inputs.mask], rtol=1e-5, atol=1e-5)
    assert not cached.values[~cached.mask].any()


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_cached_rows_do_not_depend_on_the_precision_of_the_run(build_model, build_data, tmp_path, precision):
    cached = []
    for number, chosen in enumerate(("32-true", precision)):
        data = build_data(cache_dir=str(tmp_path / str(number)))
        model = build_model("lora", data)
        train_and_test(model, data, steps=1, precision=chosen)
        (embeddings,) = model.backbone.caches.values()
        cached.append(embeddings.trunk_rows().inputs(np.arange(embeddings.feature.size)).values)
    torch.testing.assert_close(*cached, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cache", ["float32", "bfloat16", "off"])
@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
@pytest.mark.parametrize("method", ["lora", "side"])
def test_a_half_precision_model_uses_the_cache(build_model, fresh_data, precision, cache, method):
    losses, _ = train_and_test(build_model(method, fresh_data, cache=cache), fresh_data, steps=2, precision=precision)
    assert np.isfinite(losses).all()


# ---- computed once


def test_trunk_is_computed_once_over_epochs_and_runs(build_model, fresh_data, monkeypatch):
    first = build_model("lora", fresh_data)
    train_and_test(first, fresh_data, steps=3)
    (folder,) = cached_folders(fresh_data)
    (path,) = fresh_data.cache.rglob(folder)
    before = {file: file.stat().st_mtime_ns for file in path.iterdir()}
    assert before
    second = build_model("lora", fresh_data)
    monkeypatch.setattr(type(second.backbone.encoders["main"].layer_stack), "hidden_states", fail)
    train_and_test(second, fresh_data, steps=3)
    assert {file: file.stat().st_mtime_ns for file in path.iterdir()} == before
    assert cached_folders(fresh_data) == [folder]


def test_training_steps_do_not_run_the_frozen_layers(build_model, fresh_data):
    model = build_model("full", fresh_data)
    calls = []
    lower = model.backbone.encoders["main"].pretrained_model.encoder.layer[0].attention.self.query
    lower.register_forward_hook(lambda *_: calls.append(model.trainer.global_step if model.trainer.training else "other"))
    train_and_test(model, fresh_data, steps=4)
    assert calls
    assert set(calls) == {0}
    assert len(calls) < 4  # chunks of the titles, once


def test_cache_off_writes_nothing(build_model, fresh_data):
    train_and_test(build_model("lora", fresh_data, cache="off"), fresh_data, steps=1)
    assert cached_folders(fresh_data) == []


def test_methods_with_equal_depth_share_the_cache(build_model, fresh_data, monkeypatch):
    train_and_test(build_model("lora", fresh_data), fresh_data, steps=1)
    (before,) = cached_folders(fresh_data)
    for method in ("full", "ia3", "adapter"):
        model = build_model(method, fresh_data)
        monkeypatch.setattr(type(model.backbone.encoders["main"].layer_stack), "hidden_states", fail)
        train_and_test(model, fresh_data, steps=1)
    assert cached_folders(fresh_data) == [before]


def test_each_base_model_depth_and_format_has_its_own_cache(build_model, bert, fresh_data, tmp_path):
    other = Path(shutil.copytree(bert, tmp_path / "other"))
    model = BertModel.from_pretrained(other, add_pooling_layer=False)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight.add_(0.1)
    model.save_pretrained(other)
    moved = str(shutil.copytree(bert, tmp_path / "moved"))

    def cache_folders_of(*args, **kwargs):
        attach_data(build_model(*args, **kwargs), fresh_data).fill()
        return cached_folders(fresh_data)

    folders = cache_folders_of("lora", fresh_data)
    assert len(folders) == 1
    assert cache_folders_of("lora", fresh_data, model=moved) == folders
    assert len(cache_folders_of("lora", fresh_data, model=str(other))) == 2
    assert len(cache_folders_of("lora", fresh_data, cache="bfloat16")) == 3
    assert len(cache_folders_of("side", fresh_data)) == 4
    assert len(cache_folders_of("side", fresh_data, layers=1)) == 5
    assert len(cache_folders_of("side", fresh_data, pooling="cls")) == 6
    assert len(cache_folders_of("lora", fresh_data, layers="all")) == 6


def test_each_stream_of_an_encoder_is_cached(build_model, fresh_data):
    model = build_model("lora", fresh_data, fields=["item.title", "event.event"])
    train_and_test(model, fresh_data, steps=1)
    assert len(cached_folders(fresh_data)) == 2
    assert len(set(fresh_data.cache.rglob("trunk-*/data.bin"))) == 2


# ---- size on disk


def test_the_size_is_logged_before_the_cache_is_written(build_model, fresh_data, monkeypatch):
    messages = []
    monkeypatch.setattr(disk_cache.log, "info", lambda text: messages.append((text, cached_folders(fresh_data))))
    model = build_model("lora", fresh_data)
    train_and_test(model, fresh_data, steps=1)
    ((text, folders_before),) = messages
    (embeddings,) = model.backbone.caches.values()
    assert text.startswith("caching the frozen layers of item.title: ")
    assert f" MiB for {embeddings.feature.size:,} values, float32, in " in text
    assert [name for name in folders_before if not name.endswith(".part")] == []
    (file,) = fresh_data.cache.rglob("trunk-*/data.bin")
    assert file.stat().st_size == embeddings.feature.rows.lengths.sum() * 16 * 4


@pytest.mark.parametrize(("cache", "width"), [("float32", 4), ("bfloat16", 2)])
def test_a_full_disk_is_an_error_with_advice(build_model, fresh_data, monkeypatch, cache, width):
    model = build_model("lora", fresh_data, cache=cache)
    embeddings = attach_data(model, fresh_data)
    required_bytes = int(embeddings.feature.rows.lengths.sum()) * 16 * width
    delete_cache(embeddings, fresh_data)
    free = required_bytes - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(DataError, match=r"set the encoder's cache to bfloat16 or off, or --data\.cache_dir") as raised:
        embeddings.fill()
    assert "\n" not in str(raised.value)
    assert "no room for the frozen layers of item.title" in str(raised.value)
    assert [name for name in cached_folders(fresh_data) if not name.endswith(".part")] == []
    free = required_bytes
    embeddings.fill()
    assert [name for name in cached_folders(fresh_data) if not name.endswith(".part")]


# ---- weights that are unfrozen and frozen during training


def test_unfreezing_a_layer_removes_it_from_the_trunk(build_model, fresh_data):
    model = build_model("full", fresh_data)
    embeddings, layers = attach_data(model, fresh_data), model.backbone.encoders["main"].pretrained_model.encoder.layer
    codes = np.arange(embeddings.feature.size)
    before = embeddings(codes)
    (trunk_key,) = embeddings._trunk_rows
    layers[0].requires_grad_(True)
    after = embeddings(codes)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
    for vectors, lower_has_gradient in ((before, False), (after, True)):
        model.zero_grad()
        vectors.square().sum().backward()
        assert [any(p.grad is not None for p in layer.parameters()) for layer in layers] == [lower_has_gradient, True]
    assert list(embeddings._trunk_rows) == [trunk_key]  # if the lowest layer is trained, there is no trunk


@pytest.mark.parametrize("method", ["full", "adalora", "adapter"])
def test_freezing_everything_during_training_does_not_change_the_vectors(build_model, fresh_data, method):
    model = build_model(method, fresh_data)
    encoder, embeddings = model.backbone.encoders["main"], attach_data(model, fresh_data)
    codes = np.arange(embeddings.feature.size)
    encoder.eval()
    before = embeddings(codes).detach()
    encoder.requires_grad_(False)
    after = embeddings(codes)  # the complete encoder is constant
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5)
    assert not after.requires_grad


def test_layers_frozen_after_training_are_not_in_the_trunk(build_model, fresh_data):
    model = build_model("full", fresh_data)
    encoder, embeddings = model.backbone.encoders["main"], attach_data(model, fresh_data)
    codes = np.arange(embeddings.feature.size)
    before = embeddings(codes)
    lower = encoder.pretrained_model.encoder.layer[0].requires_grad_(True)
    assert encoder.frozen_trunk() is None
    with torch.no_grad():
        lower.output.dense.weight.add_(torch.randn_like(lower.output.dense.weight))
    lower.requires_grad_(False)
    after = embeddings(codes)
    assert not torch.allclose(after, before, atol=1e-2)
    torch.testing.assert_close(after, encoder(embeddings.feature.inputs(codes)), rtol=1e-5, atol=1e-5)
