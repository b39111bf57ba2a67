"""A conversation that is played twice: the short way of messages, and the general one.

What lives here: connections that take the general way alone, and what is seen of a conversation.
The general way is what a connection has that is never told which messages may take the other.
"""

from __future__ import annotations

import asyncio
from typing import Any

from rfc6455 import (
    CallbackWebSocket,
    Connection,
    ConnectionClosed,
    Limits,
    Listener,
    PermessageDeflate,
    PreparedMessage,
    Role,
    WebSocket,
)

from .support import MemoryTransport, settle

__all__ = ["GeneralCallbackWebSocket", "GeneralWebSocket", "connection", "play"]


class GeneralWebSocket(WebSocket):
    """Takes the general way alone."""

    def _settle(self) -> None:
        pass


class GeneralCallbackWebSocket(CallbackWebSocket):
    """Takes the general way alone."""

    def _settle(self) -> None:
        pass


def connection(role: Role = Role.SERVER, *, compresses: bool = True, **limits: Any) -> Connection:
    extension = PermessageDeflate(threshold=200).accept([])
    assert extension is not None
    return Connection(
        role,
        limits=Limits(ping_interval=None, write_timeout=None, **limits),
        extensions=[extension[1]] if compresses else [],
        now=asyncio.get_running_loop().time(),
    )


async def play(
    kind: str,
    general: bool,
    reads: list[tuple[bytes, int]],
    reply: str,
    *,
    compresses: bool = True,
) -> tuple[list[object], bytes]:
    """Returns what is seen of a conversation: what the application got, and what was written.

    Args:
        kind: ``iterator`` or ``listener``: who takes the messages.
        general: whether they all go the general way.
        reads: what the peer sends, each cut in two at so many tenths of it.
        reply: ``send``, ``push`` or ``close``: what is done with them.
        compresses: whether there is permessage-deflate, which has long reads go the general way.
    """
    got: list[object] = []

    async def echo(websocket: WebSocket) -> None:
        try:
            async for message in websocket:
                got.append(message)
                if len(got) % 7 == 6:
                    await asyncio.sleep(0)
                if reply == "push":
                    websocket.push(message)
                    websocket.push(PreparedMessage(message))
                else:
                    await websocket.send(message)
                if reply == "close" and len(got) == 3:
                    websocket.start_close(4000)
        except ConnectionClosed as error:
            got.append(type(error))

    class Echo(Listener):
        def on_message(self, websocket: CallbackWebSocket, message: str | bytes) -> None:
            got.append(message)
            websocket.push(message)
            if reply == "close" and len(got) == 3:
                websocket.start_close(4000)
            if reply == "send" and len(got) == 5:
                raise ZeroDivisionError

        def on_close(self, websocket: CallbackWebSocket) -> None:
            got.append(websocket.close_code)

    loop = asyncio.get_running_loop()
    transport = MemoryTransport()
    core = connection(compresses=compresses, max_message_size=100_000)
    websocket: Any
    if kind == "listener":
        make = GeneralCallbackWebSocket if general else CallbackWebSocket
        websocket = make(core, transport, loop, Echo(), on_error=got.append)
    else:
        websocket = (GeneralWebSocket if general else WebSocket)(core, transport, loop)
    transport.set_protocol(websocket)
    websocket.opened()
    task = asyncio.create_task(echo(websocket)) if kind == "iterator" else None
    for data, cut in reads:
        edge = len(data) * cut // 10
        for piece in (data[:edge], data[edge:]):
            loop.call_soon(transport.feed, piece)
            await settle()
    websocket.abort()
    await websocket.wait_closed()
    if task is not None:
        await task
    return got, b"".join(transport.writes)
