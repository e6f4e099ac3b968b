"""Encoders that each break one promise, and the checks that fail on them."""

import zlib
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from interestlab.batch import Inputs
from interestlab.contract import Encoder, FrozenTrunk
from interestlab.testing import EncoderTests, check_plugin, checks_for, pad_rows


class Ids(Encoder):
    """A table of indices that satisfies the contract."""

    fields = ("item.id",)

    def build(self, cardinalities, dim):
        self.out_dim = dim
        self.table = nn.Embedding(cardinalities["item.id"], dim)

    def forward(self, inputs):
        return self.table(inputs.values)


class Words(Encoder):
    """Hashed words, averaged; satisfies the contract.

    Args:
        buckets: rows of the table.
    """

    fields = ("item.title+item.brand", "event.text")
    preprocess_key = "words"

    def __init__(self, buckets: int = 50):
        super().__init__()
        self.table = nn.Embedding(buckets, 6)
        self.out_dim = 6

    def preprocess(self, values):
        return [np.array([zlib.crc32(w.encode()) % self.table.num_embeddings for w in v.split()], int) for v in values]

    def weights(self, inputs):
        return inputs.mask.to(self.table.weight.dtype) / inputs.lengths.clamp(min=1).unsqueeze(1)

    def forward(self, inputs):
        return (self.table(inputs.values) * self.weights(inputs).unsqueeze(-1)).sum(1)


class TestIds(EncoderTests):
    plugin = Ids


class TestWords(EncoderTests):
    plugin = Words
    init_args: ClassVar = {"buckets": 7}


class Frozen(Words):
    """An encoder may be a constant."""

    def __init__(self):
        super().__init__()
        self.requires_grad_(False)


class TestFrozen(EncoderTests):
    plugin = Frozen


class Pixels(Words):
    """Reads no plain words: rows are images."""

    preprocess_key = "pixels"

    def preprocess(self, values):
        return [np.full((int(v or 0), 3, 2), 0.5, np.float32) for v in values]

    def forward(self, inputs):
        return (inputs.values.flatten(2) * self.weights(inputs).unsqueeze(-1)).sum(1) * self.table.weight[0]


class TestPixels(EncoderTests):
    plugin = Pixels
    values: ClassVar = ["1", "", "5", "20", "2"]


class MixesRows(Ids):
    def forward(self, inputs):
        out = super().forward(inputs)
        return out - 0.1 * out.mean(0)


class DropoutInEvaluation(Words):
    def forward(self, inputs):
        return F.dropout(super().forward(inputs), 0.5, training=True)


class ReadsThePadding(Words):
    def weights(self, inputs):
        return torch.ones_like(super().weights(inputs)) / inputs.lengths.clamp(min=1).unsqueeze(1)


class AveragesThePadding(Words):
    def weights(self, inputs):
        return inputs.mask.to(self.table.weight.dtype) / inputs.values.shape[1]


class EmptyIsNaN(Words):
    def weights(self, inputs):
        return inputs.mask.to(self.table.weight.dtype) / inputs.lengths.unsqueeze(1)


class PreprocessesAtRandom(Words):
    """Differs between calls, as Python's hash of a string differs between runs."""

    calls = 0

    def preprocess(self, values):
        PreprocessesAtRandom.calls += 1
        return [(row + PreprocessesAtRandom.calls) % 50 for row in super().preprocess(values)]


class PreprocessDependsOnTheBatch(Words):
    def preprocess(self, values):
        return [np.resize(row, max(map(len, values))) for row in super().preprocess([v or "x" for v in values])]


class DropsEmptyValues(Words):
    def preprocess(self, values):
        return super().preprocess([v for v in values if v])


class PreprocessesToSeveralTypes(Words):
    def preprocess(self, values):
        return [row if len(row) else np.zeros(0) for row in super().preprocess(values)]


class NoFields(Ids):
    fields = ()

    def build(self, cardinalities, dim):
        super().build({"item.id": 11}, dim)


class FieldsAsAString(Words):
    fields = "item.title"


class FieldWithoutASide(Words):
    fields = ("title",)


class FieldOfBothSides(Words):
    fields = ("item.title+event.text",)


class FloatWidth(Words):
    def __init__(self):
        super().__init__()
        self.out_dim = 6.0


class Grouped(Words):
    """Pretrained word embeddings as the frozen trunk, and an added layer.

    Args:
        dtype: dtype of the cached rows.
    """

    def __init__(self, dtype: str = "float32"):
        super().__init__()
        self.stored_dtype = dtype
        self.table.requires_grad_(False)
        self.layer = nn.Linear(6, 6)

    def parameter_groups(self):
        return {"pretrained": self.table.parameters(), "peft": self.layer.parameters()}

    @torch.no_grad()
    def look_up(self, inputs):
        return Inputs(self.table(inputs.values), inputs.lengths)

    def frozen_trunk(self):
        return FrozenTrunk(self.look_up, "words", (6,), cache_dtype=self.stored_dtype)

    def forward_from_trunk(self, inputs):
        return self.layer((inputs.values * self.weights(inputs).unsqueeze(-1)).sum(1))

    def forward(self, inputs):
        return self.forward_from_trunk(self.look_up(inputs))


class TestGrouped(EncoderTests):
    plugin = Grouped


class Summed(Grouped):
    """Has a trunk with two rows per value of any length."""

    @torch.no_grad()
    def look_up(self, inputs):
        mean = (self.table(inputs.values) * self.weights(inputs).unsqueeze(-1)).sum(1)
        return Inputs(torch.stack([mean, -mean], 1), torch.full_like(inputs.lengths, 2))

    def frozen_trunk(self):
        return FrozenTrunk(self.look_up, "sums", (6,), rows_per_value=2)

    def forward_from_trunk(self, inputs):
        return self.layer(inputs.values[:, 0] - inputs.values[:, 1])


class TestSummed(EncoderTests):
    plugin = Summed


class GroupOutside(Grouped):
    def __init__(self):
        super().__init__()
        # Not registered with nn.Module, like the items of a list.
        object.__setattr__(self, "hidden", nn.Linear(2, 2))

    def parameter_groups(self):
        return {"peft": self.hidden.parameters()}


class GroupsOverlap(Grouped):
    def parameter_groups(self):
        return {"pretrained": self.parameters(), "peft": self.layer.parameters()}


class UnknownGroup(Grouped):
    def parameter_groups(self):
        return {"adapters": self.layer.parameters()}


class FromTrunkDiffers(Grouped):
    def forward_from_trunk(self, inputs):
        return super().forward_from_trunk(inputs) * 0.9

    def forward(self, inputs):
        return Grouped.forward_from_trunk(self, self.look_up(inputs))


class FromTrunkReadsThePadding(Grouped):
    def look_up(self, inputs):
        values, lengths = super().look_up(inputs)
        values[:, -1] = torch.where(inputs.mask[:, -1:], values[:, -1], torch.ones(6))
        return Inputs(values, lengths)

    def forward_from_trunk(self, inputs):
        return super().forward_from_trunk(inputs) + inputs.values[:, -1] * ~inputs.mask[:, -1:]


class TrunkIsTrained(Grouped):
    def __init__(self):
        super().__init__()
        self.table.requires_grad_(True)


class TrunkHasAGraph(Grouped):
    def __init__(self):
        super().__init__()
        self.table.requires_grad_(True)

    def look_up(self, inputs):
        return Inputs(self.table(inputs.values), inputs.lengths)


class TrunkWithDropout(Grouped):
    def look_up(self, inputs):
        return Inputs(F.dropout(self.table(inputs.values), 0.5, self.training).detach(), inputs.lengths)


class TrunkWithAChangingKey(Grouped):
    def frozen_trunk(self):
        return FrozenTrunk(self.look_up, f"words-{float(self.layer.bias.detach().sum())}", (6,))


class TrunkWithAWrongShape(Grouped):
    def frozen_trunk(self):
        return FrozenTrunk(self.look_up, "words", (3, 2))


class TrunkWithWrongLengths(Grouped):
    def frozen_trunk(self):
        return FrozenTrunk(self.look_up, "words", (6,), rows_per_value=1)


class TrunkOfIndices(Ids):
    def frozen_trunk(self):
        return FrozenTrunk(lambda inputs: Inputs(self.table(inputs.values)[:, None].detach(), None), "ids", (1,))


CAUGHT = {
    MixesRows: {"row_independence"},
    ReadsThePadding: {"padding"},
    AveragesThePadding: {"padding"},
    EmptyIsNaN: {"empty_text"},
    PreprocessDependsOnTheBatch: {"preprocess"},
    DropsEmptyValues: {"preprocess", "empty_text"},
    PreprocessesToSeveralTypes: {"preprocess"},
    NoFields: {"fields"},
    FieldsAsAString: {"fields"},
    FieldWithoutASide: {"fields"},
    FieldOfBothSides: {"fields"},
    FloatWidth: {"out_dim"},
    GroupOutside: {"parameter_groups"},
    GroupsOverlap: {"parameter_groups"},
    UnknownGroup: {"parameter_groups"},
    FromTrunkDiffers: {"frozen_trunk"},
    FromTrunkReadsThePadding: {"frozen_trunk"},
    TrunkIsTrained: {"frozen_trunk"},
    TrunkHasAGraph: {"frozen_trunk"},
    TrunkWithDropout: {"frozen_trunk"},
    TrunkWithAChangingKey: {"frozen_trunk"},
    TrunkWithAWrongShape: {"frozen_trunk"},
    TrunkWithWrongLengths: {"frozen_trunk"},
    TrunkOfIndices: {"frozen_trunk"},
    DropoutInEvaluation: {"evaluation_mode"},
    PreprocessesAtRandom: {"preprocess"},
}


@pytest.mark.parametrize("plugin", CAUGHT)
def test_caught_by_the_right_checks(plugin):
    outcomes = check_plugin(plugin)
    assert {outcome.check for outcome in outcomes if outcome.status == "failed"} >= CAUGHT[plugin], outcomes


def test_every_check_can_fail():
    own = {name for name, check in checks_for(Encoder).items() if check.__qualname__.startswith("EncoderChecks.")}
    assert own <= set.union(*CAUGHT.values())


def test_values_must_include_an_empty_one():
    outcomes = check_plugin(Words, values=["a", "b c", "d", "e", "f"])
    assert [outcome.check for outcome in outcomes if outcome.status == "failed"] == ["empty_text"]


def test_values_must_include_readable_ones():
    outcomes = check_plugin(Words, values=["", " ", "  ", "\t", "\n"])
    (message,) = [outcome.message for outcome in outcomes if outcome.check == "preprocess"]
    assert message == "preprocess returns an empty array for every value; pass `values` that it can read"


def test_rows_are_padded_on_the_right():
    values, lengths = pad_rows([np.array([[1, 2]]), np.zeros((0, 2), int), np.array([[3, 4], [5, 6]])])
    assert values.tolist() == [[[1, 2], [0, 0]], [[0, 0], [0, 0]], [[3, 4], [5, 6]]]
    assert lengths.tolist() == [1, 0, 2]


def test_only_empty_rows_are_padded_to_length_one():
    assert pad_rows([np.zeros(0), np.zeros(0)]).values.shape == (2, 1)
