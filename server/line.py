"""A client's connection with the chat: one that comes back by itself.

What lives here: connecting and entering, again and again, and by which kind of connection;
commands, and who gets their answers; and what is to happen later, unless the connection is lost
until then. This file does not know what events say, nor what the client has of any log.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import rfc6455

from .deliveries import ChatError
from .eventsocket import EventSocket

__all__ = ["RETRYABLE", "Event", "Handler", "Line", "Owner", "retry_delay"]

Event: TypeAlias = dict[str, Any]
"""What the server tells, as JSON has it."""
Handler: TypeAlias = Callable[[Event | ChatError], Awaitable[None]]
"""Takes the answer to a command."""

RETRYABLE: Final = frozenset({"unavailable", "rate_limited", "connection_lost"})
"""Codes of errors after which the same may be asked for again."""
RETRY_DELAY: Final = 0.5
UNAUTHENTICATED: Final = 4401
FORBIDDEN: Final = 4403
MAX_HINT: Final = 60.0
"""Seconds that a server may make us wait before we come back."""
GOODBYE: Final = 1000
COMING_BACK: Final = 4000
"""Close code of who ends a connection and will be back."""
STEADY_AFTER: Final = 5.0
"""Seconds of being connected after which delays begin anew."""

logger = logging.getLogger("rfc6455.chat.client")


class _Retry(Exception):
    """The server does not want us now, and may do so later."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose connection it is.

    Attributes:
        introduce: makes the ``hello``, before each attempt.
        entered: takes the answer to it.
        received: takes each event after that.
        lost: is told why the connection is over, once for each time that it was entered.
        renews: whether another ``hello`` may be accepted where one no longer was.
    """

    introduce: Callable[[], Awaitable[Event]]
    entered: Callable[[Event], Awaitable[None]]
    received: Callable[[Event], Awaitable[None]]
    lost: Callable[[str], None]
    renews: bool


class Line:
    """A connection, over all the times that it is lost.

    Args:
        uri: of the server's WebSocket.
        owner: who is told.
        delays: makes the delays between attempts to connect, in seconds.
        options: further arguments for `rfc6455.connect`.
        has_fallback: whether to try Server-Sent Events where WebSocket does not get through.
        is_coming_back: whether to tell the server, at the end, that we will be back.

    Attributes:
        is_online: whether there is a connection now that has been entered.
        is_fallback: whether the latest one is not a WebSocket, but what does for one.
    """

    def __init__(
        self,
        uri: str,
        owner: Owner,
        delays: Callable[[], Iterator[float]],
        options: Event,
        *,
        has_fallback: bool,
        is_coming_back: bool,
    ) -> None:
        self.is_online = self.is_fallback = False
        self._has_fallback = has_fallback
        self._is_coming_back = is_coming_back
        # Which kind worked last, how many attempts were silent since, and which kinds were refused.
        self._prefers_fallback = False
        self._silent = 0
        self._refused: set[bool] = set()
        self._uri = uri
        self._owner = owner
        self._delays = delays
        self._options = options
        self._has_entered = False
        self._last_id = 0
        self._handlers: dict[int, Handler] = {}
        self._commands: asyncio.Queue[Event] = asyncio.Queue()
        self._timers: set[asyncio.TimerHandle] = set()

    async def run(self) -> ChatError:
        """Connects again and again; returns why the server does not want us."""
        delays = self._delays()
        loop = asyncio.get_running_loop()
        error: ChatError | None = None
        while True:
            since = loop.time()
            hint: float | None = None
            self._choose()
            try:
                async with self._connect() as websocket:
                    await self._converse(websocket)
                    reason = "the server closed the connection"
            except ChatError as refusal:
                error, reason = refusal, refusal.message
            except _Retry as refusal:
                reason = str(refusal)
            except rfc6455.ConnectionClosed as closed:
                reason = str(closed)
                hint = closed.received.retry_after if closed.received else None
                if closed.code == FORBIDDEN or (
                    closed.code == UNAUTHENTICATED and not self._owner.renews
                ):
                    error = ChatError("closed", reason)
            except (rfc6455.WebSocketError, OSError, EOFError) as failure:
                reason = str(failure)
                if not rfc6455.is_transient(failure):
                    self._refused.add(self.is_fallback)
                    # What refuses a WebSocket may be something on the way that knows none.
                    if not self._has_fallback or len(self._refused) == 2:
                        error = ChatError("closed", reason)
            was_online = self.is_online
            await self.hang_up(reason)
            if error is not None:
                return error
            logger.info("not connected: %s", reason)
            if was_online and loop.time() - since >= STEADY_AFTER:
                delays = self._delays()
            delay = next(delays)
            # A server that restarts gives each client a time of its own.
            await asyncio.sleep(delay if hint is None else min(hint, MAX_HINT))

    def _choose(self) -> None:
        """Chooses the kind of connection to try.

        What worked last is tried first, and after two attempts in which the server said nothing,
        each kind in turn: it may be that the server is away, or that the way to it has changed.
        """
        if not self._has_fallback:
            return
        self._silent += 1
        takes_turns = self._silent > 2 and self._silent % 2 == 1
        self.is_fallback = self._prefers_fallback is not takes_turns
        if self.is_fallback in self._refused:
            self.is_fallback = not self.is_fallback

    def _connect(self) -> rfc6455.connect | EventSocket:
        if self.is_fallback:
            return EventSocket(self._uri, **self._options)
        return rfc6455.connect(self._uri, **self._options)

    async def request(self, type: str, **fields: Any) -> Event:
        """Sends a command, and returns the answer.

        Raises:
            ChatError: it is refused, or the connection is lost before the answer has come.
        """
        if not self.is_online:
            raise ChatError("connection_lost", "there is no connection")
        answer: asyncio.Future[Event] = asyncio.get_running_loop().create_future()

        async def settle(outcome: Event | ChatError) -> None:
            if answer.done():
                return
            if isinstance(outcome, ChatError):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)

        self.post({"type": type, **fields}, settle)
        return await answer

    def post(self, command: Event, handler: Handler) -> None:
        """Sends a command; its answer, or the loss of the connection, goes to a handler."""
        self._last_id += 1
        self._handlers[self._last_id] = handler
        self._commands.put_nowait({**command, "id": self._last_id})

    def later(self, delay: float, callback: Callable[[], None]) -> None:
        """Calls back, unless the connection is lost until then."""

        def run() -> None:
            self._timers.discard(timer)
            callback()

        timer = asyncio.get_running_loop().call_later(delay, run)
        self._timers.add(timer)

    async def hang_up(self, reason: str | None = None) -> None:
        """Forgets all that belonged to a connection that is over; with a reason its owner hears."""
        was_online, self.is_online = self.is_online, False
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if was_online and reason is not None:
            self._owner.lost(reason)
        handlers, self._handlers = self._handlers, {}
        for handler in handlers.values():
            await handler(ChatError("connection_lost", "the connection was lost"))

    async def _converse(self, websocket: rfc6455.WebSocket | EventSocket) -> None:
        await websocket.send(json.dumps(await self._owner.introduce()))
        writer: asyncio.Task[None] | None = None
        try:
            async for message in websocket:
                self._silent, self._prefers_fallback = 0, self.is_fallback
                self._refused.clear()
                events = json.loads(message)
                for event in events if isinstance(events, list) else [events]:
                    if self.is_online:
                        await self._receive(event)
                    elif event["type"] in ("ack", "error"):
                        await self._enter(event)
                        writer = asyncio.create_task(self._write(websocket))
        except asyncio.CancelledError:
            # We end it; without a word a guest would be waited for.
            await websocket.close(COMING_BACK if self._is_coming_back else GOODBYE)
            raise
        finally:
            if writer is not None:
                writer.cancel()
                with contextlib.suppress(asyncio.CancelledError, rfc6455.ConnectionClosed):
                    await writer

    async def _enter(self, answer: Event) -> None:
        """Takes the answer to our hello."""
        if answer["type"] == "error":
            refusal = _error(answer)
            # Our name may have been taken while we were away, and be free again later.
            if refusal.code in RETRYABLE or (self._has_entered and refusal.code == "name_taken"):
                raise _Retry(refusal.message)
            raise refusal
        self._commands = asyncio.Queue()
        self.is_online = self._has_entered = True
        await self._owner.entered(answer)

    async def _write(self, websocket: rfc6455.WebSocket | EventSocket) -> None:
        while True:
            await websocket.send(json.dumps(await self._commands.get()))

    async def _receive(self, event: Event) -> None:
        if event["type"] not in ("ack", "error"):
            await self._owner.received(event)
            return
        handler = self._handlers.pop(event["id"], None)
        if handler is not None:
            await handler(event if event["type"] == "ack" else _error(event))


def _error(event: Event) -> ChatError:
    return ChatError(event["code"], event["message"], event.get("retry_after"))


def retry_delay(error: ChatError) -> float:
    """Returns after how many seconds the same may be asked for again."""
    return RETRY_DELAY if error.retry_after is None else error.retry_after
