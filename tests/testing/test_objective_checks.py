"""Objectives that each break one promise, and the checks that fail on them."""

from typing import Literal

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from interestlab.contract import Objective
from interestlab.testing import ObjectiveTests, check_plugin, checks_for


class Softmax(Objective):
    """Satisfies the contract.

    Args:
        candidates: those of the batch, or the catalogue.
        scale: initial scale of the scores.
    """

    def __init__(self, candidates: Literal["batch", "catalogue"] = "batch", scale: float = 2.0):
        super().__init__()
        self.candidates = candidates
        self.scale = nn.Parameter(torch.tensor(scale))

    def scores(self, z, candidates):
        return self.scale * z @ candidates.embeddings.T

    def forward(self, step):
        return F.cross_entropy(self.scores(step.user_states[step.target_mask], step.candidates), step.target_index)


class TestSoftmax(ObjectiveTests):
    plugin = Softmax


class TestSoftmaxOfTheCatalogue(ObjectiveTests):
    plugin = Softmax
    init_args = {"candidates": "catalogue", "scale": 5.0}


class Sampled(Softmax):
    """Compares the target with one random candidate; satisfies the contract on average."""

    candidates = "batch"

    def forward(self, step):
        vectors = step.candidates.embeddings
        other = (step.target_index + torch.randint(1, max(2, len(vectors)), step.target_index.shape)) % len(vectors)
        difference = (step.user_states[step.target_mask] * (vectors[step.target_index] - vectors[other])).sum(-1)
        return F.softplus(-self.scale * difference).mean()


class TestSampled(ObjectiveTests):
    plugin = Sampled


class Agreement(Objective):
    """An auxiliary term that satisfies the contract: the distance between two passes over the events."""

    auxiliary = True

    def difference(self, step):
        return (
            step.with_event_embeddings(step.event_embeddings).user_states
            - step.with_event_embeddings(step.event_embeddings).user_states
        )

    def forward(self, step):
        return self.difference(step)[step.target_mask].square().sum(-1).mean()


class TestAgreement(ObjectiveTests):
    plugin = Agreement


class TermOfTheMainLoss(Agreement):
    """An auxiliary term that applies the model's objective to scaled events."""

    def forward(self, step):
        return step.with_event_embeddings(step.event_embeddings * 1.1).loss


class TestTermOfTheMainLoss(ObjectiveTests):
    plugin = TermOfTheMainLoss


class UnknownCandidates(Softmax):
    def __init__(self):
        super().__init__()
        self.candidates = "some"


class LossPerPosition(Softmax):
    def forward(self, step):
        return F.cross_entropy(
            self.scores(step.user_states[step.target_mask], step.candidates), step.target_index, reduction="none"
        )


class NeedsTwoUsers(Softmax):
    def forward(self, step):
        if len(step.user_states) < 2:
            raise ValueError("expected more than one user")
        return super().forward(step)


class DetachedCandidates(Softmax):
    def scores(self, z, candidates):
        return self.scale * z @ candidates.embeddings.detach().T


class DetachedInterest(Softmax):
    def scores(self, z, candidates):
        return super().scores(z.detach(), candidates)


class DetachedLoss(Softmax):
    def forward(self, step):
        return super().forward(step).detach()


class DetachedScale(Softmax):
    def scores(self, z, candidates):
        return self.scale.detach() * z @ candidates.embeddings.T


class InfiniteGradient(Softmax):
    def forward(self, step):
        return super().forward(step) + torch.sqrt((self.scale * 0).sum())


class PushesTargetsAway(Softmax):
    def scores(self, z, candidates):
        return -super().scores(z, candidates)


class CountsEveryPosition(Softmax):
    """Positions without a target count, with the first candidate as their target."""

    def forward(self, step):
        real = step.batch.mask
        targets = step.candidates.index_of(step.batch.targets[real])
        return F.cross_entropy(self.scores(step.user_states[real], step.candidates), targets)


class MeanOverThePadding(Softmax):
    def forward(self, step):
        return super().forward(step) * step.target_mask.float().mean()


class FirstUserCountsTwice(Softmax):
    def forward(self, step):
        first = int(step.target_mask[0].sum())
        scores = self.scores(step.user_states[0, step.target_mask[0]], step.candidates)
        return super().forward(step) + F.cross_entropy(scores, step.target_index[:first])


class FavoursTheFirstCandidates(Softmax):
    def scores(self, z, candidates):
        return super().scores(z, candidates) + torch.linspace(1, 0, len(candidates.items), dtype=z.dtype)


class Float32Only(Softmax):
    def forward(self, step):
        return super().forward(step).float()


class DiffersInFloat64(Softmax):
    def forward(self, step):
        return super().forward(step) + float(step.user_states.dtype == torch.float64)


class NoAutocast(Softmax):
    def scores(self, z, candidates):
        out = super().scores(z, candidates)
        return torch.empty(out.shape, dtype=self.scale.dtype).index_copy_(0, torch.arange(len(out)), out)


class GrowsWithEveryInstance(Softmax):
    """Has a larger buffer with every instance."""

    instances = 0

    def __init__(self):
        super().__init__()
        GrowsWithEveryInstance.instances += 1
        self.register_buffer("extra", torch.zeros(GrowsWithEveryInstance.instances))


class DetachedTerm(Agreement):
    def difference(self, step):
        return super().difference(step).detach()


class TermOfItsOwnParameter(Agreement):
    """Only its own parameter receives a gradient."""

    def __init__(self):
        super().__init__()
        self.own = nn.Parameter(torch.tensor(2.0))

    def difference(self, step):
        return super().difference(step).detach() * self.own


class TermOfTheCandidates(Agreement):
    def forward(self, step):
        return step.candidates.embeddings.square().mean()


class TermWithZeroGradient(Agreement):
    """The gradient of the events is zero."""

    def difference(self, step):
        return super().difference(step) * 0


CAUGHT = {
    UnknownCandidates: {"candidates"},
    LossPerPosition: {
        "loss",
        "gradients",
        "loss_decreases",
        "positions_without_target",
        "padding",
        "user_order",
        "item_order",
        "float64",
        "autocast",
    },
    NeedsTwoUsers: {"loss"},
    DetachedCandidates: {"gradients"},
    DetachedInterest: {"gradients"},
    DetachedLoss: {"gradients"},
    DetachedScale: {"gradients"},
    InfiniteGradient: {"gradients"},
    PushesTargetsAway: {"loss_decreases"},
    CountsEveryPosition: {"positions_without_target", "item_order"},
    MeanOverThePadding: {"padding"},
    FirstUserCountsTwice: {"user_order"},
    FavoursTheFirstCandidates: {"item_order"},
    Float32Only: {"float64"},
    DiffersInFloat64: {"float64"},
    NoAutocast: {"autocast"},
    GrowsWithEveryInstance: {"spec"},
    DetachedTerm: {"gradients"},
    TermOfItsOwnParameter: {"gradients"},
    TermOfTheCandidates: {"gradients"},
    TermWithZeroGradient: {"gradients"},
}


@pytest.mark.parametrize("plugin", CAUGHT)
def test_caught_by_the_right_checks(plugin):
    outcomes = check_plugin(plugin)
    assert {outcome.check for outcome in outcomes if outcome.status == "failed"} == CAUGHT[plugin], outcomes


def test_every_check_can_fail():
    own = {name for name, check in checks_for(Objective).items() if check.__qualname__.startswith("ObjectiveChecks.")}
    assert own <= set.union(*CAUGHT.values())
