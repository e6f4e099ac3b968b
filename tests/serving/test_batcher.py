"""Batches of events, and the queue before the core."""

import asyncio
import itertools
import threading

import pytest
from serving_events import event

from interestlab.serving.batcher import Batcher
from interestlab.serving.core_thread import CoreThread
from interestlab.serving.errors import OverloadError
from interestlab.serving.messages import EventResult
from interestlab.serving.metrics import Metrics


class Recorder:
    """Records the batches that it is given."""

    def __init__(self):
        self.batches, self.gate = [], threading.Event()
        self.gate.set()

    def __call__(self, events):
        self.gate.wait(10)
        self.batches.append([one.event_id for one in events])
        if any(one.event_id == "broken" for one in events):
            raise ValueError("broken")
        return [EventResult(one.event_id, "applied") for one in events]


def run_batcher(run_async, work, **limits):
    """Run ``await work(batcher, apply)`` with a new batcher."""

    async def run():
        apply, thread = Recorder(), CoreThread(Metrics(), **limits)
        batcher = Batcher(apply, thread)
        batcher.start()
        try:
            return await work(batcher, apply)
        finally:
            apply.gate.set()
            await batcher.stop()
            thread.close()

    return run_async(run())


def test_events_share_batches_but_those_of_one_user_do_not(run_async):
    users = ["a", "b", "a", "c", "a", "d", "b"] * 20
    events = [event(f"{n}", user) for n, user in enumerate(users)]

    async def work(batcher, apply):
        results = await asyncio.gather(*(batcher.submit([one]) for one in events))
        return [result.event_id for (result,) in results], apply.batches

    answered, batches = run_batcher(run_async, work)
    assert answered == [one.event_id for one in events]
    assert sorted(map(int, itertools.chain(*batches))) == list(range(len(events)))
    for batch in batches:
        assert len({users[int(n)] for n in batch}) == len(batch)
    for user in "abcd":
        order = [int(n) for n in itertools.chain(*batches) if users[int(n)] == user]
        assert order == sorted(order)
    assert max(map(len, batches)) > 1


def test_a_batch_has_at_most_32_events_and_one_of_an_id(run_async):
    async def work(batcher, apply):
        await batcher.submit([event(f"{n}", f"u{n}") for n in range(100)] + [event("0", "other")])
        return apply.batches

    batches = run_batcher(run_async, work)
    assert [len(batch) for batch in batches] == [32, 32, 32, 5]
    assert batches[-1][-1] == "0"


def test_white_space_does_not_hide_that_a_user_is_the_same(run_async):
    async def work(batcher, apply):
        await batcher.submit([event("0", "u"), event("1", " u ")])
        return apply.batches

    assert run_batcher(run_async, work) == [["0"], ["1"]]


def test_a_full_queue_refuses_and_recovers(run_async):
    async def work(batcher, apply):
        apply.gate.clear()
        waiting = [asyncio.create_task(batcher.submit([event(f"{n}", f"u{n}") for n in range(70)]))]
        await asyncio.sleep(0.05)  # one batch is with the core, the others wait
        with pytest.raises(OverloadError):
            await batcher.submit([event("refused")])
        with pytest.raises(OverloadError):
            await batcher.thread.call(lambda: None)
        apply.gate.set()
        await asyncio.gather(*waiting)
        assert batcher.thread.waiting == 0
        return await batcher.submit([event("later")])

    (result,) = run_batcher(run_async, work, max_queue=30)
    assert result.status == "applied"


def test_what_waits_too_long_is_not_done(run_async):
    async def work(batcher, apply):
        apply.gate.clear()
        first = asyncio.create_task(batcher.submit([event("0", "u")]))
        await asyncio.sleep(0.02)
        late = asyncio.create_task(batcher.submit([event("1", "u")]))
        done = []
        call = asyncio.create_task(batcher.thread.call(lambda: done.append(1)))
        await asyncio.sleep(0.2)
        apply.gate.set()
        with pytest.raises(OverloadError, match="not done"):
            await call
        assert not done
        return await first, await late, apply.batches

    first, late, batches = run_batcher(run_async, work, deadline=0.1)
    assert (first[0].status, late[0].status) == ("applied", "not_processed")
    assert batches == [["0"]]


def test_an_error_reaches_its_batch_and_no_other(run_async):
    async def work(batcher, apply):
        with pytest.raises(ValueError, match="broken"):
            await batcher.submit([event("broken")])
        return await batcher.submit([event("fine")])

    assert run_batcher(run_async, work)[0].status == "applied"


def test_a_stopped_batcher_answers_what_still_waits(run_async):
    async def work(batcher, apply):
        apply.gate.clear()
        tasks = [asyncio.create_task(batcher.submit([event(f"{n}", "u")])) for n in range(2)]
        await asyncio.sleep(0.02)
        stopping = asyncio.create_task(batcher.stop())
        await asyncio.sleep(0)
        apply.gate.set()
        await stopping
        return await asyncio.gather(*tasks, return_exceptions=True)

    _, waiting = run_batcher(run_async, work)
    assert waiting[0].status == "not_processed"
