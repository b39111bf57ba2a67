"""What the conversations with other implementations share.

What must live here: what our side says in them. This file does not know whom it talks to.
"""

from __future__ import annotations

import random
from typing import Final

import rfc6455

__all__ = ["CLOSE", "FRAGMENTS", "REPETITIVE", "answer", "send_in_fragments"]

CLOSE: Final = "close me"
FRAGMENTS: Final = "in fragments"
REPETITIVE: Final = random.Random(6455).randbytes(600) * 120
"""Compresses well in a window of 1 KiB and more, and hardly in a smaller one."""


async def answer(websocket: rfc6455.WebSocket) -> None:
    """Sends every message back; closes, or sends fragments, where it is asked to."""
    async for message in websocket:
        if message == CLOSE:
            await websocket.close(4321, "as you wish")
        elif message == FRAGMENTS:
            await send_in_fragments(websocket, "in ", "", "frag", "ments")
        else:
            await websocket.send(message)


async def send_in_fragments(websocket: rfc6455.WebSocket, *parts: str) -> None:
    """Sends a text in fragments, with Pings between them, which the peer has to answer."""
    for part in parts[:-1]:
        websocket._core.send_text(part, final=False)
        await websocket.ping()
    # Not `send` of an iterator, which ends a message with an empty fragment.
    websocket._core.send_text(parts[-1])
    websocket._flush()
