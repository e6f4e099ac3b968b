"""The checks of all parts of a model: encoders, fusion heads and dynamics."""

import io
from abc import ABC, abstractmethod
from typing import Any, TypeVar, get_args

import torch
from torch import Tensor, nn

from interestlab.contract import Dynamics, FusionHead, ParameterGroup, Part
from interestlab.testing._checks import DIM, Checks, require, require_equal, state_tensors, tensor_layout
from interestlab.testing._trees import map_tensors

M = TypeVar("M", bound=Part)
N = TypeVar("N", FusionHead, Dynamics)
GROUPS = set(get_args(ParameterGroup))


class PartChecks(Checks[M], ABC):
    """A part of a model under test, and its example inputs."""

    @abstractmethod
    def example(self, part: M, rows: int = 4) -> tuple[Any, ...]:
        """Return arguments of ``forward`` with ``rows`` rows; rows are the first axis of every tensor."""

    @abstractmethod
    def shape(self, part: M, example: tuple[Any, ...]) -> tuple[int, ...]:
        """Return the expected shape of the output for ``example``."""

    def half(self, example: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return ``example`` in the dtypes that other parts produce under bfloat16 autocast."""
        return example

    def mask_output(self, out: Tensor, example: tuple[Any, ...]) -> Tensor:
        """Set the entries of ``out`` without a promised value to zero."""
        return out

    def fresh(self) -> M:
        """Return a new part in evaluation mode."""
        return self.build(self.construct()).eval()

    def perturbed(self) -> M:
        """Return a new part with perturbed parameters, so that branches initialised with zeros have an effect."""
        part = self.fresh()
        perturb_parameters(part)
        return part

    def out(self, part: M, example: tuple[Any, ...]) -> Tensor:
        """Return the output of ``forward`` after checking its type, shape and values."""
        out = part(*example)
        require(isinstance(out, Tensor), f"forward returns {type(out).__name__}; it must return a tensor")
        expected = self.shape(part, example)
        require(tuple(out.shape) == expected, f"forward returns shape {list(out.shape)}; it must be {list(expected)}")
        require(out.is_floating_point(), f"forward returns {out.dtype}; it must be a floating-point dtype")
        out = self.mask_output(out, example)
        require(bool(out.isfinite().all()), "forward returns NaN or infinity")
        return out

    def gradients(self, part: M, example: tuple[Any, ...]) -> list[Tensor]:
        """Return the gradients of the trainable parameters after checking that they are finite."""
        trainable = {name: p for name, p in part.named_parameters() if p.requires_grad}
        out = self.out(part, example)
        # Random weights, because the plain sum is constant after a LayerNorm.
        loss = (out * torch.randn_like(out)).sum()
        if not (trainable and loss.requires_grad):
            return []
        gradients = dict(zip(trainable, torch.autograd.grad(loss, list(trainable.values()), allow_unused=True), strict=True))
        for name, gradient in gradients.items():
            require(gradient is None or bool(gradient.isfinite().all()), f"the gradient of {name} is not finite")
        return [gradient for gradient in gradients.values() if gradient is not None]

    def check_parameter_groups(self) -> None:
        """``parameter_groups`` contains only the part's own parameters, each at most once."""
        part = self.fresh()
        own = {id(p) for p in part.parameters()}
        groups = {name: [id(p) for p in params] for name, params in part.parameter_groups().items()}
        require(
            set(groups) <= GROUPS,
            f"the groups are named {', '.join(groups)}; the allowed names are {', '.join(sorted(GROUPS))}",
        )
        grouped = [i for group in groups.values() for i in group]
        require(
            set(grouped) <= own,
            "a group contains a parameter that is not registered in the part, so it would not be saved or moved",
        )
        require(len(set(grouped)) == len(grouped), "a parameter is in a group twice, or in two groups")

    def check_gradients(self) -> None:
        """Gradients are finite, and at least one trainable parameter receives a gradient if there are any."""
        part = self.perturbed().train()
        gradients = self.gradients(part, self.example(part))
        if any(p.requires_grad for p in part.parameters()):
            require(
                any(bool(g.any()) for g in gradients),
                "no trainable parameter receives a gradient; check for detach() or no_grad()",
            )

    def check_penalty(self) -> None:
        """The penalty is None, or a finite scalar that depends on trainable parameters."""
        part = self.perturbed().train()
        penalty = part.penalty()
        if penalty is None:
            return
        require(isinstance(penalty, Tensor) and penalty.ndim == 0, "the penalty is not a scalar tensor")
        require(bool(penalty.isfinite()), f"the penalty is {penalty}; it must be finite")
        require(penalty.requires_grad, "the penalty has no gradient, so it has no effect")

    def check_state_dict(self) -> None:
        """A saved and reloaded state dict gives the same output."""
        part, again, file = self.perturbed(), self.fresh(), io.BytesIO()
        torch.save(part.state_dict(), file)
        file.seek(0)
        again.load_state_dict(torch.load(file, weights_only=True))
        example = self.example(part)
        require_equal(
            self.out(again, example),
            self.out(part, example),
            "the output differs after saving and loading the state dict; register all state as parameters or buffers",
        )

    def check_evaluation_mode(self) -> None:
        """In evaluation mode, ``forward`` is deterministic and changes no weight or buffer."""
        part = self.perturbed()
        before = {name: value.clone() for name, value in state_tensors(part).items()}
        example = self.example(part)
        require_equal(
            self.out(part, example), self.out(part, example), "two calls of forward in evaluation mode differ", rtol=0, atol=0
        )
        for name, value in state_tensors(part).items():
            require(torch.equal(value, before[name]), f"forward in evaluation mode changes {name}")

    def check_training_mode(self) -> None:
        """In training mode, the output has the same shape and is finite, also for a single row."""
        part = self.perturbed().train()
        for rows in (1, 4):
            self.out(part, self.example(part, rows))

    def check_float64(self) -> None:
        """In double precision, the output is float64 and agrees with float32."""
        part = self.perturbed()
        example = self.example(part)
        single = self.out(part, example)
        # As with Lightning's precision 64-true.
        double = self.out(part.double(), map_tensors(lambda t: t.double() if t.is_floating_point() else t, example))
        require(double.dtype == torch.float64, f"the output is {double.dtype}; it must be float64 for float64 parameters")
        require_equal(double.float(), single.float(), "the outputs in float64 and float32 differ", rtol=1e-3, atol=1e-4)

    def check_autocast(self) -> None:
        """Under bfloat16 autocast, the output has the same shape and is finite."""
        part = self.perturbed()
        example = self.example(part)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            self.out(part, example)
            self.out(part, self.half(example))

    def check_batch_size(self) -> None:
        """No parameter or buffer changes its shape with the number of rows."""
        part = self.perturbed()
        before = tensor_layout(part)
        for rows in (2, 5, 1):
            self.out(part, self.example(part, rows))
            require(tensor_layout(part) == before, f"a batch of {rows} rows changes the shape of a parameter or buffer")

    def check_row_independence(self) -> None:
        """Each row of the output depends only on the same row of the input."""
        part = self.perturbed()
        example = self.example(part)
        together = self.out(part, example)
        for row in range(len(together)):
            alone = self.out(part, take(example, [row]))
            require_equal(together[row], alone[0], f"row {row} of the output depends on other rows")

    def check_row_order(self) -> None:
        """Permuting the rows permutes the output."""
        part = self.perturbed()
        example = self.example(part)
        order = [2, 0, 3, 1]
        require_equal(
            self.out(part, take(example, order)), self.out(part, example)[order], "the output depends on the order of the rows"
        )


class TrainableChecks(PartChecks[N]):
    """The kinds that need trainable parameters. (Encoders may be constant; their vectors are then cached on disk.)"""

    def construct(self) -> N:
        return self.plugin(**{"dim": DIM} | self.init_args)

    def check_dim(self) -> None:
        """The attribute ``dim`` is the constructor's argument."""
        part = self.construct()
        require(part.dim == part.spec["init_args"]["dim"], "the attribute dim is not the argument dim")

    def check_trainable(self) -> None:
        """There is a trainable parameter."""
        require(any(p.requires_grad for p in self.fresh().parameters()), "there is no trainable parameter")


def perturb_parameters(module: nn.Module) -> None:
    """Add small noise to each trainable parameter."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.05)


def take(example: tuple[Any, ...], rows: list[int]) -> Any:
    """Select rows of each tensor."""
    return map_tensors(lambda t: t[rows], example)
