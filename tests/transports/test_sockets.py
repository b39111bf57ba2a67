"""What goes straight into a socket, and what does not: real ones, which do not take all at once.

Knows that the native twin writes past the transport where nothing waits in it.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from rfc6455 import (
    Connection,
    Limits,
    Message,
    PreparedMessage,
    Role,
    WebSocket,
    serve,
    unix_connect,
)
from rfc6455.codec import encode_message
from rfc6455.frames import Opcode, encode
from tests.helpers import KEY

from .support import on_each_loop

SIZES = (0, 1, 125, 126, 5_000, 16_384, 70_000, 3, 400_000, 9, 2_000_000, 60_000)
MESSAGES: list[Message] = [
    message
    for number, size in enumerate(SIZES * 3)
    for message in (chr(97 + number % 26) * size, bytes([number]) * size)
]


@pytest.mark.parametrize("masks", [False, True])
@on_each_loop
async def test_all_arrives_in_order_whatever_the_socket_takes(tmp_path: Path, masks: bool) -> None:
    async def say_all(websocket: WebSocket) -> None:
        for message, way in zip(MESSAGES, itertools.cycle(range(3)), strict=False):
            if way == 0:
                websocket.push(message)
            elif way == 1:
                websocket.push(PreparedMessage(message))
            else:
                await websocket.send(message)

    async def hear_all(websocket: WebSocket) -> list[Message]:
        return [await websocket.recv() for _ in MESSAGES]

    heard: asyncio.Future[list[Message]] = asyncio.get_running_loop().create_future()

    async def handle(websocket: WebSocket) -> None:
        if masks:
            heard.set_result(await hear_all(websocket))
        else:
            await say_all(websocket)

    path = str(tmp_path / "socket")
    limits = Limits(max_message_size=None, max_unsent_size=100_000_000)
    async with (
        serve(handle, path=path, limits=limits, extensions=()),
        unix_connect(path, limits=limits, extensions=()) as client,
    ):
        if masks:
            await say_all(client)
            assert await heard == MESSAGES
        else:
            assert await hear_all(client) == MESSAGES


def drain(peer: socket.socket) -> bytes:
    """Takes what has arrived, without giving the event loop a turn."""
    arrived = bytearray()
    try:
        while data := peer.recv(65_536):
            arrived += data
    except BlockingIOError:
        pass
    return bytes(arrived)


@asynccontextmanager
async def over_a_socket(send_buffer: int | None = None) -> AsyncIterator[tuple[WebSocket, Peer]]:
    """A server's WebSocket over one end of a pair of sockets, and the other end."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    if send_buffer is not None:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    theirs.setblocking(False)
    with theirs:
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        limits = Limits(ping_interval=None, write_high_water=10_000_000)
        websocket = WebSocket(Connection(Role.SERVER, limits=limits), transport, loop)
        transport.set_protocol(websocket)
        yield websocket, Peer(theirs)
        websocket.abort()
        await websocket.wait_closed()


class Peer:
    """The other end.

    Attributes:
        arrived: all that has arrived.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.arrived = bytearray()
        self._socket = sock

    def drain(self) -> int:
        """Takes what has arrived without giving the loop a turn; returns how much that was."""
        before = len(self.arrived)
        with suppress(BlockingIOError):
            while data := self._socket.recv(65_536):
                self.arrived += data
        return len(self.arrived) - before

    async def say(self, messages: Iterable[Message]) -> None:
        """Sends messages that fit into one read."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(
            self._socket, b"".join(encode_message(message, KEY) for message in messages)
        )

    async def expect(self, messages: Iterable[Message], end: bytes = b"") -> None:
        """Waits until these messages have arrived, and nothing else but an end."""
        expected = b"".join(map(encode_message, messages)) + end
        loop = asyncio.get_running_loop()
        while len(self.arrived) < len(expected):
            self.arrived += await loop.sock_recv(self._socket, 65_536)
        assert self.arrived == expected
        self.arrived.clear()


@on_each_loop
async def test_nothing_overtakes_what_waits_in_the_transport() -> None:
    async with over_a_socket() as (websocket, peer):
        large = bytes(range(256)) * 8_000
        messages = (large, "small", large, "", large.hex(), "end")
        for message in messages:
            await websocket.send(message)
            # The socket has room again, and the transport has not had its turn.
            peer.drain()
        assert len(peer.arrived) < sum(map(len, messages))
        await peer.expect(messages)
        # The transport has nothing any more: straight again.
        await websocket.send(large)
        await peer.expect([large])


REPLIES: list[Message] = [
    *("a" * 16_384, b"b", b"c" * 16_384, "d" * 16_383, "\u00e9" * 10_000, "", "\U0001f600" * 5_000),
    *("e" * 60_000, b"f" * 30_000, "g" * 125, "h" * 20_000),
]
"""What fits into one read, and into none of the buffers below."""


@pytest.mark.parametrize("send_buffer", [None, *range(4_608, 40_000, 2_531)])
@on_each_loop
async def test_replies_to_one_read_stay_in_order_wherever_the_socket_stops(
    send_buffer: int | None,
) -> None:
    async with over_a_socket(send_buffer) as (websocket, peer):
        asking = asyncio.create_task(peer.say(["go"]))
        await websocket.recv()
        for message in REPLIES:
            websocket.push(message)
        await asking
        await peer.expect(REPLIES)
        websocket.push("x" * 20_000)
        websocket.start_close()
        await peer.expect(["x" * 20_000], encode(Opcode.CLOSE, (1000).to_bytes(2)))


@on_each_loop
async def test_replies_to_one_read_leave_together() -> None:
    messages: list[Message] = ["a" * 20_000, b"b" * 20_000, "c" * 20_000]
    async with over_a_socket() as (websocket, peer):
        await peer.say(messages)
        for message in messages:
            assert await websocket.recv() == message
            assert peer.drain() == 0
            await websocket.send(message)
        await peer.expect(messages)


@on_each_loop
async def test_more_replies_than_may_wait_for_each_other_leave_earlier() -> None:
    messages: list[Message] = ["a" * 50_000] * 20
    async with over_a_socket() as (websocket, peer):
        await peer.say(["one", "another"])
        assert await websocket.recv() == "one"
        for message in messages:
            await websocket.send(message)
        assert peer.drain() > 0
        await websocket.send("end")
        await peer.expect([*messages, "end"])


@on_each_loop
async def test_many_small_replies_leave_with_a_large_one() -> None:
    messages: list[Message] = ["a" * 20_000, *map(str, range(200))]
    async with over_a_socket() as (websocket, peer):
        for message in messages:
            websocket.push(message)
        await peer.expect(messages)


@on_each_loop
async def test_large_replies_to_who_is_gone_are_no_error() -> None:
    async with over_a_socket() as (websocket, peer):
        websocket.push("a" * 20_000)
        websocket.abort()
        await websocket.wait_closed()
        peer.drain()
        assert peer.arrived == b""
