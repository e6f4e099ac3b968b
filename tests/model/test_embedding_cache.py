"""Values through an encoder in chunks: no vector and no gradient depends on how they are cut."""

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


class Held:
    """Rows of which only the lengths are looked at."""

    def __init__(self, lengths):
        self.lengths = np.array(lengths, np.int64)


class Words(Encoder):
    """Words of a table, summed and mapped; counts its calls."""

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


class Looked(Words):
    """Its table is frozen, and looked up once."""

    def __init__(self):
        super().__init__()
        self.table.requires_grad_(False)

    def frozen_trunk(self):
        return FrozenTrunk(lambda inputs: Inputs(self.table(inputs.values.long()).detach(), inputs.lengths), "looked", (6,))

    def forward_from_trunk(self, inputs):
        self.calls.append(tuple(inputs.values.shape))
        return torch.tanh(self.layer((inputs.values * inputs.mask[..., None]).sum(1)))

    def forward(self, inputs):
        return self.forward_from_trunk(self.frozen_trunk().forward(inputs))


@pytest.fixture
def feature(tmp_path):
    """Forty values of 1 to 12 words."""
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
def test_chunks_are_a_partition_of_like_lengths_within_the_bound(lengths, tokens, data):
    chosen = data.draw(st.sets(st.integers(0, len(lengths) - 1)))
    codes = np.array(sorted(chosen), np.int64)
    found = list(split_into_chunks(codes, Held(lengths), tokens))
    assert sorted(c for chunk in found for c in chunk) == codes.tolist()
    widths = [max(1, lengths[c]) for chunk in found for c in chunk]
    assert widths == sorted(widths)
    for chunk in found:
        width = max(max(1, lengths[c]) for c in chunk)
        assert len(chunk) == 1 or len(chunk) * width <= tokens
    for chunk, following in pairwise(found):  # as few as there can be
        assert (len(chunk) + 1) * max(1, lengths[following[0]]) > tokens


@settings(deadline=None)
@given(st.integers(0, 100), st.integers(1, 40))
def test_indices_are_cut_by_their_number(size, tokens):
    codes = np.arange(size) * 3
    found = list(split_into_chunks(codes, None, tokens))
    assert np.concatenate([*found, np.empty(0, np.int64)]).tolist() == codes.tolist()
    assert all(len(chunk) == tokens for chunk in found[:-1])
    assert all(1 <= len(chunk) <= tokens for chunk in found)


@pytest.mark.parametrize("wrong", [{"max_tokens": 0}, {"chunks_with_activations": 0}, {"chunks_with_activations": -1}])
def test_less_than_one_is_no_chunking(wrong):
    with pytest.raises(ValueError, match="must be at least 1"):
        EncoderChunking(**wrong)


# ---- no number depends on them


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tokens=st.integers(1, 200),
    held=st.integers(1, 6),
    chosen=st.sets(st.integers(0, 39), min_size=1),
    kept=st.booleans(),
)
def test_vectors_and_gradients_do_not_depend_on_the_chunks(feature, tokens, held, chosen, kept):
    codes = np.array(sorted(chosen), np.int64)
    encoder = Looked() if kept else Words()
    whole = vectors_and_gradients(encoder, feature, EncoderChunking(10**6), codes)
    cut = vectors_and_gradients(encoder, feature, EncoderChunking(tokens, held), codes)
    torch.testing.assert_close(cut, whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(whole[0], encoder(feature.inputs(codes)).detach(), rtol=1e-5, atol=1e-6)
    assert whole[1].keys() == {name for name, p in encoder.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("layers", ["all", 1])
@pytest.mark.parametrize("method", ["full", "lora", "side"])
def test_text_models_do_not_depend_on_the_chunks_either(bert, tmp_path, method, layers):
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
    whole = vectors_and_gradients(encoder.train(), feature, EncoderChunking(), codes)
    assert whole[1]
    for chunking in (EncoderChunking(30, 1), EncoderChunking(1, 2)):
        cut = vectors_and_gradients(encoder, feature, chunking, codes)
        torch.testing.assert_close(cut, whole, rtol=1e-3, atol=1e-4)


# ---- memory


def test_chunks_beyond_those_held_are_computed_again_going_backward(feature):
    encoder = Words()
    codes = np.arange(40)
    number = len(list(split_into_chunks(codes, feature.rows, 40)))
    assert number > 5
    for held in (1, 3, number, number + 5):
        encoder.calls.clear()
        out = EmbeddingCache(encoder, feature, EncoderChunking(40, held))(codes)
        forward = list(encoder.calls)
        assert len(forward) == number
        out.sum().backward()
        again = encoder.calls[number:]
        assert sorted(again) == sorted(forward[held:])


def test_nothing_is_computed_again_where_no_gradient_is_asked_for(feature):
    encoder = Words()
    with torch.no_grad():
        out = EmbeddingCache(encoder, feature, EncoderChunking(40, 1))(np.arange(40))
    assert not out.requires_grad
    assert len(encoder.calls) == len(list(split_into_chunks(np.arange(40), feature.rows, 40)))


def test_a_table_is_never_looked_up_again(tmp_path):
    encoder = Ids()
    out = EmbeddingCache(encoder, FieldValues(np.arange(40), 40, tmp_path), EncoderChunking(7, 1))(np.arange(40))
    out.sum().backward()
    assert encoder.calls == [(7,)] * 5 + [(5,)]
    assert torch.equal(out, encoder.table.weight)


def test_what_is_computed_again_drops_the_same(feature):
    """Else the gradient would be of another function than the loss."""
    grads = []
    for held in (1, 100):
        encoder = Words(dropout=0.5).train()
        torch.manual_seed(3)
        grads.append(vectors_and_gradients(encoder, feature, EncoderChunking(40, held), np.arange(40)))
    torch.testing.assert_close(*grads)


def test_no_chunk_is_padded_beyond_its_longest(feature):
    encoder = Words()
    EmbeddingCache(encoder, feature, EncoderChunking(40))(np.arange(40))
    assert sum(rows for rows, _ in encoder.calls) == 40
    padded = sum(rows * width for rows, width in encoder.calls)
    real = feature.rows.lengths.sum()
    assert real <= padded < 1.3 * real


# ---- constants


def test_a_constant_encoder_is_asked_once_for_each_value_and_never_again(feature):
    encoder = Words().requires_grad_(False)
    first = EmbeddingCache(encoder, feature, EncoderChunking(40))
    out = first(np.array([3, 8]))
    assert sum(rows for rows, _ in encoder.calls) == 40
    encoder.calls.clear()
    torch.testing.assert_close(first(np.array([3, 8])), out)
    torch.testing.assert_close(EmbeddingCache(encoder, feature, EncoderChunking(7))(np.array([3, 8])), out)
    assert encoder.calls == []
    torch.testing.assert_close(out, encoder(feature.inputs(np.array([3, 8]))))


def test_a_constant_encoder_of_other_weights_is_asked_anew(feature):
    encoder = Words().requires_grad_(False)
    before = EmbeddingCache(encoder, feature, EncoderChunking())(np.arange(40))
    with torch.no_grad():
        encoder.layer.bias.add_(1.0)
    assert not torch.allclose(EmbeddingCache(encoder, feature, EncoderChunking())(np.arange(40)), before)


def test_keeping_leaves_the_mode_of_the_encoder_alone(feature):
    for training in (True, False):
        for encoder in (Words().requires_grad_(False).train(training), Looked().train(training)):
            EmbeddingCache(encoder, feature, EncoderChunking()).fill()
            assert {module.training for module in encoder.modules()} == {training}


def test_what_drops_in_training_is_kept_without(feature):
    encoder = Words(dropout=0.5).requires_grad_(False).train()
    kept = EmbeddingCache(encoder, feature, EncoderChunking())(np.arange(40))
    torch.testing.assert_close(kept, encoder.eval()(feature.inputs(np.arange(40))))


def test_an_encoder_of_indices_keeps_nothing(tmp_path):
    encoder = Ids()
    EmbeddingCache(encoder, FieldValues(np.arange(40), 40, tmp_path / "home"), EncoderChunking()).fill()
    assert encoder.calls == []
    assert not (tmp_path / "home").exists()
