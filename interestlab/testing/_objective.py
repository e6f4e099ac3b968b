"""The checks of :class:`interestlab.contract.Objective`."""

import torch
from torch import Tensor
from torch.nn import functional as F

from interestlab.contract import Objective
from interestlab.testing._checks import Checks, require
from interestlab.testing._example_step import ITEMS, ExampleStep, example_step
from interestlab.testing._part import perturb_parameters

DRAWS = 32
"""Number of seeds with which the loss of a sampling objective is computed."""


class ObjectiveChecks(Checks[Objective]):
    """An objective under test, in training mode. A sampling objective is compared by the mean over many seeds.

    Stability: provisional.
    """

    kind = Objective

    def fresh(self) -> Objective:
        return self.construct().train()

    def perturbed(self) -> Objective:
        """Return a new objective with perturbed parameters."""
        objective = self.fresh()
        perturb_parameters(objective)
        return objective

    def example(self, objective: Objective, rows: int = 4) -> ExampleStep:
        """Return example inputs with the candidates that the objective asks for."""
        return example_step(objective, rows)

    def loss(self, objective: Objective, example: ExampleStep) -> Tensor:
        """Return the loss after checking its type, shape and value."""
        loss = example.loss(objective)
        require(isinstance(loss, Tensor), f"forward returns {type(loss).__name__}; it must return a tensor")
        require(loss.shape == (), f"forward returns shape {list(loss.shape)}; it must be a scalar")
        require(loss.is_floating_point(), f"forward returns {loss.dtype}; it must be a floating-point dtype")
        require(bool(loss.isfinite()), f"the loss is {loss.item()}; it must be finite")
        return loss

    def losses(self, objective: Objective, example: ExampleStep) -> Tensor:
        """Return the loss for many seeds in float64, or for two seeds if these show that the objective does not sample."""
        losses: list[Tensor] = []
        for seed in range(DRAWS):
            torch.default_generator.manual_seed(seed)
            losses.append(self.loss(objective, example).detach().double())
            if seed == 1 and torch.equal(*losses):
                break
        return torch.stack(losses)

    def require_equal_means(self, actual: Tensor, expected: Tensor, message: str, rtol: float = 1e-4) -> None:
        """Require equal means: up to rounding, and for sampled losses up to five standard errors."""
        difference = (actual.mean() - expected.mean()).abs()
        error = (actual.var() / len(actual) + expected.var() / len(expected)).sqrt()
        text = f"{message}: the loss is {actual.mean():.6g}, not {expected.mean():.6g}"
        require(bool(difference <= 5 * error + rtol * expected.mean().abs() + 1e-5), text)

    def check_candidates(self) -> None:
        """The attribute ``candidates`` is ``batch`` or ``catalogue``."""
        declared = self.fresh().candidates
        require(declared in ("batch", "catalogue"), f"candidates is {declared!r}; it must be batch or catalogue")

    def check_loss(self) -> None:
        """The loss is a finite scalar, also for a single user."""
        objective = self.perturbed()
        for rows in (1, 4):
            self.loss(objective, self.example(objective, rows))

    def check_gradients(self) -> None:
        """Finite gradients reach the user states, the candidates, and a parameter of the objective if there is any.

        The gradients of an auxiliary term need to reach only the user states or the events.
        """
        objective = self.perturbed()
        example = self.example(objective)
        inputs = {"z": example.z, "x": example.x, "the candidates": example.candidates.embeddings}
        own = {name: p for name, p in objective.named_parameters() if p.requires_grad}
        loss = self.loss(objective, example.cast(Tensor.requires_grad_))
        require(loss.requires_grad, "the loss has no gradient")
        gradients = torch.autograd.grad(loss, [*inputs.values(), *own.values()], allow_unused=True)
        by_name = dict(zip([*inputs, *own], gradients, strict=True))
        for name, gradient in by_name.items():
            require(gradient is None or bool(gradient.isfinite().all()), f"the gradient of {name} is not finite")
        reached = {name for name, gradient in by_name.items() if gradient is not None and bool(gradient.any())}
        if objective.auxiliary:
            require(bool(reached & {"z", "x"}), "neither the user states z nor the events x receive a gradient")
        else:
            for name in ("z", "the candidates"):
                require(name in reached, f"{name} receives no gradient")
        require(not own or bool(reached & set(own)), "no trainable parameter receives a gradient")

    def check_loss_decreases(self) -> None:
        """The loss decreases when user states move towards their targets. (Auxiliary terms are exempt.)"""
        objective = self.perturbed()
        if objective.auxiliary:
            return
        example = self.example(objective)
        closer = example.z.clone()
        closer[example.target_mask] = F.normalize(example.z[example.target_mask] + example.target_vectors, dim=-1)
        before, after = (self.losses(objective, p).mean() for p in (example, example.with_z(closer)))
        require(
            bool(after < before),
            f"the loss changes from {before:.6g} to {after:.6g} when z moves towards the target; it must decrease",
        )

    def check_positions_without_target(self) -> None:
        """Positions without a target have no effect."""
        objective = self.perturbed()
        example = self.example(objective)
        other = torch.where(example.target_mask.unsqueeze(-1), example.z, torch.randn_like(example.z))
        self.require_equal_means(
            self.losses(objective, example.with_z(other)),
            self.losses(objective, example),
            "the loss depends on z at positions without a target; use step.target_mask",
        )

    def check_padding(self) -> None:
        """Additional padding has no effect."""
        objective = self.perturbed()
        example = self.example(objective)
        self.require_equal_means(
            self.losses(objective, example.pad(3)),
            self.losses(objective, example),
            "the loss depends on the length of the padding",
        )

    def check_user_order(self) -> None:
        """The order of the users has no effect."""
        objective = self.perturbed()
        example = self.example(objective)
        permuted = example.permute_users([2, 0, 3, 1])
        self.require_equal_means(
            self.losses(objective, permuted), self.losses(objective, example), "the loss depends on the order of the users"
        )

    def check_item_order(self) -> None:
        """The indices of the items, and thus the order of the candidates, have no effect."""
        objective = self.perturbed()
        example = self.example(objective)
        renamed_step = example.rename_items(torch.randperm(ITEMS))
        self.require_equal_means(
            self.losses(objective, renamed_step),
            self.losses(objective, example),
            "the loss depends on the order of the candidates",
        )

    def check_float64(self) -> None:
        """In double precision, the loss is float64 and agrees with float32."""
        objective = self.perturbed()
        example = self.example(objective)
        single = self.losses(objective, example)
        double = example.cast(Tensor.double)
        objective.double()
        dtype = self.loss(objective, double).dtype
        require(dtype == torch.float64, f"the loss is {dtype}; it must be float64 for float64 inputs")
        self.require_equal_means(self.losses(objective, double), single, "the losses in float64 and float32 differ", rtol=1e-3)

    def check_autocast(self) -> None:
        """Under bfloat16 autocast, the loss is a finite scalar."""
        objective = self.perturbed()
        example = self.example(objective)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            self.loss(objective, example)
            self.loss(objective, example.half())
