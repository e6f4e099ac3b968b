"""The checks of :class:`interestlab.contract.FusionHead`."""

from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from interestlab.contract import FusionHead
from interestlab.testing._checks import require, require_equal
from interestlab.testing._part import TrainableChecks
from interestlab.testing._trees import map_tensors

STREAMS = ("text", "id", "image")


class FusionHeadChecks(TrainableChecks[FusionHead]):
    """A fusion head with three streams under test.

    Stability: provisional.
    """

    kind = FusionHead

    def build(self, part: FusionHead) -> FusionHead:
        part.build(list(STREAMS))
        return part

    def example(self, part: FusionHead, rows: int = 4) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        streams = {name: torch.randn(rows, part.dim) for name in STREAMS}
        present = {name: torch.rand(rows) > 0.4 for name in STREAMS}
        for name in STREAMS:
            present[name][0] = True
        return streams, present

    def shape(self, part: FusionHead, example: tuple[Any, ...]) -> tuple[int, ...]:
        return *next(iter(example[0].values())).shape[:-1], part.dim

    def half(self, example: tuple[Any, ...]) -> tuple[Any, ...]:
        streams, present = example
        return map_tensors(lambda t: t.bfloat16(), streams), present

    def check_subsets(self) -> None:
        """``forward`` accepts any non-empty subset of the streams."""
        part = self.perturbed()
        streams, present = self.example(part)
        for size in range(1, len(STREAMS) + 1):
            for names in combinations(STREAMS, size):
                self.out(part, (select(streams, names), select(present, names)))

    def check_leading_shapes(self) -> None:
        """Streams ``[B, T, D]`` give the same result as ``[B * T, D]``."""
        part = self.perturbed()
        example = self.example(part, rows=12)
        folded = map_tensors(lambda t: t.reshape(3, 4, *t.shape[1:]), example)
        require_equal(self.out(part, folded).flatten(0, 1), self.out(part, example), "[B, T, D] and [B * T, D] differ")

    def check_missing_values(self) -> None:
        """The values of missing streams have no effect, even if they are NaN."""
        part = self.perturbed()
        streams, present = self.example(part, rows=12)
        expected = self.out(part, (fill(streams, present, 0.0), present))
        for value in (1e4, float("inf"), float("nan")):
            example = (fill(streams, present, value), present)
            require_equal(
                self.out(part, example),
                expected,
                f"the value {value} of a missing stream reaches the output; use torch.where instead of a product",
            )
            self.gradients(part, example)

    def check_all_missing(self) -> None:
        """The output and gradients of a row without any stream are finite."""
        part = self.perturbed()
        streams, present = self.example(part)
        self.gradients(part, (streams, map_tensors(torch.zeros_like, present)))

    def check_stream_order(self) -> None:
        """The order of the streams in the mapping has no effect."""
        part = self.perturbed()
        streams, present = self.example(part)
        reversed_order = select(streams, STREAMS[::-1]), select(present, STREAMS[::-1])
        require_equal(
            self.out(part, reversed_order), self.out(part, (streams, present)), "the output depends on the order of the streams"
        )

    def check_effect(self) -> None:
        """Every present stream affects the output."""
        part = self.perturbed()
        streams, present = self.example(part)
        present = map_tensors(torch.ones_like, present)
        before = self.out(part, (streams, present))
        for name in STREAMS:
            changed = self.out(part, (streams | {name: torch.randn_like(streams[name])}, present))
            require(not torch.allclose(changed, before), f"stream {name!r} has no effect on the output")


def select(mapping: dict[str, Tensor], names: tuple[str, ...]) -> dict[str, Tensor]:
    """Select ``names``, in that order."""
    return {name: mapping[name] for name in names}


def fill(streams: dict[str, Tensor], present: dict[str, Tensor], value: float) -> dict[str, Tensor]:
    """Set ``value`` where a stream is missing."""
    return {name: x.masked_fill(~present[name].unsqueeze(-1), value) for name, x in streams.items()}
