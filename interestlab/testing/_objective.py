"""The promises of :class:`interestlab.contract.Objective`."""

import torch
from torch import Tensor
from torch.nn import functional as F

from interestlab.contract import Objective
from interestlab.testing._checks import Checks, require
from interestlab.testing._part import move
from interestlab.testing._problem import ITEMS, Problem, problem

DRAWS = 32
"""How often the loss of an objective that samples is computed, each time from another seed."""


class ObjectiveChecks(Checks[Objective]):
    """An objective under test, in training mode. One that samples is judged by the mean of many draws.

    Stability: provisional.
    """

    kind = Objective

    def fresh(self) -> Objective:
        return self.construct().train()

    def moved(self) -> Objective:
        """An objective as after some training: what starts at zero no longer is."""
        objective = self.fresh()
        move(objective)
        return objective

    def example(self, objective: Objective, rows: int = 4) -> Problem:
        """What the objective is given: with the candidates that it declares."""
        return problem(objective, rows)

    def loss(self, objective: Objective, given: Problem) -> Tensor:
        """The loss, after its shape and value were looked at."""
        loss = given.loss(objective)
        require(isinstance(loss, Tensor), f"forward gives {type(loss).__name__}, not a tensor")
        require(loss.shape == (), f"forward gives {list(loss.shape)} where a scalar is due")
        require(loss.is_floating_point(), f"forward gives {loss.dtype}")
        require(bool(loss.isfinite()), f"the loss is {loss.item()}")
        return loss

    def losses(self, objective: Objective, given: Problem) -> Tensor:
        """The loss from each of many seeds, float64; from two of them, where these show that the objective does not sample."""
        found: list[Tensor] = []
        for seed in range(DRAWS):
            torch.default_generator.manual_seed(seed)
            found.append(self.loss(objective, given).detach().double())
            if seed == 1 and torch.equal(*found):
                break
        return torch.stack(found)

    def alike(self, actual: Tensor, expected: Tensor, message: str, rtol: float = 1e-4) -> None:
        """Two times many losses have one mean: within rounding, and where they are drawn within five standard errors."""
        gap = (actual.mean() - expected.mean()).abs()
        error = (actual.var() / len(actual) + expected.var() / len(expected)).sqrt()
        told = f"{message}: the loss is {actual.mean():.6g}, not {expected.mean():.6g}"
        require(bool(gap <= 5 * error + rtol * expected.mean().abs() + 1e-5), told)

    def check_candidates(self) -> None:
        """It declares its candidates: ``batch`` or ``catalogue``."""
        declared = self.fresh().candidates
        require(declared in ("batch", "catalogue"), f"candidates is {declared!r}, neither batch nor catalogue")

    def check_loss(self) -> None:
        """The loss is a finite scalar, also for a single user."""
        objective = self.moved()
        for rows in (1, 4):
            self.loss(objective, self.example(objective, rows))

    def check_gradients(self) -> None:
        """Finite gradients reach the interests and the candidates, and some a parameter of its own where there is any.

        Those of a term that is added need only reach the interests or the events that they come from.
        """
        objective = self.moved()
        given = self.example(objective)
        inputs = {"z": given.z, "x": given.x, "the candidates": given.candidates.embeddings}
        own = {name: p for name, p in objective.named_parameters() if p.requires_grad}
        loss = self.loss(objective, given.cast(Tensor.requires_grad_))
        require(loss.requires_grad, "the loss has no gradient")
        gradients = torch.autograd.grad(loss, [*inputs.values(), *own.values()], allow_unused=True)
        found = dict(zip([*inputs, *own], gradients, strict=True))
        for name, gradient in found.items():
            require(gradient is None or bool(gradient.isfinite().all()), f"the gradient of {name} is not finite")
        reached = {name for name, gradient in found.items() if gradient is not None and bool(gradient.any())}
        if objective.auxiliary:
            require(bool(reached & {"z", "x"}), "no gradient reaches z or x")
        else:
            for name in ("z", "the candidates"):
                require(name in reached, f"no gradient reaches {name}")
        require(not own or bool(reached & set(own)), "no gradient reaches a trainable parameter")

    def check_falls(self) -> None:
        """The loss falls when each interest goes towards its target. (A term that is added may aim at something else.)"""
        objective = self.moved()
        if objective.auxiliary:
            return
        given = self.example(objective)
        nearer = given.z.clone()
        nearer[given.known] = F.normalize(given.z[given.known] + given.wanted, dim=-1)
        before, after = (self.losses(objective, p).mean() for p in (given, given.with_z(nearer)))
        require(bool(after < before), f"the loss goes from {before:.6g} to {after:.6g} as z goes towards the target")

    def check_targets(self) -> None:
        """Positions without a target do not matter."""
        objective = self.moved()
        given = self.example(objective)
        other = torch.where(given.known.unsqueeze(-1), given.z, torch.randn_like(given.z))
        self.alike(
            self.losses(objective, given.with_z(other)), self.losses(objective, given), "z matters where there is no target"
        )

    def check_padding(self) -> None:
        """More padding changes nothing."""
        objective = self.moved()
        given = self.example(objective)
        self.alike(self.losses(objective, given.padded(3)), self.losses(objective, given), "the length of the padding matters")

    def check_users(self) -> None:
        """The order of the users does not matter."""
        objective = self.moved()
        given = self.example(objective)
        turned = given.of_users([2, 0, 3, 1])
        self.alike(self.losses(objective, turned), self.losses(objective, given), "the order of the users matters")

    def check_items(self) -> None:
        """Which index an item has, and so the order of the candidates, does not matter."""
        objective = self.moved()
        given = self.example(objective)
        renamed = given.renamed(torch.randperm(ITEMS))
        self.alike(self.losses(objective, renamed), self.losses(objective, given), "the order of the candidates matters")

    def check_float64(self) -> None:
        """In double precision the loss is float64 and agrees with float32."""
        objective = self.moved()
        given = self.example(objective)
        single = self.losses(objective, given)
        double = given.cast(Tensor.double)
        objective.double()
        dtype = self.loss(objective, double).dtype
        require(dtype == torch.float64, f"the loss is {dtype}")
        self.alike(self.losses(objective, double), single, "float64 and float32 disagree", rtol=1e-3)

    def check_autocast(self) -> None:
        """Under bfloat16 autocast the loss is a finite scalar."""
        objective = self.moved()
        given = self.example(objective)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            self.loss(objective, given)
            self.loss(objective, given.half())
