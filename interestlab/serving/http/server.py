"""Run the application in this process, with granian."""

import asyncio
import contextlib
import ipaddress
import signal
from pathlib import Path

from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from interestlab.errors import DataError
from interestlab.serving.http.app import App
from interestlab.serving.http.tokens import Tokens
from interestlab.serving.service import Service

BACKLOG = 1024
"""Number of connections that may wait to be accepted."""

MAX_CONNECTIONS = 10_000
"""Number of open connections, of which most are idle. How much work waits is limited by the queue before the core."""


def check_address(host: str, port: int, tokens: Tokens) -> None:
    """Check that a server which others can reach needs tokens.

    Args:
        host: the address.
        port: the port.
        tokens: its tokens.

    Raises:
        DataError: it is no IP address or no port, or others can reach it without a token.
    """
    if not 0 < port < 65536:
        raise DataError(f"--port={port} is not a port; give one from 1 to 65535.")
    try:
        is_local = ipaddress.ip_address(host).is_loopback
    except ValueError as err:
        raise DataError(f"--host={host} is not an IP address; give one, such as 127.0.0.1 or 0.0.0.0.") from err
    if tokens.is_open and not is_local:
        raise DataError(f"--host={host} can be reached from other machines; give --tokens=FILE, or serve on 127.0.0.1.")


async def serve(service: Service, tokens: Tokens, host: str, port: int, run: Path) -> None:
    """Answer requests until SIGTERM or SIGINT. SIGHUP loads the run again, and swaps.

    Args:
        service: what answers.
        tokens: the tokens that it accepts.
        host: address.
        port: port.
        run: folder that SIGHUP loads.

    Raises:
        DataError: the port cannot be used.
    """
    server = Server(
        App(service, tokens),
        host,
        port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
        backlog=BACKLOG,
        backpressure=MAX_CONNECTIONS,
    )
    loop = asyncio.get_running_loop()
    swaps: set[asyncio.Task[None]] = set()

    def swap() -> None:
        task = loop.create_task(swap_and_report(service, run))
        swaps.add(task)
        task.add_done_callback(swaps.discard)

    for stop_signal in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(stop_signal, server.stop)
    loop.add_signal_handler(signal.SIGHUP, swap)
    try:
        await server.serve()
    except (OSError, RuntimeError) as err:
        raise DataError(f"the server cannot listen on {host}:{port}: {err}") from err
    finally:
        for task in swaps:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*swaps, return_exceptions=True)
    if server.interrupt_children:  # granian returns as usual when its worker fails
        raise RuntimeError("the HTTP worker ended by itself.")


async def swap_and_report(service: Service, run: Path) -> None:
    """Swap to a run, and print what is served then.

    Args:
        service: what answers.
        run: folder of the run.
    """
    try:
        info = await service.swap(run)
    except DataError as err:
        print(f"the swap failed, the old model is served: {err}", flush=True)
        return
    print(f"now serving model {info.model} of {info.run} ({info.index} search)", flush=True)
