"""The core behind its thread: batches of events, single calls, and the swap of the model."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from interestlab.serving.batcher import Batcher
from interestlab.serving.core.apply_events import apply_events
from interestlab.serving.core.core import Core
from interestlab.serving.core_thread import CoreThread
from interestlab.serving.errors import ConflictError
from interestlab.serving.garbage import settle
from interestlab.serving.messages import Event, EventResult, ModelInfo
from interestlab.serving.swap import prepare_swap

Result = TypeVar("Result")


class Service:
    """What the app calls.

    Args:
        core: the core.
        thread: the thread that uses it; None: a new one.

    Attributes:
        is_ready: whether requests are answered.
    """

    def __init__(self, core: Core, thread: CoreThread | None = None) -> None:
        self.core, self.thread = core, thread or CoreThread(core.metrics)
        self.batcher = Batcher(partial(apply_events, core), self.thread)
        self.is_ready = False
        self._swapping = asyncio.Lock()

    def start(self) -> None:
        """Begin to answer."""
        self.batcher.start()
        self.is_ready = True

    async def stop(self) -> None:
        """Finish what began, refuse the rest, and close the store."""
        self.is_ready = False
        await self.batcher.stop()
        self.thread.close()
        self.core.store.close()

    async def apply(self, events: Sequence[Event]) -> list[EventResult]:
        """Apply events, and return the result of each.

        Args:
            events: events in order.

        Raises:
            OverloadError: too many events are waiting; none of these was applied.
        """
        return await self.batcher.submit(events)

    async def call(self, function: Callable[[Core], Result]) -> Result:
        """Call a function with the core, in the thread that uses it.

        Args:
            function: the function.

        Raises:
            OverloadError: too many calls are waiting, or this one waited too long; it did not begin.
        """
        return await self.thread.call(lambda: function(self.core))

    async def swap(self, run: Path) -> ModelInfo:
        """Serve another run from now on. Until it is ready, and if it cannot be served, the old one answers.

        Args:
            run: folder of the run.

        Raises:
            ConflictError: another swap is running.
            DataError: the run cannot be served.
        """
        if self._swapping.locked():
            raise ConflictError("another model is being loaded; try again when it is served.")
        async with self._swapping:
            old = await self.thread.run(self.core.begin_swap)
            try:
                served, info = await asyncio.to_thread(prepare_swap, self.core, old, run)
                await self.thread.run(lambda: self.core.switch_to(served))
            except BaseException:
                await self.thread.run(self.core.give_up_swap)
                raise
            del old
            await asyncio.to_thread(settle)  # frees the old model
            return info
