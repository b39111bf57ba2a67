"""What goes straight into a socket, and what does not: real ones, which do not take all at once.

Knows that the native twin writes past the transport where nothing waits in it.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
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


@on_each_loop
async def test_nothing_overtakes_what_waits_in_the_transport() -> None:
    loop = asyncio.get_running_loop()
    ours, peer = socket.socketpair()
    peer.setblocking(False)
    with peer:
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        limits = Limits(ping_interval=None, write_high_water=10_000_000)
        websocket = WebSocket(Connection(Role.SERVER, limits=limits), transport, loop)
        transport.set_protocol(websocket)
        large = bytes(range(256)) * 8_000
        expected = b""
        arrived = b""
        for message in (large, "small", large, "", large.hex(), "end"):
            await websocket.send(message)
            expected += encode_message(message)
            # The socket has room again, and the transport has not had its turn.
            arrived += drain(peer)
        assert len(arrived) < len(expected)
        while len(arrived) < len(expected):
            arrived += await loop.sock_recv(peer, 65_536)
        # The transport has nothing any more: straight again.
        await websocket.send(large)
        expected += encode_message(large)
        while len(arrived) < len(expected):
            arrived += await loop.sock_recv(peer, 65_536)
        assert arrived == expected
        websocket.abort()
        await websocket.wait_closed()
