"""Clients that mean ill, in a process of their own.

What lives here: what each of them sends, as bytes on a socket, so that nothing of ours keeps them
from it. They come back when they are sent away. This file does not know what it does to others.
"""

from __future__ import annotations

import asyncio
import itertools
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from typing import Any, Final, NamedTuple

from rfc6455.close import CloseCode
from rfc6455.frames import Opcode, encode

from .crowd import addresses
from .programs import Answer, obey, raise_file_limit, run

KEY: Final = b"\x00\x00\x00\x00"
"""A masking key that changes nothing: attackers have no time to lose."""
MiB: Final = 2**20
CHUNK: Final = 64 * 1024
PAUSE: Final = 0.01
"""Seconds until an attacker that was sent away comes back."""
RSV1: Final = 0x40
TAIL: Final = 2 + 125
"""The bytes of the longest Close."""


def request(*fields: str) -> bytes:
    """Returns the head of a request for a WebSocket whose messages are thrown away."""
    lines = [
        "GET /sink HTTP/1.1",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==",
        "Sec-WebSocket-Version: 13",
        *fields,
    ]
    return "\r\n".join([*lines, "\r\n"]).encode()


PLAIN: Final = request()
DEFLATE: Final = request("Sec-WebSocket-Extensions: permessage-deflate")


def frame(opcode: Opcode, payload: bytes = b"", **options: Any) -> bytes:
    """Returns a frame as a client sends it."""
    return encode(opcode, payload, masking_key=KEY, **options)


@cache
def deflated(mebibytes: int) -> bytes:
    """Returns a message of so many MiB of zeros, as small as permessage-deflate makes it."""
    compressor = zlib.compressobj(9, wbits=-15)
    data = b"".join(compressor.compress(bytes(MiB)) for _ in range(mebibytes))
    data += compressor.flush(zlib.Z_SYNC_FLUSH)
    return frame(Opcode.BINARY, data.removesuffix(b"\x00\x00\xff\xff"), rsv=RSV1)


def pings() -> Iterator[bytes]:
    """Pings of the largest size, without end."""
    return itertools.repeat(frame(Opcode.PING, bytes(125)) * (CHUNK // 131))


def fragments() -> Iterator[bytes]:
    """A message in fragments of a byte each, without end."""
    yield frame(Opcode.TEXT, b"a", fin=False)
    yield from itertools.repeat(frame(Opcode.CONTINUATION, b"a", fin=False) * 500)


def bombs() -> Iterator[bytes]:
    """Messages of 64 KiB that become 64 MiB."""
    return itertools.repeat(deflated(64))


def grenades() -> Iterator[bytes]:
    """Messages of 1 KiB that become the most that is allowed, 1 MiB."""
    return itertools.repeat(deflated(1))


def unfinished() -> Iterator[bytes]:
    """A message of the largest size, of which the last byte never comes."""
    yield frame(Opcode.BINARY, bytes(MiB))[:-1]


def half_open() -> Iterator[bytes]:
    """The beginning of an opening handshake."""
    yield PLAIN[:40]


def presence() -> Iterator[bytes]:
    """One message, and then nothing."""
    yield frame(Opcode.TEXT, b"here")


class Attack(NamedTuple):
    """What is said to open a connection, and what then."""

    opening: bytes
    chunks: Callable[[], Iterator[bytes]]


ATTACKS: Final = {
    "pings": Attack(PLAIN, pings),
    "fragments": Attack(PLAIN, fragments),
    "bombs": Attack(DEFLATE, bombs),
    "grenades": Attack(DEFLATE, grenades),
    "unfinished": Attack(PLAIN, unfinished),
    "presence": Attack(PLAIN, presence),
    "half-open": Attack(b"", half_open),
}


class Attackers:
    """All of them, and the answers to a scenario's questions."""

    def __init__(self, number: int, port: int) -> None:
        self.port = port
        self.addresses = addresses(number)
        self.tasks: list[asyncio.Task[None]] = []
        self.sent = 0
        self.connections = 0
        self.ends: Counter[str] = Counter()
        self.wanted = 0
        self.all_there = asyncio.Event()
        self.has_ended = asyncio.Event()

    async def attack(self, kind: str, count: int) -> Answer:
        """Begins an attack with so many connections; returns when each has said something."""
        self.wanted = count
        attack = ATTACKS[kind]
        self.tasks = [asyncio.create_task(self._attack(attack)) for _ in range(count)]
        await self.all_there.wait()
        return {}

    async def press(self, count: int) -> Answer:
        """Begins to connect so many at once, which stay; returns at once."""
        self.tasks = [asyncio.create_task(self._attack(ATTACKS["presence"])) for _ in range(count)]
        return {}

    async def ended(self, end: str) -> Answer:
        """Waits until the server has ended one of them with this status or code."""
        while not self.ends[end]:
            self.has_ended.clear()
            await self.has_ended.wait()
        return {}

    async def stop(self) -> Answer:
        """Ends the attack, and tells what it came to."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        return {"sent": self.sent, "connections": self.connections, "ends": dict(self.ends)}

    async def _attack(self, attack: Attack) -> None:
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._once(attack)
            await asyncio.sleep(PAUSE)

    async def _once(self, attack: Attack) -> None:
        local = (next(self.addresses), 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=local)
        try:
            if attack.opening:
                writer.write(attack.opening)
                await reader.readuntil(b"\r\n\r\n")
            self.connections += 1
            answers = asyncio.create_task(self._read(reader))
            try:
                for number, chunk in enumerate(attack.chunks()):
                    if answers.done():
                        break
                    writer.write(chunk)
                    await writer.drain()
                    self.sent += len(chunk)
                    if not number and self.connections >= self.wanted:
                        self.all_there.set()
                await answers
            finally:
                answers.cancel()
        finally:
            writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Reads to the end, and takes note of why the server made it."""
        start = tail = b""
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                start = start or data[:TAIL]
                tail = (tail + data)[-TAIL:]
        self.ends[_why(start, tail)] += 1
        self.has_ended.set()


def _why(start: bytes, tail: bytes) -> str:
    """Returns the HTTP status or the close code that a server has said last."""
    if start.startswith(b"HTTP/1.1 "):
        return start.split()[1].decode()
    for code in CloseCode:
        if b"\x88" in tail and code.to_bytes(2, "big") in tail[tail.rindex(b"\x88") :]:
            return str(int(code))
    return "nothing was said"


async def main(options: Answer) -> None:
    """Obeys the scenario."""
    raise_file_limit()
    attackers = Attackers(options["number"], options["port"])
    await obey({name: getattr(attackers, name) for name in ("attack", "press", "ended", "stop")})


if __name__ == "__main__":
    run(main)
