"""Collect events of different users for a moment, since following 32 at once costs little more than following one."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from interestlab.serving.core_thread import CoreThread
from interestlab.serving.messages import Event, EventResult
from interestlab.serving.stepping import MAX_BATCH

WAIT_SECONDS = 0.001
"""Time that a batch waits for further events while it is not full."""


@dataclass
class Job:
    """One event that waits.

    Attributes:
        event: the event.
        future: what will become of it.
        arrived: when it arrived, on the monotonic clock.
        deadline: when it is too late to begin.
    """

    event: Event
    future: asyncio.Future[EventResult]
    arrived: float
    deadline: float


class Batcher:
    """Applies events in batches. Two events of one user never share a batch, and keep their order.

    Args:
        apply: applies events of different users and ids.
        thread: the thread that calls it.
        wait: seconds that a batch waits for further events.
    """

    def __init__(
        self, apply: Callable[[Sequence[Event]], list[EventResult]], thread: CoreThread, wait: float = WAIT_SECONDS
    ) -> None:
        self.apply, self.thread, self.wait = apply, thread, wait
        self._waiting: deque[Job] = deque()
        self._arrival = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to apply events."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Stop, and refuse the events that still wait."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        while self._waiting:
            self._refuse(self._waiting.popleft(), "the server is stopping; send the event again.")

    async def submit(self, events: Sequence[Event]) -> list[EventResult]:
        """Apply events, and return what became of each.

        Args:
            events: events in order.

        Raises:
            OverloadError: too many events are waiting; none of these was applied.
        """
        deadline, loop, now = self.thread.admit(len(events)), asyncio.get_running_loop(), time.monotonic()
        jobs = [Job(event, loop.create_future(), now, deadline) for event in events]
        self._waiting.extend(jobs)
        self._arrival.set()
        # Each job has its own result, so that one error does not hide what became of the others.
        return list(await asyncio.gather(*(job.future for job in jobs)))

    async def _run(self) -> None:
        while True:
            await self._arrival.wait()
            if len(self._waiting) < MAX_BATCH and self.wait:
                await asyncio.sleep(self.wait)
            jobs = self._collect()
            if not self._waiting:
                self._arrival.clear()
            if jobs:
                await self._apply(jobs)

    def _collect(self) -> list[Job]:
        """Take the next jobs of different users and ids; a user's second job waits, and so does what follows it."""
        now, taken, blocked = time.monotonic(), list[Job](), set[tuple[str, str]]()
        left: deque[Job] = deque()
        while self._waiting and len(taken) < MAX_BATCH:
            job = self._waiting.popleft()
            if job.deadline < now:
                self._refuse(job, "the event waited too long and was not applied; send it again.")
                continue
            keys = {("user", job.event.user_id.strip()), ("event", job.event.event_id)}
            (left if keys & blocked else taken).append(job)
            blocked |= keys
        self._waiting.extendleft(reversed(left))
        return taken

    async def _apply(self, jobs: list[Job]) -> None:
        now = time.monotonic()
        for job in jobs:
            self.thread.metrics.stage.labels("queue").observe(now - job.arrived)
        self.thread.leave(len(jobs))
        try:
            results = await self.thread.run(lambda: self.apply([job.event for job in jobs]))
        except asyncio.CancelledError:
            for job in jobs:
                job.future.cancel()
            raise
        except Exception as err:
            for job in jobs:
                if not job.future.done():
                    job.future.set_exception(err)
            return
        for job, result in zip(jobs, results, strict=True):
            if not job.future.done():
                job.future.set_result(result)

    def _refuse(self, job: Job, reason: str) -> None:
        self.thread.leave()
        if not job.future.done():
            job.future.set_result(EventResult(job.event.event_id, "not_processed", reason))
