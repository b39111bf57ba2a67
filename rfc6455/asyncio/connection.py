"""An open connection on asyncio, as a coroutine sees it: it receives, and it sends.

What lives here: the queue of received messages, and the task that waits for them. This file does
not know about frames, nor about closing and time, which are its base class's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from ..connection import Connection
from ..errors import ConnectionClosed, ConnectionClosedOK, UsageError
from ..events import Fragment, Message
from ..state import CLOSE_RECEIVED
from .endpoint import Endpoint
from .inbox import Inbox, PythonInbox
from .pieces import Assembly, Pieces

__all__ = ["WebSocket"]


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
        "_assembly",
        "_max_queued_messages",
        "_max_queued_size",
        "_unread",
    )

    def __init__(
        self,
        core: Connection,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        **options: Any,
    ) -> None:
        super().__init__(core, transport, loop, **options)
        limits = core.limits
        self._max_queued_messages = limits.max_queued_messages
        self._max_queued_size = limits.max_queued_size
        self._inbox: PythonInbox = Inbox(loop)
        self._unread = 0
        self._assembly: Assembly | None = None

    async def recv(self) -> Message:
        """Receives the next message: `str` for text, `bytes` for binary.

        Raises:
            ConnectionClosed: nothing more will come; every message before has been received.
            UsageError: another task is receiving already.
        """
        if self._assembly is not None and self._assembly.expected:
            return await self._assembly.whole(self._receive_item)
        message: Message = await self._inbox.get(self, False)
        return message

    def recv_streaming(self) -> AsyncIterator[Message]:
        """Receives the next message in pieces as they come: `str` for text, `bytes` for binary.

        The pieces are as large as frames and reads make them, and text is cut between characters.
        A message that is here already is one piece. The limits of a message hold for the sum of its
        pieces. Where the iteration is given up in the middle, the rest of the message is thrown
        away.

        Raises:
            ConnectionClosed: nothing more will come; the message may be unfinished.
            UsageError: another task is receiving already.
        """
        if self._assembly is None:
            self._assembly = Assembly()
        return Pieces(self._assembly, self._ask_for_pieces, self._receive_item)

    def __aiter__(self) -> AsyncIterator[Message]:
        """Iterates over messages until the connection is closed as agreed (1000, 1001).

        Raises:
            ConnectionClosedError: it ended in any other way.
        """
        return self

    def __anext__(self) -> Awaitable[Message]:
        if self._assembly is not None and self._assembly.expected:
            return self._next_whole(self._assembly)
        return self._inbox.get(self, True)

    async def _next_whole(self, assembly: Assembly) -> Message:
        try:
            return await assembly.whole(self._receive_item)
        except ConnectionClosedOK:
            raise StopAsyncIteration from None

    def _receive_item(self) -> Awaitable[Message | Fragment]:
        return self._inbox.get(self, False)

    def _ask_for_pieces(self) -> None:
        assert self._assembly is not None
        if not self._inbox and not self._backlog:
            self._assembly.expected = True
            self._give_back()
            here = self._core.stream()
            self._settle()
            if here is not None:
                self._inbox.put([here])

    # What the inbox tells

    def _run_out(self, iterating: bool) -> None:
        error = self._reach_end()
        try:
            raise (
                StopAsyncIteration if iterating and isinstance(error, ConnectionClosedOK) else error
            )
        finally:
            # Its traceback has this frame: a cycle would keep the connection, and its buffers.
            del error

    def _caught_up(self) -> None:
        if self._may_read():
            self._inbox.watched = False
            self._read_again()

    def _second_reader(self) -> UsageError:
        reader = self._inbox.reader
        name = "unknown" if reader is None else reader.get_name()
        return UsageError(f"task {name!r} is receiving already")

    def _reach_end(self) -> ConnectionClosed:
        """Everything before the end has been received: answers it, and returns how it ended."""
        if self._core.state is CLOSE_RECEIVED:
            self._core.answer_close(self._loop.time())
            self._after_closing_step()
        error = self._closed_error()
        error.__cause__ = self._core.fault
        return error

    # What the base class delivers

    def _deliver(self, messages: list[Message | Fragment], size: int) -> None:
        inbox = self._inbox
        if self._unread and inbox:
            size += self._unread
        inbox.put(messages)
        if inbox:
            self._delivered(size)

    def _delivered(self, size: int) -> None:
        """Is told the size of what waits, where the reader has not taken all at once."""
        self._unread = size
        if self._is_full():
            self._pause_reading()

    def _deliver_end(self) -> None:
        self._inbox.over = True
        # It is answered when the application comes here, at once when nothing can be under way, or
        # after a grace.
        if self._inbox.waiting:
            self._inbox.wake()
        elif not self._inbox and not self._inbox.busy:
            self._core.answer_close(self._loop.time())

    def _pause_reading(self) -> None:
        super()._pause_reading()
        # Whatever the reason was, reading goes on when what is here has been taken.
        self._inbox.watched = True

    def _may_read(self) -> bool:
        return not self._inbox and super()._may_read()

    def _is_full(self) -> bool:
        messages, size = self._max_queued_messages, self._max_queued_size
        return (messages is not None and len(self._inbox) >= messages) or (
            size is not None and self._unread >= size
        )
