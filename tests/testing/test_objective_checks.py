"""Objectives that break one promise each, and the checks that catch them."""

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
        candidates: of the batch, or all.
        scale: of the scores, at first.
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
    """Tells the target from one other candidate, drawn anew each time; satisfies the contract as a mean of draws."""

    candidates = "batch"

    def forward(self, step):
        vectors = step.candidates.embeddings
        other = (step.target_index + torch.randint(1, max(2, len(vectors)), step.target_index.shape)) % len(vectors)
        gap = (step.user_states[step.target_mask] * (vectors[step.target_index] - vectors[other])).sum(-1)
        return F.softplus(-self.scale * gap).mean()


class TestSampled(ObjectiveTests):
    plugin = Sampled


class Agreement(Objective):
    """A term that is added, and satisfies the contract: two readings of the events are to agree."""

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


class OfTheMainLoss(Agreement):
    """A term that is computed from what the model's objective makes of altered events."""

    def forward(self, step):
        return step.with_event_embeddings(step.event_embeddings * 1.1).loss


class TestOfTheMainLoss(ObjectiveTests):
    plugin = OfTheMainLoss


class OfNeither(Softmax):
    def __init__(self):
        super().__init__()
        self.candidates = "some"


class OfEachPosition(Softmax):
    def forward(self, step):
        return F.cross_entropy(
            self.scores(step.user_states[step.target_mask], step.candidates), step.target_index, reduction="none"
        )


class NeedsTwoUsers(Softmax):
    def forward(self, step):
        if len(step.user_states) < 2:
            raise ValueError("expected more than one user")
        return super().forward(step)


class CandidatesDetached(Softmax):
    def scores(self, z, candidates):
        return self.scale * z @ candidates.embeddings.detach().T


class InterestDetached(Softmax):
    def scores(self, z, candidates):
        return super().scores(z.detach(), candidates)


class NothingLearnt(Softmax):
    def forward(self, step):
        return super().forward(step).detach()


class ScaleDetached(Softmax):
    def scores(self, z, candidates):
        return self.scale.detach() * z @ candidates.embeddings.T


class InfiniteGradient(Softmax):
    def forward(self, step):
        return super().forward(step) + torch.sqrt((self.scale * 0).sum())


class PushesAway(Softmax):
    def scores(self, z, candidates):
        return -super().scores(z, candidates)


class CountsEveryPosition(Softmax):
    """Where there is no target, the first candidate stands for it."""

    def forward(self, step):
        real = step.batch.mask
        wanted = step.candidates.index_of(step.batch.targets[real])
        return F.cross_entropy(self.scores(step.user_states[real], step.candidates), wanted)


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


class SingleOnly(Softmax):
    def forward(self, step):
        return super().forward(step).float()


class AnotherInDouble(Softmax):
    def forward(self, step):
        return super().forward(step) + float(step.user_states.dtype == torch.float64)


class NoAutocast(Softmax):
    def scores(self, z, candidates):
        out = super().scores(z, candidates)
        return torch.empty(out.shape, dtype=self.scale.dtype).index_copy_(0, torch.arange(len(out)), out)


class Forgets(Softmax):
    """Widens by what it was not given."""

    made = 0

    def __init__(self):
        super().__init__()
        Forgets.made += 1
        self.register_buffer("extra", torch.zeros(Forgets.made))


class NoTerm(Agreement):
    def difference(self, step):
        return super().difference(step).detach()


class TermOfItself(Agreement):
    """What it pulls at is its own."""

    def __init__(self):
        super().__init__()
        self.own = nn.Parameter(torch.tensor(2.0))

    def difference(self, step):
        return super().difference(step).detach() * self.own


class TermOfTheCandidates(Agreement):
    def forward(self, step):
        return step.candidates.embeddings.square().mean()


class TermThatPullsAtNothing(Agreement):
    """The events are read, and do not matter."""

    def difference(self, step):
        return super().difference(step) * 0


CAUGHT = {
    OfNeither: {"candidates"},
    OfEachPosition: {
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
    CandidatesDetached: {"gradients"},
    InterestDetached: {"gradients"},
    NothingLearnt: {"gradients"},
    ScaleDetached: {"gradients"},
    InfiniteGradient: {"gradients"},
    PushesAway: {"loss_decreases"},
    CountsEveryPosition: {"positions_without_target", "item_order"},
    MeanOverThePadding: {"padding"},
    FirstUserCountsTwice: {"user_order"},
    FavoursTheFirstCandidates: {"item_order"},
    SingleOnly: {"float64"},
    AnotherInDouble: {"float64"},
    NoAutocast: {"autocast"},
    Forgets: {"spec"},
    NoTerm: {"gradients"},
    TermOfItself: {"gradients"},
    TermOfTheCandidates: {"gradients"},
    TermThatPullsAtNothing: {"gradients"},
}


@pytest.mark.parametrize("plugin", CAUGHT)
def test_caught_by_the_right_checks(plugin):
    outcomes = check_plugin(plugin)
    assert {outcome.check for outcome in outcomes if outcome.status == "failed"} == CAUGHT[plugin], outcomes


def test_every_check_can_fail():
    own = {name for name, check in checks_for(Objective).items() if check.__qualname__.startswith("ObjectiveChecks.")}
    assert own <= set.union(*CAUGHT.values())
