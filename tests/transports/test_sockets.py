"""What goes straight into a socket, and what does not: real ones, which do not take all at once.

Knows that the native twin writes past the transport where nothing waits in it.
"""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from rfc6455 import Limits, Message, PreparedMessage, WebSocket, serve, unix_connect

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
