"""The clients that are measured: a small file for each library, all against the echo server in C.

What lives here: the arguments that all of them take, and the loop that those share which wait for a
message. Each is started, in a process of its own, as

    python -m bench.clients.NAME PORT SIZE IN_FLIGHT WARMUP SECONDS [--loop uvloop]

sends so many messages, sends another for each that comes back, and prints as JSON how many came
back within the seconds after the warm-up, and the processor time that it took.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from ..messages import messages

__all__ = ["Meter", "arguments", "exchange", "exchange_sync", "run"]


def arguments() -> argparse.Namespace:
    """Returns what the runner asks for."""
    parser = argparse.ArgumentParser(description="A client to be measured.")
    parser.add_argument("port", type=int)
    parser.add_argument("size", type=int, help="bytes of a message")
    parser.add_argument("in_flight", type=int, help="messages under way")
    parser.add_argument("warmup", type=float, help="seconds")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    options = parser.parse_args()
    options.uri = f"ws://127.0.0.1:{options.port}/"
    options.text = messages(options.size, count=1)[0]
    return options


def run(main: Callable[[argparse.Namespace], Coroutine[Any, Any, None]]) -> None:
    """Runs ``main`` with the arguments, on the event loop that they ask for."""
    options = arguments()
    if options.loop == "uvloop":
        import uvloop

        uvloop.run(main(options))
    else:
        asyncio.run(main(options))


@dataclass
class Meter:
    """Counts what comes back.

    Attributes:
        options: of the command line.
        every: messages between two looks at the clock.
    """

    options: argparse.Namespace
    every: int = field(init=False)

    def __post_init__(self) -> None:
        self.every = max(1, min(64, 1024 * 1024 // self.options.size))
        self._start = time.perf_counter() + self.options.warmup
        self._count = -1
        self._cpu = 0.0

    def count(self, messages: int) -> bool:
        """Counts so many more. Returns whether it is over; then it has printed the result."""
        now = time.perf_counter()
        if now < self._start:
            return False
        if self._count < 0:
            self._start, self._cpu, self._count = now, time.process_time(), 0
            return False
        self._count += messages
        seconds = now - self._start
        if seconds < self.options.seconds:
            return False
        cpu = time.process_time() - self._cpu
        rate, each = self._count / seconds, cpu * 1e6 / self._count
        print(json.dumps({"count": self._count, "seconds": seconds, "rate": rate, "cpu_us": each}))
        return True


async def exchange(
    options: argparse.Namespace,
    send: Callable[[str], Awaitable[object]],
    receive: Callable[[], Awaitable[object]],
) -> None:
    """Sends and receives until the time is over."""
    text = options.text
    await send(text)
    assert await receive() == text
    meter = Meter(options)
    for _ in range(options.in_flight):
        await send(text)
    over = False
    while not over:
        for _ in range(meter.every):
            await receive()
            await send(text)
        over = meter.count(meter.every)
    for _ in range(options.in_flight):
        await receive()


def exchange_sync(
    options: argparse.Namespace,
    send: Callable[[str], object],
    receive: Callable[[], object],
) -> None:
    """Does as `exchange`, without asyncio."""
    text = options.text
    send(text)
    assert receive() == text
    meter = Meter(options)
    for _ in range(options.in_flight):
        send(text)
    over = False
    while not over:
        for _ in range(meter.every):
            receive()
            send(text)
        over = meter.count(meter.every)
    for _ in range(options.in_flight):
        receive()
