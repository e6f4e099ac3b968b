"""The promises of :class:`interestlab.contract.FusionHead`."""

from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from interestlab.contract import FusionHead
from interestlab.testing._checks import require, same
from interestlab.testing._part import TrainableChecks
from interestlab.testing._trees import map_tensors

STREAMS = ("text", "id", "image")


class FusionHeadChecks(TrainableChecks[FusionHead]):
    """A fusion head under test, of three streams.

    Stability: provisional.
    """

    kind = FusionHead

    def built(self, part: FusionHead) -> FusionHead:
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
        """Any non-empty subset of its streams can be joined."""
        part = self.moved()
        streams, present = self.example(part)
        for size in range(1, len(STREAMS) + 1):
            for names in combinations(STREAMS, size):
                self.out(part, (only(streams, names), only(present, names)))

    def check_leading_shapes(self) -> None:
        """``[B, T, D]`` is joined as ``[B * T, D]`` is."""
        part = self.moved()
        example = self.example(part, rows=12)
        folded = map_tensors(lambda t: t.reshape(3, 4, *t.shape[1:]), example)
        same(self.out(part, folded).flatten(0, 1), self.out(part, example), "[B, T, D] and [B * T, D] differ")

    def check_absent(self) -> None:
        """What stands where a value is missing does not matter, be it NaN."""
        part = self.moved()
        streams, present = self.example(part, rows=12)
        expected = self.out(part, (fill(streams, present, 0.0), present))
        for value in (1e4, float("inf"), float("nan")):
            example = (fill(streams, present, value), present)
            same(self.out(part, example), expected, f"{value} at an absent place reaches the output")
            self.gradients(part, example)

    def check_all_absent(self) -> None:
        """A row of which nothing is present is finite, and its gradients too."""
        part = self.moved()
        streams, present = self.example(part)
        self.gradients(part, (streams, map_tensors(torch.zeros_like, present)))

    def check_order(self) -> None:
        """The order of the streams in the mapping does not matter."""
        part = self.moved()
        streams, present = self.example(part)
        turned = only(streams, STREAMS[::-1]), only(present, STREAMS[::-1])
        same(self.out(part, turned), self.out(part, (streams, present)), "the order of the streams matters")

    def check_effect(self) -> None:
        """Each stream that is present has an effect."""
        part = self.moved()
        streams, present = self.example(part)
        present = map_tensors(torch.ones_like, present)
        before = self.out(part, (streams, present))
        for name in STREAMS:
            changed = self.out(part, (streams | {name: torch.randn_like(streams[name])}, present))
            require(not torch.allclose(changed, before), f"stream {name!r} has no effect")


def only(mapping: dict[str, Tensor], names: tuple[str, ...]) -> dict[str, Tensor]:
    """Those of ``names``, in that order."""
    return {name: mapping[name] for name in names}


def fill(streams: dict[str, Tensor], present: dict[str, Tensor], value: float) -> dict[str, Tensor]:
    """``value`` wherever a stream is absent."""
    return {name: x.masked_fill(~present[name].unsqueeze(-1), value) for name, x in streams.items()}
