"""Time work in alternating order, and summarise the ratios of paired times."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


class Stopwatch:
    """Reads a clock after all queued work is done.

    Args:
        clock: name of the clock, a key of :data:`CLOCKS`.
        device: device of the work, such as ``cpu`` or ``cuda:0``; a GPU is synchronised before each reading.
    """

    def __init__(self, clock: str = "wall", device: object = "cpu") -> None:
        self.clock, self.device = CLOCKS[clock], str(device)

    def now(self) -> float:
        """Return the time in seconds; only differences have a meaning."""
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.synchronize(self.device)
        return self.clock()

    def seconds(self, work: Callable[[], object]) -> float:
        """Return the seconds that a call of ``work`` takes."""
        start = self.now()
        work()
        return self.now() - start


def alternate(names: Sequence[T], rounds: int) -> Iterator[tuple[int, T]]:
    """Yield ``(round, name)``; every second round goes backwards.

    Neighbours in time are then compared, and a steady change of the machine's speed cancels out.
    """
    for number in range(rounds):
        for name in names if number % 2 else reversed(names):
            yield number, name


def paired_ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """Return the ratio of each pair of measurements.

    Raises:
        ValueError: the two sequences differ in length.
    """
    return [a / b for a, b in zip(numerators, denominators, strict=True)]


def summarize(values: Sequence[float]) -> dict[str, Any]:
    """Return the median, minimum and maximum."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}
