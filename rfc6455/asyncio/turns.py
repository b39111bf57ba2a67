"""Turns of the event loop, for connections whose reads take long: each turn has one of them.

What lives here: who waits. However many peers flood, the others wait no longer than for one of
them. This file does not know what a connection is, nor what it needs its turn for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["take_turn"]

_waiting: Final[dict[asyncio.AbstractEventLoop, deque[Callable[[], None]]]] = {}


def take_turn(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    """Has the loop call back in a turn of its own, after those who asked before."""
    waiting = _waiting.get(loop)
    if waiting is None:
        for other in list(_waiting):
            # A loop that was closed in the middle of a flood calls nobody back.
            if other.is_closed():
                _waiting.pop(other, None)
        waiting = _waiting[loop] = deque()
        loop.call_soon(_next, loop)
    waiting.append(callback)


def _next(loop: asyncio.AbstractEventLoop) -> None:
    waiting = _waiting[loop]
    callback = waiting.popleft()
    if waiting:
        loop.call_soon(_next, loop)
    else:
        del _waiting[loop]
    callback()
