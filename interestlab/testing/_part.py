"""What is checked of every part of a model: encoders, fusion heads and dynamics."""

import io
from abc import ABC, abstractmethod
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from interestlab.contract import Dynamics, FusionHead, Part
from interestlab.testing._checks import DIM, Checks, layout, require, same, weights
from interestlab.testing._trees import map_tensors

M = TypeVar("M", bound=Part)
N = TypeVar("N", FusionHead, Dynamics)


class PartChecks(Checks[M], ABC):
    """A part of a model under test, and what to feed it."""

    @abstractmethod
    def example(self, part: M, rows: int = 4) -> tuple[Any, ...]:
        """Arguments of ``forward``, with ``rows`` rows. Every tensor in them has its rows first."""

    @abstractmethod
    def shape(self, part: M, example: tuple[Any, ...]) -> tuple[int, ...]:
        """The shape that ``forward`` owes for ``example``."""

    def half(self, example: tuple[Any, ...]) -> tuple[Any, ...]:
        """``example`` as another part hands it on under bfloat16 autocast."""
        return example

    def real(self, out: Tensor, example: tuple[Any, ...]) -> Tensor:
        """``out`` where something is promised about it."""
        return out

    def fresh(self) -> M:
        """A part as training starts with it, in evaluation mode."""
        return self.built(self.construct()).eval()

    def moved(self) -> M:
        """A part as after some training: what starts at zero no longer is."""
        part = self.fresh()
        move(part)
        return part

    def out(self, part: M, example: tuple[Any, ...]) -> Tensor:
        """The output that matters, after its shape and values were looked at."""
        out = part(*example)
        require(isinstance(out, Tensor), f"forward gives {type(out).__name__}, not a tensor")
        expected = self.shape(part, example)
        require(tuple(out.shape) == expected, f"forward gives {list(out.shape)} where {list(expected)} is due")
        require(out.is_floating_point(), f"forward gives {out.dtype}")
        out = self.real(out, example)
        require(bool(out.isfinite().all()), "forward gives NaN or infinity")
        return out

    def gradients(self, part: M, example: tuple[Any, ...]) -> list[Tensor]:
        """Gradients that reach the trainable parameters, all of them finite."""
        trainable = {name: p for name, p in part.named_parameters() if p.requires_grad}
        out = self.out(part, example)
        # A plain sum is no probe: it is constant after a LayerNorm.
        loss = (out * torch.randn_like(out)).sum()
        if not (trainable and loss.requires_grad):
            return []
        found = dict(zip(trainable, torch.autograd.grad(loss, list(trainable.values()), allow_unused=True), strict=True))
        for name, gradient in found.items():
            require(gradient is None or bool(gradient.isfinite().all()), f"the gradient of {name} is not finite")
        return [gradient for gradient in found.values() if gradient is not None]

    def check_gradients(self) -> None:
        """Gradients are finite, and some reach a trainable parameter where there is any."""
        part = self.moved().train()
        gradients = self.gradients(part, self.example(part))
        if any(p.requires_grad for p in part.parameters()):
            require(any(bool(g.any()) for g in gradients), "no gradient reaches a trainable parameter")

    def check_penalty(self) -> None:
        """Its penalty is None, or a finite scalar that depends on what is trained."""
        part = self.moved().train()
        penalty = part.penalty()
        if penalty is None:
            return
        require(isinstance(penalty, Tensor) and penalty.ndim == 0, "the penalty is no scalar tensor")
        require(bool(penalty.isfinite()), f"the penalty is {penalty}")
        require(penalty.requires_grad, "the penalty has no gradient, and so no effect")

    def check_state_dict(self) -> None:
        """Its state dict, saved and loaded as plain weights, gives the same output."""
        part, again, file = self.moved(), self.fresh(), io.BytesIO()
        torch.save(part.state_dict(), file)
        file.seek(0)
        again.load_state_dict(torch.load(file, weights_only=True))
        example = self.example(part)
        same(self.out(again, example), self.out(part, example), "the output differs after a save and a load")

    def check_eval(self) -> None:
        """In evaluation two forwards are equal, and change no weight or buffer."""
        part = self.moved()
        before = {name: value.clone() for name, value in weights(part).items()}
        example = self.example(part)
        same(self.out(part, example), self.out(part, example), "two forwards differ", rtol=0, atol=0)
        for name, value in weights(part).items():
            require(torch.equal(value, before[name]), f"a forward in evaluation changes {name}")

    def check_train_mode(self) -> None:
        """Training mode gives the same shape, finite, also for a single row."""
        part = self.moved().train()
        for rows in (1, 4):
            self.out(part, self.example(part, rows))

    def check_float64(self) -> None:
        """In double precision the output is float64 and agrees with float32."""
        part = self.moved()
        example = self.example(part)
        single = self.out(part, example)
        # As Lightning's precision 64-true hands its batches on.
        double = self.out(part.double(), map_tensors(lambda t: t.double() if t.is_floating_point() else t, example))
        require(double.dtype == torch.float64, f"the output is {double.dtype}")
        same(double.float(), single.float(), "float64 and float32 disagree", rtol=1e-3, atol=1e-4)

    def check_autocast(self) -> None:
        """Under bfloat16 autocast the output has its shape and is finite."""
        part = self.moved()
        example = self.example(part)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            self.out(part, example)
            self.out(part, self.half(example))

    def check_batch_size(self) -> None:
        """No parameter or buffer depends on the number of rows."""
        part = self.moved()
        before = layout(part)
        for rows in (2, 5, 1):
            self.out(part, self.example(part, rows))
            require(layout(part) == before, f"a batch of {rows} rows changes the shape of the weights")

    def check_rows(self) -> None:
        """Each row of the output depends on its own row of the input alone."""
        part = self.moved()
        example = self.example(part)
        together = self.out(part, example)
        for row in range(len(together)):
            alone = self.out(part, take(example, [row]))
            same(together[row], alone[0], f"row {row} differs in the company of other rows")

    def check_permutation(self) -> None:
        """Rows in another order give the outputs in that order."""
        part = self.moved()
        example = self.example(part)
        order = [2, 0, 3, 1]
        same(self.out(part, take(example, order)), self.out(part, example)[order], "the order of the rows matters")


class TrainableChecks(PartChecks[N]):
    """The kinds that cannot be a constant. (An encoder can: its vectors are then kept on disk.)"""

    def construct(self) -> N:
        return self.plugin(**{"dim": DIM} | self.init_args)

    def check_dim(self) -> None:
        """It keeps the ``dim`` that it was given."""
        part = self.construct()
        require(part.dim == part.spec["init_args"]["dim"], "dim is not the width that was given")

    def check_trainable(self) -> None:
        """It has a trainable parameter."""
        require(any(p.requires_grad for p in self.fresh().parameters()), "nothing can be trained")


def move(module: nn.Module) -> None:
    """Move each trainable parameter a little."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.05)


def take(example: tuple[Any, ...], rows: list[int]) -> Any:
    """Some rows of each tensor."""
    return map_tensors(lambda t: t[rows], example)
