"""One connected client: what waits to be sent to it, and when it is too slow.

What lives here: a bounded outbox and the task that empties it. This file does not know what the
events say.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import rfc6455

__all__ = ["Session"]


class Session:
    """A client, from its connection to its end.

    Events are handed over without waiting, so that nobody waits for a slow client; who does not
    keep up is closed with 1008.

    Args:
        websocket: the connection.
        max_events: how many events may wait.
        max_size: how many characters they may have together.
        on_overflow: is called once, when one of the two is exceeded.
    """

    def __init__(
        self,
        websocket: rfc6455.WebSocket,
        *,
        max_events: int,
        max_size: int,
        on_overflow: Callable[[Session], None],
    ) -> None:
        self.name = ""
        """The user's name; empty before ``hello``."""
        self.rooms: set[str] = set()
        """The rooms that the user is in."""
        self._websocket = websocket
        self._max_events = max_events
        self._max_size = max_size
        self._on_overflow = on_overflow
        self._outbox: deque[str] = deque()
        self._size = 0
        self._overflowed = False
        self._waiting = asyncio.Event()

    def deliver(self, event: str) -> None:
        """Takes an event without waiting."""
        if self._overflowed:
            return
        self._outbox.append(event)
        self._size += len(event)
        if len(self._outbox) > self._max_events or self._size > self._max_size:
            self._overflowed = True
            self._outbox.clear()
            self._on_overflow(self)
            return
        self._waiting.set()

    async def run(self) -> None:
        """Sends what is delivered, in order, until the connection ends."""
        try:
            while True:
                await self._waiting.wait()
                self._waiting.clear()
                while self._outbox:
                    event = self._outbox.popleft()
                    self._size -= len(event)
                    await self._websocket.send(event)
        except rfc6455.ConnectionClosed:
            pass

    async def close(self, code: int, reason: str) -> None:
        """Closes the connection."""
        await self._websocket.close(code, reason)
