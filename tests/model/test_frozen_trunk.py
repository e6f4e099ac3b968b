"""The constant start of an encoder: computed once a text and kept, and no number depends on whether it was."""

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
def made(bert):
    """``made("lora", data, cache="off")``: a model that reads titles by an encoder over the small BERT."""

    def made(method, data, model=bert, **arguments):
        torch.manual_seed(0)
        encoder = getattr(encoders, method)(model=model, max_length=24, **METHODS[method] | arguments)
        parts = {"dynamics": dynamics.momentum(dim=8), "objective": objectives.next_item()}
        return InterestModel(encoder, cardinalities=data.cardinalities, dim=8, ks=[5], fusion=fusion.concat(dim=8), **parts)

    return made


@pytest.fixture
def shop():
    return lambda **kwargs: InterestData(sources.simulated(users=20, items=32, events=5), **{"batch_events": 60} | kwargs)


@pytest.fixture
def alone(shop, tmp_path):
    """The shop with nothing kept of it yet."""
    return shop(cache_dir=str(tmp_path / "cache"))


class Curve(Callback):
    def __init__(self):
        self.losses = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(outputs["loss"].item())


def trained(model, data, steps=50, **options):
    """Its loss curve, and the metrics of its test."""
    torch.manual_seed(1)
    curve = Curve()
    trainer = Trainer(max_steps=steps, callbacks=[curve], enable_checkpointing=False, limit_val_batches=0, **QUIET | options)
    trainer.fit(model, data)
    assert trainer.global_step == steps
    (told,) = trainer.test(model, data, verbose=False)
    return curve.losses, told


def attached(model, data):
    """The model with its data, as at the start of a training."""
    trainer = Trainer(max_steps=1, enable_checkpointing=False, **QUIET)
    trainer.test(model, data, verbose=False)
    (encoded,) = model.backbone.caches.values()
    return encoded


def kept(data):
    return sorted(p.name for p in data.cache.rglob("trunk-*") if p.is_dir())


def forget(encoded, data):
    """Take away what was kept."""
    for folder in list(data.cache.rglob("trunk-*/")):
        shutil.rmtree(folder, ignore_errors=True)
    encoded._trunk_rows.clear()


def refuse(*_):
    raise AssertionError("the lower layers ran again")


# ---- no number depends on it


@pytest.mark.parametrize(
    "method", [pytest.param(m, marks=[pytest.mark.slow] * (m not in ("frozen", "full", "lora"))) for m in METHODS]
)
def test_training_and_metrics_are_the_same_kept_and_computed_anew(made, shop, method):
    (curve, told), (anew, told_anew) = (trained(made(method, shop(), cache=c), shop()) for c in ("float32", "off"))
    np.testing.assert_allclose(curve, anew, rtol=1e-4)
    assert told == pytest.approx(told_anew, abs=1e-6)
    assert method == "frozen" or np.mean(curve[-5:]) < np.mean(curve[:5])


@pytest.mark.parametrize("method", ["full", *(pytest.param(m, marks=pytest.mark.slow) for m in ("lora", "side"))])
def test_half_the_bytes_change_a_curve_by_little(made, shop, method):
    curves = [trained(made(method, shop(), cache=cache), shop(), steps=20)[0] for cache in ("bfloat16", "off")]
    np.testing.assert_allclose(*curves, rtol=0.02)
    assert curves[0] != curves[1]


def test_kept_rows_are_those_of_the_model_itself(made, bert, alone):
    encoded = attached(made("lora", alone), alone)
    rows = encoded.trunk_rows()
    model = BertModel.from_pretrained(bert, add_pooling_layer=False).eval()
    codes = np.arange(encoded.feature.size)
    inputs, held = encoded.feature.inputs(codes), rows.inputs(codes)
    assert len(set(inputs.lengths.tolist())) > 2
    states = model(inputs.values.long(), inputs.mask.long(), output_hidden_states=True).hidden_states[1]
    assert torch.equal(held.lengths, inputs.lengths)
    torch.testing.assert_close(held.values[held.mask], states[inputs.mask], rtol=1e-5, atol=1e-5)
    assert not held.values[~held.mask].any()


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_kept_rows_do_not_depend_on_the_precision_of_the_run(made, shop, tmp_path, precision):
    held = []
    for number, chosen in enumerate(("32-true", precision)):
        data = shop(cache_dir=str(tmp_path / str(number)))
        model = made("lora", data)
        trained(model, data, steps=1, precision=chosen)
        (encoded,) = model.backbone.caches.values()
        held.append(encoded.trunk_rows().inputs(np.arange(encoded.feature.size)).values)
    torch.testing.assert_close(*held, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cache", ["float32", "bfloat16", "off"])
@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
@pytest.mark.parametrize("method", ["lora", "side"])
def test_a_model_of_half_precision_keeps_its_rows_too(made, alone, precision, cache, method):
    losses, _ = trained(made(method, alone, cache=cache), alone, steps=2, precision=precision)
    assert np.isfinite(losses).all()


# ---- once


def test_is_computed_once_over_epochs_and_runs(made, alone, monkeypatch):
    first = made("lora", alone)
    trained(first, alone, steps=3)
    (folder,) = kept(alone)
    (place,) = alone.cache.rglob(folder)
    before = {file: file.stat().st_mtime_ns for file in place.iterdir()}
    assert before
    second = made("lora", alone)
    monkeypatch.setattr(type(second.backbone.encoders["main"].layer_stack), "hidden_states", refuse)
    trained(second, alone, steps=3)
    assert {file: file.stat().st_mtime_ns for file in place.iterdir()} == before
    assert kept(alone) == [folder]


def test_a_step_of_training_never_runs_the_lower_layers(made, alone):
    model = made("full", alone)
    ran = []
    lower = model.backbone.encoders["main"].pretrained_model.encoder.layer[0].attention.self.query
    lower.register_forward_hook(lambda *_: ran.append(model.trainer.global_step if model.trainer.training else "other"))
    trained(model, alone, steps=4)
    assert ran
    assert set(ran) == {0}
    assert len(ran) < 4  # chunks of the titles, once


def test_off_keeps_nothing(made, alone):
    trained(made("lora", alone, cache="off"), alone, steps=1)
    assert kept(alone) == []


def test_methods_of_one_depth_share_what_is_kept(made, alone, monkeypatch):
    trained(made("lora", alone), alone, steps=1)
    (before,) = kept(alone)
    for method in ("full", "ia3", "adapter"):
        model = made(method, alone)
        monkeypatch.setattr(type(model.backbone.encoders["main"].layer_stack), "hidden_states", refuse)
        trained(model, alone, steps=1)
    assert kept(alone) == [before]


def test_each_base_depth_and_form_has_its_own(made, bert, alone, tmp_path):
    other = Path(shutil.copytree(bert, tmp_path / "other"))
    model = BertModel.from_pretrained(other, add_pooling_layer=False)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight.add_(0.1)
    model.save_pretrained(other)
    moved = str(shutil.copytree(bert, tmp_path / "moved"))
    attach = lambda *args, **kwargs: attached(made(*args, **kwargs), alone).fill() or kept(alone)  # noqa: E731
    one = attach("lora", alone)
    assert len(one) == 1
    assert attach("lora", alone, model=moved) == one
    assert len(attach("lora", alone, model=str(other))) == 2
    assert len(attach("lora", alone, cache="bfloat16")) == 3
    assert len(attach("side", alone)) == 4
    assert len(attach("side", alone, layers=1)) == 5
    assert len(attach("side", alone, pooling="cls")) == 6
    assert len(attach("lora", alone, layers="all")) == 6


def test_each_stream_of_an_encoder_is_kept(made, alone):
    model = made("lora", alone, fields=["item.title", "event.event"])
    trained(model, alone, steps=1)
    assert len(kept(alone)) == 2
    assert len(set(alone.cache.rglob("trunk-*/data.bin"))) == 2


# ---- what it takes


def test_its_size_is_said_before_it_is_written(made, alone, monkeypatch):
    said = []
    monkeypatch.setattr(disk_cache.log, "info", lambda text: said.append((text, kept(alone))))
    model = made("lora", alone)
    trained(model, alone, steps=1)
    ((text, there),) = said
    (encoded,) = model.backbone.caches.values()
    assert text.startswith("caching the frozen layers of item.title: ")
    assert f" MiB for {encoded.feature.size:,} values, float32, in " in text
    assert [name for name in there if not name.endswith(".part")] == []
    (file,) = alone.cache.rglob("trunk-*/data.bin")
    assert file.stat().st_size == encoded.feature.rows.lengths.sum() * 16 * 4


@pytest.mark.parametrize(("cache", "width"), [("float32", 4), ("bfloat16", 2)])
def test_a_disk_without_room_is_an_error_that_says_what_to_do(made, alone, monkeypatch, cache, width):
    model = made("lora", alone, cache=cache)
    encoded = attached(model, alone)
    need = int(encoded.feature.rows.lengths.sum()) * 16 * width
    forget(encoded, alone)
    free = need - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(DataError, match=r"set the encoder's cache to bfloat16 or off, or --data\.cache_dir") as raised:
        encoded.fill()
    assert "\n" not in str(raised.value)
    assert "no room for the frozen layers of item.title" in str(raised.value)
    assert [name for name in kept(alone) if not name.endswith(".part")] == []
    free = need
    encoded.fill()
    assert [name for name in kept(alone) if not name.endswith(".part")]


# ---- while weights are freed and frozen


def test_freeing_layers_while_training_lowers_the_prefix(made, alone):
    model = made("full", alone)
    encoded, layers = attached(model, alone), model.backbone.encoders["main"].pretrained_model.encoder.layer
    codes = np.arange(encoded.feature.size)
    before = encoded(codes)
    (one,) = encoded._trunk_rows
    layers[0].requires_grad_(True)
    after = encoded(codes)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
    for vectors, reached in ((before, False), (after, True)):
        model.zero_grad()
        vectors.square().sum().backward()
        assert [any(p.grad is not None for p in layer.parameters()) for layer in layers] == [reached, True]
    assert list(encoded._trunk_rows) == [one]  # where the lowest layer is trained, nothing is constant


@pytest.mark.parametrize("method", ["full", "adalora", "adapter"])
def test_freezing_everything_while_training_keeps_the_vectors(made, alone, method):
    model = made(method, alone)
    encoder, encoded = model.backbone.encoders["main"], attached(model, alone)
    codes = np.arange(encoded.feature.size)
    encoder.eval()
    before = encoded(codes).detach()
    encoder.requires_grad_(False)
    after = encoded(codes)  # all of it is constant
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5)
    assert not after.requires_grad


def test_layers_that_were_trained_before_they_were_frozen_are_not_taken_for_the_base(made, alone):
    model = made("full", alone)
    encoder, encoded = model.backbone.encoders["main"], attached(model, alone)
    codes = np.arange(encoded.feature.size)
    before = encoded(codes)
    lower = encoder.pretrained_model.encoder.layer[0].requires_grad_(True)
    assert encoder.frozen_trunk() is None
    with torch.no_grad():
        lower.output.dense.weight.add_(torch.randn_like(lower.output.dense.weight))
    lower.requires_grad_(False)
    after = encoded(codes)
    assert not torch.allclose(after, before, atol=1e-2)
    torch.testing.assert_close(after, encoder(encoded.feature.inputs(codes)), rtol=1e-5, atol=1e-5)
