"""A crowd of clients in one process.

What lives here: clients that stay and take what comes, clients that come and go, and one whose
messages are timed. They are `rfc6455`'s own, from addresses of 127.0.0.0/8, so that no address runs
out of ports. This file does not know what the server does.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from rfc6455 import (
    CallbackWebSocket,
    Close,
    Event,
    Limits,
    Listener,
    Message,
    Observer,
    Ping,
    connect,
    connect_listener,
)

from .programs import Answer, obey, raise_file_limit, run
from .server import STAMP

PER_ADDRESS: Final = 2_000
CALM: Final = Limits(ping_interval=None, open_timeout=120.0)
"""Of clients that leave Pings to the server, and have the time that a busy machine needs."""


def addresses(number: int) -> Iterator[str]:
    """Yields addresses for the connections of a crowd, each for `PER_ADDRESS` of them."""
    for index in itertools.cycle(range(64 * PER_ADDRESS)):
        yield f"127.0.{10 + number}.{1 + index // PER_ADDRESS}"


class PingCounter(Observer):
    """Counts the Pings that come."""

    def __init__(self) -> None:
        self.pings = 0

    def received(self, connection: Any, data: bytes, events: Sequence[Event], frames: int) -> None:
        """Counts them in a read."""
        self.pings += sum(isinstance(event, Ping) for event in events)


class Resident(Listener):
    """A client that stays."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd

    def on_message(self, websocket: CallbackWebSocket, message: Message) -> None:
        """Takes the time that a message was on its way."""
        assert isinstance(message, bytes)
        sent = int.from_bytes(message[:STAMP], "big")
        self.crowd.received((time.monotonic_ns() - sent) // 1000)

    def on_close(self, websocket: CallbackWebSocket) -> None:
        """Tells how it ended."""
        self.crowd.lost(websocket)


class Crowd:
    """All clients of the process, and the answers to a scenario's questions."""

    def __init__(self, number: int, port: int) -> None:
        self.port = port
        self.addresses = addresses(number)
        self.present: set[CallbackWebSocket] = set()
        self.failures: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.hints: list[float] = []
        self.end_times: list[float] = []
        self.awaited_ends = 0
        self.enough_ended = asyncio.Event()
        self.observer = PingCounter()
        self.latencies: list[int] = []
        self.wanted = 0
        self.complete = asyncio.Event()

    def options(self, address: str) -> dict[str, Any]:
        """Returns how each of them connects."""
        return {
            "local_addr": (address, 0),
            "limits": CALM,
            "extensions": (),
            "proxy": None,
            "one_at_a_time": False,
        }

    async def open(
        self, count: int, path: str = "/", at_once: int = 50, count_pings: bool = False
    ) -> Answer:
        """Opens so many more connections."""
        numbers = iter(range(count))
        observer = self.observer if count_pings else None

        async def some() -> None:
            for _ in numbers:
                await self._enter(path, observer)

        await asyncio.gather(*(some() for _ in range(at_once)))
        return await self.state()

    async def _enter(self, path: str, observer: Observer | None) -> None:
        uri = f"ws://127.0.0.1:{self.port}{path}"
        options = self.options(next(self.addresses))
        try:
            websocket = await connect_listener(Resident(self), uri, observer=observer, **options)
        except Exception as error:
            self.failures[f"{type(error).__name__}: {error}"] += 1
        else:
            self.present.add(websocket)

    def lost(self, websocket: CallbackWebSocket) -> None:
        """Takes note of the end of a connection."""
        self.present.discard(websocket)
        code = websocket.close_code
        hint = None if code is None else Close(code, websocket.close_reason or "").retry_after
        if hint is not None:
            self.hints.append(hint)
        self.ended[str(code)] += 1
        self.end_times.append(time.monotonic())
        if len(self.end_times) == self.awaited_ends:
            self.enough_ended.set()

    async def state(self) -> Answer:
        """Tells what there is at this moment."""
        return {
            "open": len(self.present),
            "ended": dict(self.ended),
            "failures": dict(self.failures),
            "pings": self.observer.pings,
        }

    async def farewells(self, count: int, within: float) -> Answer:
        """Tells how the connections ended, once so many have."""
        self.awaited_ends = count
        if len(self.end_times) < count:
            async with asyncio.timeout(within):
                await self.enough_ended.wait()
        return {**await self.state(), "hints": self.hints, "times": self.end_times}

    # Messages to all

    def received(self, microseconds: int) -> None:
        """Takes note of a message that one of them got."""
        self.latencies.append(microseconds)
        if len(self.latencies) == self.wanted:
            self.complete.set()

    async def expect(self, count: int) -> Answer:
        """Forgets the messages so far; `latencies` will wait for so many."""
        self.latencies = []
        self.wanted = count
        self.complete.clear()
        return {}

    async def collect(self) -> Answer:
        """Tells how long each message was on its way, in microseconds, once all have come."""
        await self.complete.wait()
        return {"latencies": self.latencies}

    # Those who come and go

    async def cycles(self, count: int, at_once: int) -> Answer:
        """Connects, has a message echoed, and closes; so often."""
        uri = f"ws://127.0.0.1:{self.port}/"
        numbers = iter(range(count))
        codes: Counter[str] = Counter()
        failures: Counter[str] = Counter()

        async def some() -> None:
            for number in numbers:
                try:
                    async with connect(uri, **self.options(next(self.addresses))) as websocket:
                        await websocket.send(str(number))
                        if await websocket.recv() != str(number):
                            failures["not what was sent"] += 1
                    codes[str(websocket.close_code)] += 1
                except Exception as error:
                    failures[f"{type(error).__name__}: {error}"] += 1

        start = time.monotonic()
        await asyncio.gather(*(some() for _ in range(at_once)))
        seconds = time.monotonic() - start
        return {"codes": dict(codes), "failures": dict(failures), "seconds": seconds}

    async def probe(self, seconds: float, interval: float = 0.01, size: int = 64) -> Answer:
        """Has messages echoed, one at a time, and tells how long each took, in microseconds."""
        uri = f"ws://127.0.0.1:{self.port}/"
        message = bytes(size)
        latencies = []
        async with connect(uri, **self.options(next(self.addresses))) as websocket:
            end = time.monotonic() + seconds
            while (start := time.monotonic()) < end:
                await websocket.send(message)
                await websocket.recv()
                latencies.append(int((time.monotonic() - start) * 1e6))
                await asyncio.sleep(interval)
        return {"latencies": latencies}


async def main(options: Answer) -> None:
    """Obeys the scenario."""
    raise_file_limit()
    crowd = Crowd(options["number"], options["port"])
    await obey(
        {
            name: getattr(crowd, name)
            for name in ("open", "state", "farewells", "expect", "collect", "cycles", "probe")
        }
    )


if __name__ == "__main__":
    run(main)
