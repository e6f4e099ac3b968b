"""Objectives that break one promise each, and the checks that catch them."""

from typing import Literal

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from interestlab.contract import Objective
from interestlab.testing import ObjectiveTests, check_plugin, checks_for


class Softmax(Objective):
    """Keeps every promise.

    Args:
        candidates: of the batch, or all.
        scale: of the scores, at first.
    """

    def __init__(self, candidates: Literal["batch", "catalogue"] = "batch", scale: float = 2.0):
        super().__init__()
        self.candidates = candidates
        self.scale = nn.Parameter(torch.tensor(scale))

    def scores(self, z, candidates):
        return self.scale * z @ candidates.vectors.T

    def forward(self, z, candidates, batch):
        known = batch.targets >= 0
        return F.cross_entropy(self.scores(z[known], candidates), candidates.positions(batch.targets[known]))


class TestSoftmax(ObjectiveTests):
    plugin = Softmax


class TestSoftmaxOfTheCatalogue(ObjectiveTests):
    plugin = Softmax
    init_args = {"candidates": "catalogue", "scale": 5.0}


class Sampled(Softmax):
    """Tells the target from one other candidate, drawn anew each time; keeps every promise as a mean of draws."""

    candidates = "batch"

    def forward(self, z, candidates, batch):
        known = batch.targets >= 0
        wanted = candidates.positions(batch.targets[known])
        other = (wanted + torch.randint(1, max(2, len(candidates.items)), wanted.shape)) % len(candidates.items)
        gap = (z[known] * (candidates.vectors[wanted] - candidates.vectors[other])).sum(-1)
        return F.softplus(-self.scale * gap).mean()


class TestSampled(ObjectiveTests):
    plugin = Sampled


class OfNeither(Softmax):
    def __init__(self):
        super().__init__()
        self.candidates = "some"


class OfEachPosition(Softmax):
    def forward(self, z, candidates, batch):
        known = batch.targets >= 0
        wanted = candidates.positions(batch.targets[known])
        return F.cross_entropy(self.scores(z[known], candidates), wanted, reduction="none")


class NeedsTwoUsers(Softmax):
    def forward(self, z, candidates, batch):
        if len(z) < 2:
            raise ValueError("expected more than one user")
        return super().forward(z, candidates, batch)


class CandidatesDetached(Softmax):
    def scores(self, z, candidates):
        return self.scale * z @ candidates.vectors.detach().T


class InterestDetached(Softmax):
    def scores(self, z, candidates):
        return super().scores(z.detach(), candidates)


class NothingLearnt(Softmax):
    def forward(self, z, candidates, batch):
        return super().forward(z, candidates, batch).detach()


class ScaleDetached(Softmax):
    def scores(self, z, candidates):
        return self.scale.detach() * z @ candidates.vectors.T


class InfiniteGradient(Softmax):
    def forward(self, z, candidates, batch):
        return super().forward(z, candidates, batch) + torch.sqrt((self.scale * 0).sum())


class PushesAway(Softmax):
    def scores(self, z, candidates):
        return -super().scores(z, candidates)


class CountsEveryPosition(Softmax):
    """Where there is no target, the first candidate stands for it."""

    def forward(self, z, candidates, batch):
        scores = self.scores(z, candidates)[batch.mask]
        return F.cross_entropy(scores, candidates.positions(batch.targets[batch.mask]).clamp(min=0))


class MeanOverThePadding(Softmax):
    def forward(self, z, candidates, batch):
        return super().forward(z, candidates, batch) * (batch.targets >= 0).float().mean()


class FirstUserCountsTwice(Softmax):
    def forward(self, z, candidates, batch):
        first = batch._replace(targets=torch.cat([batch.targets[:1], torch.full_like(batch.targets[1:], -1)]))
        return super().forward(z, candidates, batch) + super().forward(z, candidates, first)


class FavoursTheFirstCandidates(Softmax):
    def scores(self, z, candidates):
        return super().scores(z, candidates) + torch.linspace(1, 0, len(candidates.items), dtype=z.dtype)


class SingleOnly(Softmax):
    def forward(self, z, candidates, batch):
        return super().forward(z, candidates, batch).float()


class AnotherInDouble(Softmax):
    def forward(self, z, candidates, batch):
        return super().forward(z, candidates, batch) + float(z.dtype == torch.float64)


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


CAUGHT = {
    OfNeither: {"candidates"},
    OfEachPosition: {"loss", "gradients", "falls", "targets", "padding", "users", "items", "float64", "autocast"},
    NeedsTwoUsers: {"loss"},
    CandidatesDetached: {"gradients"},
    InterestDetached: {"gradients"},
    NothingLearnt: {"gradients"},
    ScaleDetached: {"gradients"},
    InfiniteGradient: {"gradients"},
    PushesAway: {"falls"},
    CountsEveryPosition: {"targets", "items"},
    MeanOverThePadding: {"padding"},
    FirstUserCountsTwice: {"users"},
    FavoursTheFirstCandidates: {"items"},
    SingleOnly: {"float64"},
    AnotherInDouble: {"float64"},
    NoAutocast: {"autocast"},
    Forgets: {"spec"},
}


@pytest.mark.parametrize("plugin", CAUGHT)
def test_caught_by_the_right_checks(plugin):
    outcomes = check_plugin(plugin)
    assert {outcome.check for outcome in outcomes if outcome.status == "broken"} == CAUGHT[plugin], outcomes


def test_every_check_of_its_own_can_fail():
    own = {name for name, check in checks_for(Objective).items() if check.__qualname__.startswith("ObjectiveChecks.")}
    assert own <= set.union(*CAUGHT.values())
