"""The one thread that calls the core. A queue in front of it has a limit, and what waits too long is not done."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from interestlab.serving.errors import OverloadError
from interestlab.serving.metrics import Metrics

MAX_QUEUE = 256
"""Number of events and calls without an answer from which on further ones are refused."""

DEADLINE_SECONDS = 2.0

Result = TypeVar("Result")


class CoreThread:
    """Runs calls one after the other, in the order of their arrival.

    Args:
        metrics: where the queue is counted.
        max_queue: number of events and calls without an answer from which on further ones are refused.
        deadline: seconds after which a call that has not begun is not done.
    """

    def __init__(self, metrics: Metrics, max_queue: int = MAX_QUEUE, deadline: float = DEADLINE_SECONDS) -> None:
        self.metrics, self.max_queue, self.deadline = metrics, max_queue, deadline
        self.waiting = 0
        self._executor = ThreadPoolExecutor(1, "core")

    def admit(self, entries: int = 1) -> float:
        """Count entries as waiting, and return their deadline.

        Args:
            entries: number of events or calls.

        Raises:
            OverloadError: too many are waiting.
        """
        if self.waiting > self.max_queue:
            raise OverloadError("the server is busy; send the request again.")
        self._count(entries)
        return time.monotonic() + self.deadline

    def leave(self, entries: int = 1) -> None:
        """Remove entries from the number that wait.

        Args:
            entries: number of events or calls.
        """
        self._count(-entries)

    async def call(self, function: Callable[[], Result]) -> Result:
        """Run a call in the core's thread, unless it waits too long.

        Args:
            function: the call.

        Raises:
            OverloadError: too many calls are waiting, or this one waited too long; it did not begin.
        """
        deadline = self.admit()

        def run() -> Result:
            if time.monotonic() > deadline:
                raise OverloadError("the request waited too long and was not done; send it again.")
            return function()

        try:
            return await self.run(run)
        finally:
            self.leave()

    async def run(self, function: Callable[[], Result]) -> Result:
        """Run a call in the core's thread, however long it waits.

        Args:
            function: the call.
        """
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)

    def close(self) -> None:
        """Wait for the calls that began, and end the thread."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _count(self, entries: int) -> None:
        self.waiting += entries
        self.metrics.queue.set(self.waiting)
