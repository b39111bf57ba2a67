"""One connected client: what waits to be sent to it, and when it is too slow.

What lives here: a bounded outbox, and the end of a client that does not keep up. When outboxes are
emptied is told in `outboxes`. This file does not know what the events say.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import rfc6455

from .engines.base import UserRecord
from .gate import Visitor
from .outboxes import Outboxes
from .protocol import Encoded
from .rooms import Room
from .rules import person
from .tokens import Role
from .wire import Wire

__all__ = ["Session"]

MAX_BATCH_SIZE: Final = 32 * 1024
"""Characters of events in one message, for a client that takes several; a longer one goes alone."""
MAX_UNSENT: Final = 16 * 1024
"""Bytes that the connection may have to write still when an event is handed to it without waiting.
Above four times that it waits itself (`rfc6455.Limits.write_high_water`)."""


class Session:
    """A client, from its connection to its end.

    Events are handed over without waiting, so that nobody waits for a slow client. While its socket
    takes what comes, they leave when the outboxes have their round; a task waits only for a client
    whose socket does not. A client is too slow when more waits than may while its socket takes
    nothing, or when it keeps its own answers waiting for too long. The bounds do not count within
    one turn of the event loop, in which many users may come or go before any socket has had a
    chance; nor for answers, since the next command waits for them.

    Of events with the same key the latest is sent, in the place of the first that waits. They never
    make a client slow: when too much waits, those with new keys are left out.

    Args:
        websocket: the connection.
        max_events: how many events may wait.
        max_size: how many characters they may have together.
        max_wait: how long commands may wait for answers to be taken, in seconds.
        visitor: who comes in over the connection.
        outboxes: those that are emptied in turns with this one's.
    """

    def __init__(
        self,
        websocket: Wire,
        *,
        max_events: int,
        max_size: int,
        max_wait: float = 20.0,
        visitor: Visitor | None = None,
        outboxes: Outboxes | None = None,
    ) -> None:
        self.websocket = websocket
        self.visitor = visitor or Visitor(websocket)
        """Who came in over which connection."""
        self.user: UserRecord | None = None
        """Who it is; None before ``hello``."""
        self.is_batching = False
        """Whether the client takes several events in a message."""
        self.memberships: set[str] = set()
        """The rooms that the user is a member of, as far as this session knows."""
        self.rooms: dict[str, Room] = {}
        """The rooms that the session has joined."""
        self.created: list[Room] = []
        """The rooms that the user created, and that may still wait for somebody to join."""
        self.patterns: set[str] = set()
        """The patterns of topics that the user subscribes to."""
        self.feeds: set[str] = set()
        """The live feeds that the session watches."""
        self._held: list[tuple[Encoded, str]] | None = None
        self._max_events = max_events
        self._max_size = max_size
        self._max_wait = max_wait
        # Events, and the keys of events that later ones may have replaced.
        self._outbox: deque[tuple[Encoded, str]] = deque()
        self._latest: dict[str, Encoded] = {}
        self._size = 0
        self._outboxes = Outboxes() if outboxes is None else outboxes
        # Nothing is sent before `while_keeping_up`; something awaits its round; a task sends.
        self._is_open = self._is_awaited = False
        self._writer: asyncio.Task[None] | None = None
        self._sending = False
        self._ended = False
        self._relieved = asyncio.Event()
        self._relieved.set()
        self._patience = asyncio.timeout(None)

    @property
    def name(self) -> str:
        """The user's name; empty before ``hello``."""
        return self.user.name if self.user is not None else ""

    @property
    def user_id(self) -> str:
        """Who it is; empty before ``hello``."""
        return self.user.id if self.user is not None else ""

    @property
    def role(self) -> Role:
        """What the user may do everywhere."""
        identity = self.visitor.identity
        return Role.GUEST if identity is None else identity.role

    @property
    def person(self) -> str:
        """What the rules of rooms name the user by."""
        assert self.user is not None
        return person(self.user.id, self.user.name_key, is_guest=bool(self.user.secret))

    @property
    def is_too_slow(self) -> bool:
        """Whether the client did not keep up, which has ended it."""
        return self._patience.expired()

    def deliver(self, event: Encoded, *, key: str = "") -> None:
        """Takes an event without waiting.

        Args:
            event: its JSON.
            key: what it tells the latest of: only the last one that waits is sent.
        """
        if self._held is not None:
            self._held.append((event, key))
            return
        if key:
            self._put_latest(event, key)
            return
        self._put(event)
        if self._is_overfull():
            self._end()
            self._set_patience(0)

    def answer(self, event: str) -> None:
        """Takes the answer to a command of this client's, however much waits."""
        self._put(event)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Keeps back what is delivered until the block ends: what comes after an answer."""
        held: list[tuple[Encoded, str]] = []
        self._held = held
        try:
            yield
        finally:
            self._held = None
            for event, key in held:
                self.deliver(event, key=key)

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
        self._is_open = True
        self._call_for_a_round()
        try:
            async with self._patience:
                yield
        except TimeoutError:
            if not self.is_too_slow:
                raise
        finally:
            self._end()
            if self._writer is not None:
                self._writer.cancel()

    def empty(self) -> None:
        """Sends what waits, as far as the socket takes it; the rest when it does."""
        self._is_awaited = False
        if self._writer is not None:
            return
        try:
            while self._outbox:
                if self.websocket.unsent_size > MAX_UNSENT:
                    self._writer = asyncio.create_task(self._write())
                    return
                self.websocket.push(self._next())
        except rfc6455.ConnectionClosed:
            self._end()

    async def _write(self) -> None:
        try:
            while self._outbox:
                message = self._next()
                self._sending = True
                await self.websocket.send(message)
                self._sending = False
        except rfc6455.ConnectionClosed:
            self._end()
        self._writer = None

    def _call_for_a_round(self) -> None:
        if self._outbox and self._is_open and not self._is_awaited and self._writer is None:
            self._is_awaited = True
            self._outboxes.add(self)

    def _is_overfull(self) -> bool:
        return self._sending and (
            len(self._outbox) > self._max_events or self._size > self._max_size
        )

    def _put(self, event: Encoded, key: str = "") -> None:
        if self._ended:
            return
        self._outbox.append((event, key))
        self._size += len(event)
        if not self._is_awaited:
            self._call_for_a_round()
        if len(self._outbox) > self._max_events // 2 or self._size > self._max_size // 2:
            self._relieved.clear()

    def _put_latest(self, event: Encoded, key: str) -> None:
        if key in self._latest:
            self._size += len(event) - len(self._latest[key])
            self._latest[key] = event
        elif not self._is_overfull() and not self._ended:
            self._latest[key] = event
            self._put(event, key)

    def _take(self) -> Encoded:
        event, key = self._outbox.popleft()
        if key:
            event = self._latest.pop(key)
        self._size -= len(event)
        if len(self._outbox) <= self._max_events // 2 and self._size <= self._max_size // 2:
            self._relieved.set()
        return event

    def _next(self) -> Encoded:
        """Takes the next message: an event, or as many as make one."""
        first = self._take()
        if not self.is_batching or not self._outbox:
            return first
        size = len(first)
        events = [first]
        while self._outbox and size + len(self._outbox[0][0]) <= MAX_BATCH_SIZE:
            event = self._take()
            size += len(event)
            events.append(event)
        return self._outboxes.join(events) if len(events) > 1 else first

    def _set_patience(self, seconds: float | None) -> None:
        now = asyncio.get_running_loop().time()
        self._patience.reschedule(None if seconds is None else now + seconds)

    def _end(self) -> None:
        """From here on nothing waits, and nobody waits for it."""
        self._ended = True
        self._outbox.clear()
        self._latest.clear()
        self._size = 0
        self._relieved.set()
