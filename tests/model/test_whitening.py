"""Whitened vectors: identity covariance, few values, signs, caching and checkpoints."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab import load
from interestlab.contract import Encoder
from interestlab.data import ragged
from interestlab.data.fields import FieldValues
from interestlab.data.ragged import RaggedArray
from interestlab.errors import DataError
from interestlab.model.chunking import EncoderChunking
from interestlab.model.embedding_cache import EmbeddingCache
from interestlab.model.whitening import Whitening, fit_whitening


def whiten(vectors, dim):
    whitening = Whitening(vectors.shape[1], dim)
    whitening.set_map(*fit_whitening([vectors], dim))
    return whitening(torch.from_numpy(vectors)).numpy()


def random_vectors(size, width, seed=0):
    """Vectors with a mean, and with directions of very different variance."""
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(width, width)))
    return (rng.normal(size=(size, width)) * np.geomspace(1, 0.05, width) @ rotation + 3).astype("f4")


@settings(deadline=None, max_examples=20)
@given(st.integers(20, 200), st.integers(2, 12), st.integers(1, 12), st.integers(0, 99))
def test_mean_is_zero_and_covariance_is_the_identity(size, width, dim, seed):
    out = whiten(random_vectors(size, width, seed).astype("f8"), dim)
    kept = min(width, dim)
    expected = np.diag([1.0] * kept + [0.0] * (dim - kept))
    np.testing.assert_allclose(out.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(np.cov(out.T, bias=True).reshape(dim, dim), expected, atol=1e-3)


def test_components_are_those_of_largest_variance():
    vectors = random_vectors(300, 8)
    _, _, directions = np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
    _, matrix = fit_whitening([vectors], 3)
    unit = matrix / np.linalg.norm(matrix, axis=0)
    np.testing.assert_allclose(np.abs((directions[:3] * unit.T).sum(1)), 1, atol=1e-4)


@pytest.mark.parametrize(("size", "rank"), [(2, 1), (4, 3), (40, 5)])
def test_components_without_variance_are_zero(size, rank):
    """Fewer values than dimensions, and vectors in a subspace of rank 5."""
    vectors = random_vectors(size, 5) @ random_vectors(5, 12, 1)
    with pytest.warns(match=r"has only \d+ values: whitening to 24 dimensions"):
        out = whiten(vectors.astype("f4"), 24)
    assert np.isfinite(out).all()
    assert not out[:, rank:].any()
    np.testing.assert_allclose((out**2).mean(0)[:rank], 1, rtol=1e-2)


def test_equal_vectors_are_an_error():
    with pytest.raises(DataError, match=r"all 4 values of item\.title have the same vector"):
        fit_whitening([np.full((4, 3), 0.1, "f4")], 2, "item.title")


def test_sign_does_not_depend_on_the_solver(monkeypatch):
    vectors, eigh = random_vectors(300, 8), np.linalg.eigh
    expected = fit_whitening([vectors], 4)[1]
    monkeypatch.setattr(np.linalg, "eigh", lambda c: (eigh(c)[0], -eigh(c)[1]))
    np.testing.assert_allclose(fit_whitening([vectors], 4)[1], expected)


def test_chunks_and_tables_do_not_matter(monkeypatch):
    vectors = random_vectors(300, 8)
    expected = fit_whitening([vectors], 4)
    monkeypatch.setattr("interestlab.model.whitening.ROWS_PER_CHUNK", 7)
    for actual, one in zip(fit_whitening([vectors[:100], vectors[100:]], 4), expected, strict=True):
        np.testing.assert_allclose(actual, one, rtol=1e-6, atol=1e-9)


def test_a_loaded_map_needs_no_fit():
    whitening, vectors = Whitening(8, 4), random_vectors(300, 8)
    assert not whitening.is_fitted
    whitening.set_map(*fit_whitening([vectors], 4))
    loaded = Whitening(8, 4)
    loaded.load_state_dict(whitening.state_dict())
    assert loaded.is_fitted
    assert not list(loaded.parameters())
    table = np.empty((300, 4), "f4")
    loaded.write_table(vectors, table)
    torch.testing.assert_close(whitening(torch.from_numpy(vectors)), torch.from_numpy(table), rtol=1e-3, atol=1e-3)


# ---- in a model


def embeddings(model, name):
    backbone = model.backbone
    (stream,) = (s for s in backbone.streams if s.name == name)
    return backbone.embed_values(stream, np.arange(backbone.features[name].size)).detach()


def covariance(vectors):
    return np.cov(vectors.double().numpy().T, bias=True)


def title(model, whiten=True):
    args = f"fields: [item.title+item.category], model: {model}, max_length: 8, whiten: {str(whiten).lower()}"
    return f"--model.encoder={{class_path: frozen, init_args: {{{args}}}}}"


def test_a_model_sees_whitened_vectors_and_a_loaded_run_needs_no_fit(fit, bert, tmp_path, monkeypatch):
    model = fit(title(bert), "--model.dynamics=ewma", "--model.dim=6", steps=2).model
    vectors = embeddings(model, "main")
    np.testing.assert_allclose(covariance(vectors), np.eye(6), atol=1e-3)
    (stream,), raw = model.backbone.streams, torch.from_numpy(np.array(model.backbone.caches["main"].frozen_vectors()))
    torch.testing.assert_close(model.backbone.project(stream, raw), vectors, rtol=1e-4, atol=1e-4)
    monkeypatch.setattr("interestlab.model.disk_cache.fit_whitening", None)  # a call would fail
    loaded = load(tmp_path / "run", overrides=[f"--data.cache_dir={tmp_path / 'elsewhere'}"]).model
    torch.testing.assert_close(embeddings(loaded, "main"), vectors, rtol=1e-4, atol=1e-4)


def test_whitening_reuses_the_cached_vectors_of_the_encoder(fit, bert, cache):
    for i, whiten in enumerate((False, True, True)):
        fit(title(bert, whiten), "--model.dynamics=ewma", "--model.dim=5", folder=f"run{i}")
    (folder,) = {file.parent.parent for file in cache.glob("values/*/whitening-*/matrix.npy") if np.load(file).shape[1] == 5}
    assert len(list(folder.glob("vectors-*/vectors.npy"))) == 1


def test_fine_tuning_starts_at_the_whitened_vectors(fit, bert):
    tuned = title(bert).replace("frozen", "lora")
    model = fit(tuned, "--model.dynamics=ewma", "--model.dim=6", "--model.optim.peft.lr=1e-8", "--model.optim.lr=1e-8").model
    np.testing.assert_allclose(covariance(embeddings(model.eval(), "main")), np.eye(6), atol=1e-2)


def test_values_without_training_events_count_as_missing(fit):
    fields = "{id: {class_path: id, init_args: {min_count: 2}}, all: id}"
    cli = fit(f"--model.encoder={fields}", "--model.fusion=attention", "--model.dynamics=ewma", "--data.source.events=4")
    features, counts = cli.model.backbone.features, cli.datamodule.log.counts
    assert 0 < (counts < 2).sum() < len(counts)
    assert ((features["id"].codes < 0) == (counts < 2)).all()
    assert (features["all"].codes >= 0).all()


def test_event_fields_have_no_min_count(fit, capsys):
    encoder = "{id: id, kind: {class_path: id, init_args: {field: event.event, min_count: 1}}}"
    with pytest.raises(SystemExit):
        fit(f"--model.encoder={encoder}", "--model.fusion=attention", "--model.dynamics=ewma")
    assert "min_count=1 of the encoder of event.event: only values of an item field" in capsys.readouterr().err


def test_a_lookup_is_one_call(tmp_path):
    class Table(Encoder):
        fields = ("item.title",)
        preprocess_key, is_lookup, out_dim = "table", True, 3

        def forward(self, inputs):
            calls.append(len(inputs.values))
            return inputs.values.float()[:, :1].expand(-1, 3)

    calls = []
    (tmp_path / "rows").mkdir()
    ragged.write(tmp_path / "rows", [[np.array([i, 7][: 1 + i % 2]) for i in range(40)]])
    feature = FieldValues(np.arange(40), 40, tmp_path, RaggedArray(tmp_path / "rows"))
    cache = EmbeddingCache(Table(), feature, EncoderChunking(8, 1), use_disk=False)
    assert cache(np.arange(40))[:, 0].tolist() == list(range(40))
    assert calls == [40]
