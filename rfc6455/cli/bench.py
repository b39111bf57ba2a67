"""``rfc6455 bench``: how much a server of one's own carries.

What lives here: a load of echoed messages, and the times they take. It says what it could not do:
connections that failed, messages that did not come back, answers that were no echo.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import signal
import sys
import time
from collections import Counter, deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ..asyncio import WebSocket, connect
from ..asyncio import run as run_on_loop
from ..codec import implementation
from ..errors import HandshakeError, WebSocketError
from ..extensions import DEFAULT_EXTENSIONS
from ..limits import Limits
from . import status
from .options import count, seconds, size
from .terminal import escape

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["Latencies", "add_command"]

CONNECT_AT_ONCE: Final = 100
DRAIN: Final = 5.0
"""Seconds in which what is under way at the end may come back."""

EPILOG: Final = """\
The server has to send every message back, as `rfc6455 echo` does. It is a load, not a measurement
in a laboratory: client and network take their share. Use it on servers of your own.

exit status: 0, or 1 when anything failed; 3 or 4 when no connection could be made
"""


def add_command(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "bench",
        help="put a load of echoed messages on a server of your own",
        description="Sends messages to an echo server, and tells how many came back, and when.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("uri", metavar="URI", help="where to: ws://… or wss://…")
    parser.add_argument(
        "-c", "--connections", type=count, default=10, metavar="N", help="at once (%(default)s)"
    )
    parser.add_argument(
        "-i",
        "--in-flight",
        type=count,
        default=1,
        metavar="N",
        help="messages on each connection whose echo is awaited (%(default)s)",
    )
    parser.add_argument(
        "-s", "--size", type=size, default=128, metavar="BYTES", help="of a message (%(default)s)"
    )
    parser.add_argument(
        "-d", "--duration", type=seconds, default=5.0, metavar="SECONDS", help="(%(default)g)"
    )
    parser.add_argument("--binary", action="store_true", help="send binary messages, not text")
    parser.add_argument("--compression", action="store_true", help="offer permessage-deflate")
    parser.add_argument("--json", action="store_true", help="write the result as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Runs the load, and prints what came of it."""
    load = _Load(options)
    try:
        connect(options.uri)  # judges the URI
    except ValueError as error:
        print(f"rfc6455 bench: {escape(str(error))}", file=sys.stderr)
        return status.USAGE
    run_on_loop(load.run())
    print(json.dumps(load.result()) if options.json else load.table())
    return load.exit_status


class Latencies:
    """Times in buckets that are 1 % wide: exact enough, and never more than a few thousand."""

    WIDTH: Final = math.log(1.01)
    SMALLEST: Final = 1e-7

    def __init__(self) -> None:
        self.count = 0
        self.largest = 0.0
        self._buckets: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Takes one more time."""
        self.count += 1
        self.largest = max(self.largest, seconds)
        self._buckets[int(math.log(max(seconds / self.SMALLEST, 1.0)) / self.WIDTH)] += 1

    def quantile(self, share: float) -> float:
        """Returns the time, in seconds, that this share of all did not exceed; 0 without any."""
        left = math.ceil(share * self.count)
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left <= 0:
                return min(self.SMALLEST * math.exp((bucket + 1) * self.WIDTH), self.largest)
        return 0.0


class _Load:
    """The load: its connections, and what came of them."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        text = ("rfc6455 " * (options.size // 8 + 1))[: options.size]
        self._message: str | bytes = text.encode() if options.binary else text
        self._latencies = Latencies()
        self._failures: Counter[str] = Counter()
        self._refused = False
        self._connected = 0
        self._lost_messages = 0
        self._stop_at = math.inf
        self._seconds = 0.0

    async def run(self) -> None:
        """Connects, sends, receives, and closes."""
        with suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._stop)
        turn = asyncio.Semaphore(CONNECT_AT_ONCE)
        opened = await asyncio.gather(*(self._open(turn) for _ in range(self._options.connections)))
        websockets = [websocket for websocket in opened if websocket is not None]
        self._connected = len(websockets)
        start = time.perf_counter()
        if self._stop_at > start:
            self._stop_at = start + self._options.duration
        await asyncio.gather(*map(self._drive, websockets))
        self._seconds = time.perf_counter() - start
        await asyncio.gather(*(websocket.close() for websocket in websockets))

    def _stop(self) -> None:
        self._stop_at = 0.0

    async def _open(self, turn: asyncio.Semaphore) -> WebSocket | None:
        # What is in flight bounds what may wait to be received.
        limits = Limits(max_message_size=None, max_queued_messages=None, max_queued_size=None)
        extensions = DEFAULT_EXTENSIONS if self._options.compression else ()
        async with turn:
            try:
                return await connect(
                    self._options.uri, limits=limits, extensions=extensions, one_at_a_time=False
                )
            except (WebSocketError, OSError) as error:
                self._refused |= isinstance(error, HandshakeError)
                self._failures[str(error) or "no connection in time"] += 1
                return None

    async def _drive(self, websocket: WebSocket) -> None:
        under_way: deque[float] = deque()
        clock, message, latencies = time.perf_counter, self._message, self._latencies
        try:
            async with asyncio.timeout(self._options.duration + DRAIN):
                for _ in range(self._options.in_flight):
                    under_way.append(clock())
                    await websocket.send(message)
                while under_way:
                    answer = await websocket.recv()
                    now = clock()
                    if answer != message:
                        raise ValueError("the server sent something else than our message")
                    latencies.add(now - under_way.popleft())
                    if now < self._stop_at:
                        under_way.append(now)
                        await websocket.send(message)
        except TimeoutError:
            self._failures[f"no echo within {DRAIN:g} s of the end"] += 1
        except (WebSocketError, ValueError) as error:
            self._failures[str(error)] += 1
        self._lost_messages += len(under_way)

    # What came of it

    @property
    def exit_status(self) -> int:
        """The exit status of the command."""
        if not self._connected:
            return status.HANDSHAKE_REFUSED if self._refused else status.UNREACHABLE
        return 1 if self._failures else 0

    def result(self) -> dict[str, Any]:
        """Returns all numbers; times in seconds."""
        latencies = self._latencies
        rate = latencies.count / self._seconds if self._seconds else 0.0
        return {
            "uri": self._options.uri,
            "implementation": implementation,
            "connections": self._connected,
            "in_flight": self._options.in_flight,
            "size": self._options.size,
            "seconds": round(self._seconds, 3),
            "messages": latencies.count,
            "messages_per_second": round(rate, 1),
            "latency": {
                "p50": latencies.quantile(0.5),
                "p90": latencies.quantile(0.9),
                "p99": latencies.quantile(0.99),
                "max": latencies.largest,
            },
            "lost_messages": self._lost_messages,
            "failures": dict(self._failures),
        }

    def table(self) -> str:
        """Returns the numbers for people."""
        result = self.result()
        latency = {name: f"{value * 1000:.2f}" for name, value in result["latency"].items()}
        megabytes = result["messages_per_second"] * result["size"] / 1e6
        connections = f"{result['connections']} of {self._options.connections}"
        lines = [
            f"connections  {connections}, {result['in_flight']} in flight on each",
            f"messages     {result['messages']} of {result['size']} bytes in "
            f"{result['seconds']:.2f} s",
            f"rate         {result['messages_per_second']:.0f} messages/s, "
            f"{megabytes:.2f} MB/s each way",
            "latency      "
            f"p50 {latency['p50']} ms, p90 {latency['p90']} ms, "
            f"p99 {latency['p99']} ms, max {latency['max']} ms",
        ]
        if self._lost_messages:
            lines.append(f"lost         {self._lost_messages} messages did not come back")
        failures = self._failures.most_common()
        lines += [f"failed       {number} times: {escape(reason)}" for reason, number in failures]
        return "\n".join(lines)
