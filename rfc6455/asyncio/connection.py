"""An open connection on asyncio, as a coroutine sees it: it receives, and it sends.

What lives here: the queue of received messages, and the task that waits for them. This file does
not know about frames, nor about closing and time, which are its base class's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from ..connection import Connection
from ..errors import ConnectionClosed, ConnectionClosedOK, UsageError
from ..events import Message
from ..http import Request, Response
from ..state import State
from .endpoint import Endpoint
from .inbox import Inbox, PythonInbox

__all__ = ["WebSocket"]

BATCH: Final = 256
"""Messages of one connection that are handed out in one turn of the event loop."""


class WebSocket(Endpoint):
    """An open WebSocket.

    Made by `serve` and `connect`. It is an asynchronous iterator of messages, and an asynchronous
    context manager that closes it. All of its methods are safe to cancel: a cancelled `recv` loses
    no message, and a cancelled `send` has sent nothing.

    Attributes:
        request: the HTTP request that opened it; None on a client.
        response: the HTTP answer that opened it; None on a server.
        subprotocol: the one that was agreed on, or None.
    """

    __slots__ = (
        "_backlog",
        "_ended",
        "_inbox",
        "_max_queued_messages",
        "_max_queued_size",
        "_unread",
    )

    def __init__(
        self,
        core: Connection,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        *,
        request: Request | None = None,
        response: Response | None = None,
        subprotocol: str | None = None,
        on_lost: Callable[[WebSocket], None] | None = None,
    ) -> None:
        super().__init__(
            core,
            transport,
            loop,
            request=request,
            response=response,
            subprotocol=subprotocol,
            on_lost=on_lost,
        )
        limits = core.limits
        self._max_queued_messages = limits.max_queued_messages
        self._max_queued_size = limits.max_queued_size
        self._inbox: PythonInbox = Inbox(loop)
        # Behind the inbox, in reverse.
        self._backlog: list[Message] = []
        self._unread = 0
        self._ended = False

    async def recv(self) -> Message:
        """Receives the next message: `str` for text, `bytes` for binary.

        Raises:
            ConnectionClosed: nothing more will come; every message before has been received.
            UsageError: another task is receiving already.
        """
        return await self._inbox.get(self, False)

    def __aiter__(self) -> AsyncIterator[Message]:
        """Iterates over messages until the connection is closed as agreed (1000, 1001).

        Raises:
            ConnectionClosedError: it ended in any other way.
        """
        return self

    def __anext__(self) -> Awaitable[Message]:
        return self._inbox.get(self, True)

    # What the inbox tells

    def _run_out(self, iterating: bool) -> None:
        if self._backlog:
            self._loop.call_soon(self._refill)
        elif self._ended:
            error = self._reach_end()
            raise (
                StopAsyncIteration if iterating and isinstance(error, ConnectionClosedOK) else error
            )

    def _caught_up(self) -> None:
        if not self._backlog:
            self._inbox.watched = False
            self._resume_reading()

    def _second_reader(self) -> UsageError:
        reader = self._inbox.reader
        name = "unknown" if reader is None else reader.get_name()
        return UsageError(f"task {name!r} is receiving already")

    def _reach_end(self) -> ConnectionClosed:
        """Everything before the end has been received: answers it, and returns how it ended."""
        if self._core.state is State.CLOSE_RECEIVED:
            self._core.answer_close(self._loop.time())
            self._after_closing_step()
        error = self._closed_error()
        error.__cause__ = self._core.fault
        return error

    # What the base class delivers

    def _deliver(self, messages: list[Message], size: int) -> None:
        inbox = self._inbox
        if self._backlog:
            messages.reverse()
            self._backlog[:0] = messages
        else:
            if not inbox:
                self._unread = 0
            if len(messages) > BATCH:
                # A flood of tiny messages must not keep other connections waiting.
                self._backlog = messages[: BATCH - 1 : -1]
                del messages[BATCH:]
            inbox.put(messages)
        if inbox or self._backlog:
            self._unread += size
            if self._is_full():
                inbox.watched = True
                self._pause_reading()

    def _deliver_end(self) -> None:
        self._ended = True
        # It is answered when the application comes here, at once when nothing can be under way, or
        # after a grace.
        if self._inbox.waiting:
            self._inbox.wake()
        elif not self._inbox and not self._inbox.busy:
            self._core.answer_close(self._loop.time())

    def _refill(self) -> None:
        """Hands out the next batch of a long run of messages."""
        if self._inbox or not self._backlog:
            return
        messages = self._backlog[: -BATCH - 1 : -1]
        del self._backlog[-BATCH:]
        self._batching = True
        try:
            self._inbox.put(messages)
        finally:
            self._end_batch()

    def _is_full(self) -> bool:
        messages, size = self._max_queued_messages, self._max_queued_size
        return (messages is not None and len(self._inbox) + len(self._backlog) >= messages) or (
            size is not None and self._unread >= size
        )
