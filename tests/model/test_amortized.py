"""Amortised encoding: the table, which values are encoded, and the gradient of a step."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from interestlab.batch import Inputs
from interestlab.contract import Encoder, FrozenTrunk
from interestlab.data import ragged
from interestlab.data.fields import FieldValues
from interestlab.model.amortized import Amortization, AmortizedEncoding, StepPosition, VectorTable
from interestlab.model.chunking import EncoderChunking
from interestlab.model.embedding_cache import EmbeddingCache

VALUES = 12


class Words(Encoder):
    """Maps the mean of word embeddings; records the number of values of each call."""

    fields = ["item.title"]
    preprocess_key = "words"
    out_dim = 3

    def __init__(self, dropout=0.0):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.layer = nn.Embedding(50, 6), nn.Sequential(nn.Dropout(dropout), nn.Linear(6, 3))
        self.calls = []

    def forward(self, inputs):
        self.calls.append(len(inputs.values))
        words = self.table(inputs.values.long()) * inputs.mask[..., None]
        return torch.tanh(self.layer(words.sum(1)))


class Trunk(Words):
    """The same with the word embeddings frozen and cached."""

    def __init__(self):
        super().__init__()
        self.table.requires_grad_(False)
        self.trunk_calls = 0

    def _run_trunk(self, inputs):
        self.trunk_calls += 1
        return Inputs(self.table(inputs.values.long()).detach(), inputs.lengths)

    def frozen_trunk(self):
        return FrozenTrunk(self._run_trunk, "words", (6,))

    def forward_from_trunk(self, inputs):
        return torch.tanh(self.layer((inputs.values * inputs.mask[..., None]).sum(1)))


@pytest.fixture(scope="module")
def feature(tmp_path_factory):
    """Return the field values of twelve texts of 1 to 6 words."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("field")
    (folder / "rows").mkdir()
    ragged.write(folder / "rows", [[rng.integers(0, 50, n).astype(np.int32) for n in rng.integers(1, 7, VALUES)]])
    return FieldValues(np.arange(VALUES), VALUES, folder, ragged.RaggedArray(folder / "rows"))


def make_table(feature, encoder=None, **options):
    return VectorTable(EmbeddingCache(encoder or Words(), feature, EncoderChunking()), Amortization(**options), 0)


def start(table, epoch=0, batch=0, step=0, seed=0):
    if table.start_step(StepPosition(seed, epoch, batch, step)):
        table.refresh(torch.float32)
        return True
    return False


def gradients(encoder, loss):
    encoder.zero_grad()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in encoder.parameters()])


def nonlinear_loss(vectors):
    """Return a loss in which the gradient of a vector depends on the other vectors."""
    return (vectors @ vectors.T).logsumexp(0).sum()


CODES = np.array([0, 2, 3, 5, 8, 11])

# ---- the gradient


def test_mean_gradient_over_all_samples_is_the_exact_gradient(feature, monkeypatch):
    """The bias is zero while the table is up to date, since each value is encoded in the same share of the samples."""
    encoder = Words()
    exact = gradients(encoder, nonlinear_loss(EmbeddingCache(encoder, feature, EncoderChunking())(CODES)))
    table = make_table(feature, encoder, share=1 / 3)
    start(table)
    sampled = []
    for chosen in combinations(CODES, 2):
        monkeypatch.setattr(table, "choose", lambda codes, chosen=chosen: np.array(chosen))
        sampled.append(gradients(encoder, nonlinear_loss(table(CODES, torch.float32, shared=True))))
    assert max(float((gradient - exact).norm() / exact.norm()) for gradient in sampled) > 0.3
    torch.testing.assert_close(torch.stack(sampled).mean(0), exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_every_value_is_encoded_equally_often(feature, share):
    table, draws = make_table(feature, share=share), 3000
    counts = np.zeros(VALUES)
    for batch in range(draws):
        table.position = StepPosition(0, 0, batch, 0)
        counts[table.choose(CODES)] += 1
    expected = max(1, round(share * len(CODES))) / len(CODES)
    assert np.abs(counts[CODES] / draws - expected).max() < 4 * (expected * (1 - expected) / draws) ** 0.5
    assert counts.sum() == counts[CODES].sum()


@pytest.mark.parametrize("options", [{"share": 1.0}, {"share": 0.95}, {"schedule": "once"}])
def test_a_full_share_is_exact_encoding_bit_for_bit(feature, options):
    """Also in training mode with dropout, since the same chunks are encoded with the same random numbers."""
    encoder = Words(dropout=0.5)
    table = make_table(feature, encoder, **options)
    start(table)
    results = []
    for embed in (EmbeddingCache(encoder, feature, EncoderChunking()), lambda c: table(c, torch.float32, shared=True)):
        torch.manual_seed(1)
        vectors = embed(CODES)
        results.append((vectors.detach(), gradients(encoder, nonlinear_loss(vectors))))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_a_step_without_values_still_gives_every_weight_a_gradient(feature):
    table = make_table(feature, share=0.5)
    start(table)
    vectors = table(np.array([], np.int64), torch.float32, shared=False)
    assert vectors.shape == (0, 3)
    assert gradients(table.cache.encoder, vectors.sum()).eq(0).all()


# ---- the table


@given(st.integers(0, 2**31), st.floats(0.05, 1), st.sampled_from(["random", "once"]), st.sampled_from(["epoch", "start", 3]))
def test_vectors_are_those_of_the_step_in_which_they_were_encoded(feature, seed, share, schedule, refresh):
    """A reference with one vector per value and step follows the table through two epochs of changing weights."""
    rng, encoder = np.random.default_rng(seed), Words()
    table = make_table(feature, encoder, share=share, schedule=schedule, refresh=refresh)
    exact = EmbeddingCache(encoder, feature, EncoderChunking())
    expected, last_refresh = torch.zeros(VALUES, 3), None
    for step in range(10):
        epoch, batch = divmod(step, 5)
        refreshed = start(table, epoch, batch, step, seed)
        is_due = {"epoch": batch == 0, "start": step == 0, 3: last_refresh is None or step - last_refresh == 3}[refresh]
        assert refreshed == is_due
        with torch.no_grad():
            current = exact(np.arange(VALUES))
        if refreshed:
            expected, last_refresh = current.clone(), step
        codes = np.flatnonzero(rng.random(VALUES) < 0.6)
        chosen = table.choose(codes)
        vectors = table(codes, torch.float32, shared=True).detach()
        expected[chosen] = current[chosen]
        torch.testing.assert_close(vectors, expected[codes])
        assert table.vectors.numel() == VALUES * 3
        with torch.no_grad():
            for parameter in encoder.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)


@given(st.integers(0, 2**31), st.floats(0.1, 1))
def test_once_encodes_each_value_once_per_epoch(feature, seed, share):
    rng = np.random.default_rng(seed)
    table, step = make_table(feature, share=share, schedule="once"), 0
    for epoch in range(2):
        encoded, seen = [], set()
        for batch in range(6):
            start(table, epoch, batch, step)
            codes = np.flatnonzero(rng.random(VALUES) < 0.6)
            seen |= set(codes.tolist())
            chosen = table.choose(codes)
            assert len(chosen) <= max(1, round(share * len(codes)))
            encoded += chosen.tolist()
            table(codes, torch.float32, shared=True)
            step += batch % 2  # two batches per step
        assert len(encoded) == len(set(encoded))
        assert set(encoded) <= seen
        if share == 1:
            assert set(encoded) == seen


def test_refreshing_reads_the_cached_trunk_and_keeps_the_mode_of_each_module(feature):
    encoder = Trunk()
    encoder.layer[0].eval()
    table = make_table(feature, encoder, share=0.5)
    start(table)
    calls = encoder.trunk_calls
    for epoch in (1, 2):
        assert start(table, epoch, 0, epoch)
    assert encoder.trunk_calls == calls
    assert (encoder.training, encoder.layer.training, encoder.layer[0].training) == (True, True, False)


def test_metrics_are_the_encoded_share_and_the_age_of_the_others(feature):
    amortized = AmortizedEncoding(Amortization(share=0.5), {"title": EmbeddingCache(Words(), feature, EncoderChunking())})
    table = amortized.tables["title"]
    for step in range(3):
        for stale in amortized.start_step(StepPosition(0, 0, step, step)):
            stale.refresh(torch.float32)
        chosen = set(table.choose(CODES).tolist())
        previous = table.encoded_at.copy()
        table(CODES, torch.float32, shared=True)
        ages = [step - previous[code] for code in CODES if code not in chosen]
        assert amortized.metrics() == {"encoded_share": 0.5, "staleness": pytest.approx(np.mean(ages))}


def test_an_encoder_that_is_frozen_needs_no_table(feature):
    encoder = Words()
    amortized = AmortizedEncoding(Amortization(share=0.5), {"title": EmbeddingCache(encoder, feature, EncoderChunking())})
    encoder.requires_grad_(False)
    assert amortized.start_step(StepPosition(0, 0, 0, 0)) == []
    assert amortized.metrics() == {}
    encoder.requires_grad_(True)
    assert len(amortized.start_step(StepPosition(0, 0, 1, 1))) == 1


# ---- resume


def run_steps(table, first, last, window=2):
    """Run batches of two epochs of six batches; return their vectors. The weights depend on the step."""
    out = []
    for number in range(first, last):
        epoch, batch = divmod(number, 6)
        step = number // window
        with torch.no_grad():
            table.cache.encoder.layer[1].bias.fill_(step * 0.1)
        start(table, epoch, batch, step)
        codes = np.flatnonzero(np.random.default_rng(number).random(VALUES) < 0.6)
        out.append(table(codes, torch.float32, shared=True).detach())
    return out


@pytest.mark.parametrize("schedule", ["random", "once"])
@pytest.mark.parametrize("refresh", ["epoch", "start", 2])
@pytest.mark.parametrize("stop", [4, 5, 6, 7, 9])
def test_a_resumed_table_equals_an_uninterrupted_one(feature, schedule, refresh, stop):
    """Also if it stops in the middle of a step of two batches, which is then repeated from its first batch."""
    options = {"share": 0.4, "schedule": schedule, "refresh": refresh}
    expected = run_steps(make_table(feature, **options), 0, 12)
    table = make_table(feature, **options)
    run_steps(table, 0, stop)
    finished_steps = stop // 2
    state = table.state_dict(finished_steps)
    resumed = make_table(feature, **options)
    resumed.load_state_dict(state)
    for one, other in zip(expected[finished_steps * 2 :], run_steps(resumed, finished_steps * 2, 12), strict=True):
        assert torch.equal(one, other)


def test_a_table_that_the_next_epoch_refreshes_is_not_saved(feature):
    caches = {"title": EmbeddingCache(Words(), feature, EncoderChunking())}
    for refresh, saved in (("epoch", set()), ("start", {"title"}), (5, {"title"})):
        amortized = AmortizedEncoding(Amortization(share=0.5, refresh=refresh), caches)
        start(amortized.tables["title"])
        assert amortized.state_dict(1, is_epoch_start=True).keys() == saved
        assert amortized.state_dict(1, is_epoch_start=False).keys() == {"title"}


@pytest.mark.parametrize("options", [{"share": 0}, {"share": 1.1}, {"refresh": 0}])
def test_impossible_options_are_rejected(options):
    with pytest.raises(ValueError, match="must be"):
        Amortization(**options)
