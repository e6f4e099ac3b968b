"""Encoding values in chunks: vectors and gradients do not depend on the chunks."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from interestlab import encoders
from interestlab.batch import Inputs
from interestlab.contract import Encoder, FrozenTrunk
from interestlab.data import ragged
from interestlab.data.fields import FieldValues
from interestlab.model.chunking import EncoderChunking, split_into_chunks
from interestlab.model.embedding_cache import EmbeddingCache


class Rows:
    """Rows of which only the lengths are read."""

    def __init__(self, lengths):
        self.lengths = np.array(lengths, np.int64)


class Words(Encoder):
    """Maps the sum of word embeddings; records the shapes of its inputs."""

    fields = ["item.title"]
    preprocess_key = "words"
    out_dim = 5

    def __init__(self, dropout=0.0):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.layer, self.dropout = nn.Embedding(50, 6), nn.Linear(6, 5), dropout
        self.calls = []

    def forward(self, inputs):
        self.calls.append(tuple(inputs.values.shape))
        words = F.dropout(self.table(inputs.values.long()), self.dropout, self.training)
        return torch.tanh(self.layer((words * inputs.mask[..., None]).sum(1)))


class Ids(Encoder):
    fields = ["item.id"]
    out_dim = 3

    def __init__(self):
        super().__init__()
        self.table, self.calls = nn.Embedding(40, 3), []

    def forward(self, inputs):
        self.calls.append(tuple(inputs.values.shape))
        return self.table(inputs.values)


class FrozenTable(Words):
    """An encoder whose frozen table is its trunk."""

    def __init__(self):
        super().__init__()
        self.table.requires_grad_(False)

    def frozen_trunk(self):
        return FrozenTrunk(lambda inputs: Inputs(self.table(inputs.values.long()).detach(), inputs.lengths), "table", (6,))

    def forward_from_trunk(self, inputs):
        self.calls.append(tuple(inputs.values.shape))
        return torch.tanh(self.layer((inputs.values * inputs.mask[..., None]).sum(1)))

    def forward(self, inputs):
        return self.forward_from_trunk(self.frozen_trunk().forward(inputs))


@pytest.fixture
def feature(tmp_path):
    """Return the field values of forty texts of 1 to 12 words."""
    rng = np.random.default_rng(0)
    values = [rng.integers(0, 50, length).astype(np.int32) for length in rng.integers(1, 13, 40)]
    (tmp_path / "rows").mkdir()
    ragged.write(tmp_path / "rows", [values])
    return FieldValues(np.arange(40), 40, tmp_path, ragged.RaggedArray(tmp_path / "rows"))


def vectors_and_gradients(encoder, feature, chunking, codes):
    encoder.zero_grad()
    out = EmbeddingCache(encoder, feature, chunking)(codes)
    probe = torch.randn(40, encoder.out_dim, generator=torch.Generator().manual_seed(1))[torch.from_numpy(codes)]
    (out * probe).sum().backward()
    return out.detach(), {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}


# ---- chunks


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(1, 80), st.data())
def test_chunks_partition_the_values_by_length_within_the_limit(lengths, tokens, data):
    chosen = data.draw(st.sets(st.integers(0, len(lengths) - 1)))
    codes = np.array(sorted(chosen), np.int64)
    chunks = list(split_into_chunks(codes, Rows(lengths), tokens))
    assert sorted(c for chunk in chunks for c in chunk) == codes.tolist()
    widths = [max(1, lengths[c]) for chunk in chunks for c in chunk]
    assert widths == sorted(widths)
    for chunk in chunks:
        width = max(max(1, lengths[c]) for c in chunk)
        assert len(chunk) == 1 or len(chunk) * width <= tokens
    for chunk, following in pairwise(chunks):  # the next value would not have fitted
        assert (len(chunk) + 1) * max(1, lengths[following[0]]) > tokens


@settings(deadline=None)
@given(st.integers(0, 100), st.integers(1, 40))
def test_indices_are_split_by_count(size, tokens):
    codes = np.arange(size) * 3
    chunks = list(split_into_chunks(codes, None, tokens))
    assert np.concatenate([*chunks, np.empty(0, np.int64)]).tolist() == codes.tolist()
    assert all(len(chunk) == tokens for chunk in chunks[:-1])
    assert all(1 <= len(chunk) <= tokens for chunk in chunks)


@pytest.mark.parametrize("arguments", [{"max_tokens": 0}, {"chunks_with_activations": 0}, {"chunks_with_activations": -1}])
def test_chunk_sizes_below_one_are_rejected(arguments):
    with pytest.raises(ValueError, match="must be at least 1"):
        EncoderChunking(**arguments)


# ---- vectors and gradients


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tokens=st.integers(1, 200),
    stored_chunks=st.integers(1, 6),
    chosen=st.sets(st.integers(0, 39), min_size=1),
    cached=st.booleans(),
)
def test_vectors_and_gradients_do_not_depend_on_the_chunks(feature, tokens, stored_chunks, chosen, cached):
    codes = np.array(sorted(chosen), np.int64)
    encoder = FrozenTable() if cached else Words()
    unchunked = vectors_and_gradients(encoder, feature, EncoderChunking(10**6), codes)
    chunked = vectors_and_gradients(encoder, feature, EncoderChunking(tokens, stored_chunks), codes)
    torch.testing.assert_close(chunked, unchunked, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(unchunked[0], encoder(feature.inputs(codes)).detach(), rtol=1e-5, atol=1e-6)
    assert unchunked[1].keys() == {name for name, p in encoder.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("layers", ["all", 1])
@pytest.mark.parametrize("method", ["full", "lora", "side"])
def test_text_encoders_do_not_depend_on_the_chunks(bert, tmp_path, method, layers):
    options = {"dropout": 0.0} if method == "full" else {}
    encoder = getattr(encoders, method)(model=bert, layers=layers, max_length=20, **options)
    encoder.build({}, dim=8)
    if method == "lora":
        with torch.no_grad():
            for p in encoder.parameters():
                if p.requires_grad:
                    p.add_(torch.randn_like(p), alpha=0.1)
    for module in encoder.modules():
        if type(module) is nn.Dropout:
            module.p = 0.0
    texts = [f"{'word ' * (i % 7)}{i}" for i in range(40)]
    (tmp_path / "text").mkdir()
    ragged.write(tmp_path / "text", [encoder.preprocess(texts)])
    feature = FieldValues(np.arange(40), 40, tmp_path, ragged.RaggedArray(tmp_path / "text"))
    codes = np.arange(0, 40, 3)
    unchunked = vectors_and_gradients(encoder.train(), feature, EncoderChunking(), codes)
    assert unchunked[1]
    for chunking in (EncoderChunking(30, 1), EncoderChunking(1, 2)):
        chunked = vectors_and_gradients(encoder, feature, chunking, codes)
        torch.testing.assert_close(chunked, unchunked, rtol=1e-3, atol=1e-4)


# ---- memory


def test_chunks_beyond_the_stored_ones_are_recomputed_in_the_backward_pass(feature):
    encoder = Words()
    codes = np.arange(40)
    number = len(list(split_into_chunks(codes, feature.rows, 40)))
    assert number > 5
    for stored_chunks in (1, 3, number, number + 5):
        encoder.calls.clear()
        out = EmbeddingCache(encoder, feature, EncoderChunking(40, stored_chunks))(codes)
        forward = list(encoder.calls)
        assert len(forward) == number
        out.sum().backward()
        recomputed = encoder.calls[number:]
        assert sorted(recomputed) == sorted(forward[stored_chunks:])


def test_nothing_is_recomputed_without_gradients(feature):
    encoder = Words()
    with torch.no_grad():
        out = EmbeddingCache(encoder, feature, EncoderChunking(40, 1))(np.arange(40))
    assert not out.requires_grad
    assert len(encoder.calls) == len(list(split_into_chunks(np.arange(40), feature.rows, 40)))


def test_index_lookups_are_not_recomputed(tmp_path):
    encoder = Ids()
    out = EmbeddingCache(encoder, FieldValues(np.arange(40), 40, tmp_path), EncoderChunking(7, 1))(np.arange(40))
    out.sum().backward()
    assert encoder.calls == [(7,)] * 5 + [(5,)]
    assert torch.equal(out, encoder.table.weight)


def test_recomputation_repeats_the_dropout_mask(feature):
    """Otherwise the gradient would belong to another function than the loss."""
    grads = []
    for stored_chunks in (1, 100):
        encoder = Words(dropout=0.5).train()
        torch.manual_seed(3)
        grads.append(vectors_and_gradients(encoder, feature, EncoderChunking(40, stored_chunks), np.arange(40)))
    torch.testing.assert_close(*grads)


def test_chunks_are_padded_to_their_longest_value(feature):
    encoder = Words()
    EmbeddingCache(encoder, feature, EncoderChunking(40))(np.arange(40))
    assert sum(rows for rows, _ in encoder.calls) == 40
    padded = sum(rows * width for rows, width in encoder.calls)
    real = feature.rows.lengths.sum()
    assert real <= padded < 1.3 * real


# ---- constants


def test_a_constant_encoder_encodes_each_value_once(feature):
    encoder = Words().requires_grad_(False)
    first = EmbeddingCache(encoder, feature, EncoderChunking(40))
    out = first(np.array([3, 8]))
    assert sum(rows for rows, _ in encoder.calls) == 40
    encoder.calls.clear()
    torch.testing.assert_close(first(np.array([3, 8])), out)
    torch.testing.assert_close(EmbeddingCache(encoder, feature, EncoderChunking(7))(np.array([3, 8])), out)
    assert encoder.calls == []
    torch.testing.assert_close(out, encoder(feature.inputs(np.array([3, 8]))))


def test_a_constant_encoder_with_other_weights_encodes_again(feature):
    encoder = Words().requires_grad_(False)
    before = EmbeddingCache(encoder, feature, EncoderChunking())(np.arange(40))
    with torch.no_grad():
        encoder.layer.bias.add_(1.0)
    assert not torch.allclose(EmbeddingCache(encoder, feature, EncoderChunking())(np.arange(40)), before)


def test_caching_does_not_change_the_training_mode(feature):
    for training in (True, False):
        for encoder in (Words().requires_grad_(False).train(training), FrozenTable().train(training)):
            EmbeddingCache(encoder, feature, EncoderChunking()).fill()
            assert {module.training for module in encoder.modules()} == {training}


def test_cached_vectors_have_no_dropout(feature):
    encoder = Words(dropout=0.5).requires_grad_(False).train()
    cached = EmbeddingCache(encoder, feature, EncoderChunking())(np.arange(40))
    torch.testing.assert_close(cached, encoder.eval()(feature.inputs(np.arange(40))))


def test_an_encoder_of_indices_is_not_cached(tmp_path):
    encoder = Ids()
    EmbeddingCache(encoder, FieldValues(np.arange(40), 40, tmp_path / "home"), EncoderChunking()).fill()
    assert encoder.calls == []
    assert not (tmp_path / "home").exists()
