"""Amortised encoding over three processes, compared with one process."""

import numpy as np
import pytest
import torch
from torch import nn

from interestlab.contract import Encoder
from interestlab.data import ragged
from interestlab.data.fields import FieldValues
from interestlab.distributed.parallelize import DistributedExecution
from interestlab.model.amortized import Amortization, StepPosition, VectorTable
from interestlab.model.chunking import EncoderChunking
from interestlab.model.embedding_cache import EmbeddingCache

VALUES = 12
OWN = [[0, 2, 3], [], [2, 5, 8, 11]]
"""Values of the events of each process."""


class Words(Encoder):
    """Maps the sum of word embeddings; records the number of values of each call."""

    fields = ["item.title"]
    preprocess_key = "words"
    out_dim = 3

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.layer, self.calls = nn.Embedding(50, 6), nn.Linear(6, 3), []

    def forward(self, inputs):
        self.calls.append(len(inputs.values))
        return torch.tanh(self.layer((self.table(inputs.values.long()) * inputs.mask[..., None]).sum(1)))


@pytest.fixture
def feature(tmp_path):
    """Return the field values of twelve texts of 1 to 6 words."""
    rng = np.random.default_rng(0)
    (tmp_path / "rows").mkdir()
    ragged.write(tmp_path / "rows", [[rng.integers(0, 50, n).astype(np.int32) for n in rng.integers(1, 7, VALUES)]])
    return FieldValues(np.arange(VALUES), VALUES, tmp_path, ragged.RaggedArray(tmp_path / "rows"))


def make_table(feature):
    return VectorTable(EmbeddingCache(Words(), feature, EncoderChunking()), Amortization(share=0.4), 0)


def run_steps(table, codes, *, shared, steps=4):
    """Return the vectors of each step, the gradient and the table; weights and loss depend on the vectors' codes alone."""
    out = []
    encoder = table.cache.encoder
    for step in range(steps):
        if table.start_step(StepPosition(0, step // 3, step, step)):
            table.refresh(torch.float32)
        vectors = table(codes, torch.float32, shared=shared)
        out.append(vectors.detach())
        (vectors.sin() * torch.from_numpy(codes + 1)[:, None]).sum().backward()
        with torch.no_grad():
            encoder.layer.bias.add_(0.1)
    return torch.cat(out), torch.cat([p.grad.flatten() for p in encoder.parameters()]), table.vectors


def test_each_process_encodes_a_part_and_all_have_the_same_table(run_in_processes, feature):
    def work(rank):
        table = make_table(feature)
        table.cache.execution = DistributedExecution(torch.device("cpu"))
        results = run_steps(table, np.arange(VALUES), shared=True)
        return *results, torch.tensor(sum(table.cache.encoder.calls))

    vectors, gradient, table = run_steps(make_table(feature), np.arange(VALUES), shared=True)
    results = run_in_processes(work)
    for result in results:
        torch.testing.assert_close(result[0], vectors)
        torch.testing.assert_close(result[2], table)
        assert torch.equal(result[2], results[0][2])
        assert result[3] <= 2 * VALUES / 3 + 4 * 2  # two refreshes and four steps, a third of each
    # The strategy averages over the processes, each of which has the loss of all values here.
    torch.testing.assert_close(sum(result[1] for result in results) / 3, gradient)


def test_processes_with_values_of_their_own_have_the_same_table(run_in_processes, feature):
    """One of them has none. Values of several processes are encoded once."""

    def work(rank):
        table = make_table(feature)
        table.cache.execution = DistributedExecution(torch.device("cpu"))
        return run_steps(table, np.array(OWN[rank], np.int64), shared=False)

    results = run_in_processes(work)
    union = sorted({code for codes in OWN for code in codes})
    vectors, _, table = run_steps(make_table(feature), np.array(union), shared=False)
    for own, result in zip(OWN, results, strict=True):
        expected = vectors.view(4, len(union), 3)[:, [union.index(code) for code in own]]
        torch.testing.assert_close(result[0], expected.flatten(0, 1))
        torch.testing.assert_close(result[2], table)
        assert torch.equal(result[2], results[0][2])
