"""Send requests at given times, and measure their latency from these times."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

TIMEOUT = 30.0


class Request(NamedTuple):
    """A request to send.

    Attributes:
        at: seconds after the start.
        body: its JSON.
    """

    at: float
    body: bytes


def make_requests(
    rate: float, seconds: float, duplicates: float, users: Sequence[str], items: Sequence[str], seed: int
) -> list[Request]:
    """Draw the requests of a Poisson process.

    Args:
        rate: requests per second.
        seconds: length.
        duplicates: share of requests that repeat an earlier one.
        users: ids of the users.
        items: ids of the items.
        seed: seed of all draws; it is also part of the ids of the events.
    """
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.exponential(1 / rate, int(rate * seconds)))
    requests: list[Request] = []
    for n, at in enumerate(times.tolist()):
        if n > 100 and rng.random() < duplicates:
            body = requests[int(rng.integers(max(0, n - 1000), n - 50))].body
        else:
            event: dict[str, Any] = {"event_id": f"{seed}-{n}", "user_id": users[int(rng.integers(len(users)))]}
            event |= {"item_id": items[int(rng.integers(len(items)))], "timestamp": 1_800_000_000 + int(at), "k": 10}
            body = json.dumps(event).encode()
        requests.append(Request(at, body))
    return requests


class Connections:
    """Connections to one server that are used again.

    Args:
        port: port on this machine.
        path: path of the requests.
    """

    def __init__(self, port: int, path: str) -> None:
        self.port = port
        self.head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ".encode()
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, body: bytes) -> int:
        """Send a request, read its answer to the end, and return its status.

        Args:
            body: the body.
        """
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(self.head + str(len(body)).encode() + b"\r\n\r\n" + body)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])
        await reader.readexactly(length)
        self._idle.append((reader, writer))
        return int(head[9:12])

    def close(self) -> None:
        """Close all connections."""
        for _, writer in self._idle:
            writer.close()


async def run_open_loop(port: int, path: str, requests: Sequence[Request]) -> tuple[np.ndarray, int]:
    """Send requests at their times, and return the latency of each in seconds, and the number that failed.

    Args:
        port: port on this machine.
        path: path of the requests.
        requests: the requests.
    """
    connections, loop = Connections(port, path), asyncio.get_running_loop()
    latencies, failed = [], 0
    start = time.perf_counter() + 0.1

    async def send(request: Request) -> None:
        nonlocal failed
        try:
            status = await asyncio.wait_for(connections.post(request.body), TIMEOUT)
        except (TimeoutError, OSError, EOFError, ValueError):
            status = 0
        failed += status != 200
        latencies.append(time.perf_counter() - start - request.at)

    tasks = set()
    for request in requests:
        if (wait := start + request.at - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        task = loop.create_task(send(request))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    connections.close()
    return np.array(latencies), failed
