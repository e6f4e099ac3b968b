"""Collect events of different users for a moment, since following 32 at once costs little more than following one."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from interestlab.serving.core_thread import CoreThread
from interestlab.serving.errors import OverloadError
from interestlab.serving.messages import Event, EventResult
from interestlab.serving.stepper import MAX_BATCH

WAIT_SECONDS = 0.003
"""Time that a batch waits for further events while it is not full."""


@dataclass(slots=True)
class Job:
    """One event that waits.

    Attributes:
        event: the event.
        keys: its user and its id; no two events of a batch share one of them.
        future: what will become of it.
        arrived: when it arrived, on the monotonic clock.
        deadline: when it is too late to begin.
    """

    event: Event
    keys: tuple[tuple[str, str], tuple[str, str]]
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
        self._is_stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to apply events."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Finish the batch that began, and refuse the events that still wait."""
        self._is_stopping = True
        self._arrival.set()
        if self._task is not None:
            await self._task
        while self._waiting:
            job = self._waiting.popleft()
            self._finish(job, refusal(job, "the server is stopping; send the event again."))

    async def submit(self, events: Sequence[Event]) -> list[EventResult]:
        """Apply events, and return the result of each.

        Args:
            events: events in order.

        Raises:
            OverloadError: too many events are waiting, or the server is stopping; none of these was applied.
        """
        if self._is_stopping:
            raise OverloadError("the server is stopping; send the request again.")
        deadline, loop, now = self.thread.admit(len(events)), asyncio.get_running_loop(), time.monotonic()
        jobs = [Job(event, batch_keys(event), loop.create_future(), now, deadline) for event in events]
        self._waiting.extend(jobs)
        self._arrival.set()
        # Each job has its own result, so that one error does not hide the results of the others.
        return list(await asyncio.gather(*(job.future for job in jobs)))

    async def _run(self) -> None:
        while True:
            await self._arrival.wait()
            if len(self._waiting) < MAX_BATCH and self.wait:
                await asyncio.sleep(self.wait)
            if self._is_stopping:
                return
            jobs = self._collect()
            if not self._waiting:
                self._arrival.clear()
            if jobs:
                await self._apply(jobs)

    def _collect(self) -> list[Job]:
        """Take the next jobs of different users and ids; a user's second job waits, and so does what follows it."""
        taken, blocked, left = list[Job](), set[tuple[str, str]](), deque[Job]()
        while self._waiting and len(taken) < MAX_BATCH:
            job = self._waiting.popleft()
            (taken if blocked.isdisjoint(job.keys) else left).append(job)
            blocked.update(job.keys)
        self._waiting.extendleft(reversed(left))
        return taken

    async def _apply(self, jobs: list[Job]) -> None:
        try:
            results = await self.thread.run(lambda: self._apply_in_time(jobs))
        except Exception as err:
            for job in jobs:
                self._finish(job, err)
            return
        for job in jobs:
            late = refusal(job, "the event waited too long and was not applied; send it again.")
            self._finish(job, results.get(job.event.event_id, late))

    def _apply_in_time(self, jobs: list[Job]) -> dict[str, EventResult]:
        """Apply the events whose deadline is not over, and return the result of each by its id; in the core's thread."""
        now = time.monotonic()
        in_time = [job for job in jobs if now <= job.deadline]
        for job in in_time:
            self.thread.metrics.stage["queue"].observe(now - job.arrived)
        results = self.apply([job.event for job in in_time]) if in_time else []
        return {job.event.event_id: result for job, result in zip(in_time, results, strict=True)}

    def _finish(self, job: Job, result: EventResult | Exception) -> None:
        self.thread.leave()
        if job.future.done():  # its request was cancelled
            return
        if isinstance(result, Exception):
            job.future.set_exception(result)
        else:
            job.future.set_result(result)


def refusal(job: Job, reason: str) -> EventResult:
    """Return the answer to an event that was not applied.

    Args:
        job: the event.
        reason: why.
    """
    return EventResult(job.event.event_id, "not_processed", reason)


def batch_keys(event: Event) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return what no two events of a batch share: the user and the id of the event.

    Args:
        event: the event.
    """
    return ("user", event.user_id.strip()), ("event", event.event_id)
