"""One connected client: what waits to be sent to it, and when it is too slow.

What lives here: a bounded outbox, the task that empties it, and the end of a client that does not
keep up. This file does not know what the events say.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import rfc6455

from .gate import Visitor
from .rooms import Room

__all__ = ["Session"]


class Session:
    """A client, from its connection to its end.

    Events are handed over without waiting, so that nobody waits for a slow client. A client is too
    slow when more waits than may while its socket takes nothing, or when it keeps its own answers
    waiting for too long. The bounds do not count within one turn of the event loop, in which many
    users may come or go before any socket has had a chance; nor for answers, since the next command
    waits for them.

    Args:
        websocket: the connection.
        max_events: how many events may wait.
        max_size: how many characters they may have together.
        max_wait: how long commands may wait for answers to be taken, in seconds.
        visitor: who comes in over the connection.
    """

    def __init__(
        self,
        websocket: rfc6455.WebSocket,
        *,
        max_events: int,
        max_size: int,
        max_wait: float = 20.0,
        visitor: Visitor | None = None,
    ) -> None:
        self.name = ""
        """The user's name; empty before ``hello``."""
        self.visitor = visitor or Visitor(websocket)
        """Who came in over which connection."""
        self.rooms: set[str] = set()
        """The rooms that the user is in."""
        self.created: list[Room] = []
        """The rooms that the user created, and that may still wait for somebody to join."""
        self.websocket = websocket
        self._max_events = max_events
        self._max_size = max_size
        self._max_wait = max_wait
        self._outbox: deque[str] = deque()
        self._size = 0
        self._sending = False
        self._ended = False
        self._not_empty = asyncio.Event()
        self._relieved = asyncio.Event()
        self._relieved.set()
        self._patience = asyncio.timeout(None)

    @property
    def is_too_slow(self) -> bool:
        """Whether the client did not keep up, which has ended it."""
        return self._patience.expired()

    def deliver(self, event: str) -> None:
        """Takes an event without waiting."""
        self._put(event)
        if self._sending and (len(self._outbox) > self._max_events or self._size > self._max_size):
            self._end()
            self._set_patience(0)

    def answer(self, event: str) -> None:
        """Takes the answer to a command of this client's, however much waits."""
        self._put(event)

    async def relieved(self) -> None:
        """Waits until at most half of what may wait does so."""
        if not self._relieved.is_set():
            self._set_patience(self._max_wait)
            await self._relieved.wait()
            if not self._ended:
                self._set_patience(None)

    @asynccontextmanager
    async def while_keeping_up(self) -> AsyncIterator[None]:
        """Sends what is delivered, in order, while the block runs.

        A client that is too slow ends the block, wherever it waits.
        """
        writer = asyncio.create_task(self._write())
        try:
            async with self._patience:
                yield
        except TimeoutError:
            if not self.is_too_slow:
                raise
        finally:
            self._end()
            writer.cancel()

    async def _write(self) -> None:
        try:
            while True:
                await self._not_empty.wait()
                while self._outbox:
                    event = self._take()
                    self._sending = True
                    await self.websocket.send(event)
                    self._sending = False
                self._not_empty.clear()
        except rfc6455.ConnectionClosed:
            self._end()

    def _put(self, event: str) -> None:
        if self._ended:
            return
        self._outbox.append(event)
        self._size += len(event)
        self._not_empty.set()
        if len(self._outbox) > self._max_events // 2 or self._size > self._max_size // 2:
            self._relieved.clear()

    def _take(self) -> str:
        event = self._outbox.popleft()
        self._size -= len(event)
        if len(self._outbox) <= self._max_events // 2 and self._size <= self._max_size // 2:
            self._relieved.set()
        return event

    def _set_patience(self, seconds: float | None) -> None:
        now = asyncio.get_running_loop().time()
        self._patience.reschedule(None if seconds is None else now + seconds)

    def _end(self) -> None:
        """From here on nothing waits, and nobody waits for it."""
        self._ended = True
        self._outbox.clear()
        self._size = 0
        self._relieved.set()
