"""The sending half of an open WebSocket on asyncio.

What lives here: whose turn it is to send, batches that leave in one write, what happens to messages
for a peer that reads too slowly. This file does not know about receiving, closing or time.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import deque
from collections.abc import AsyncIterable, Hashable, Iterable, Mapping

from ..close import CloseCode
from ..connection import CLOSE, Connection
from ..errors import ConnectionClosed, connection_closed
from ..observer import Observer
from ..overflow import Overflow, Pushed, PushQueue
from ..prepared import DATA, Data, PreparedMessage
from ..state import OPEN
from .channel import COLLECT_AT_MOST, Channel
from .reads import memory_for, writes_to_socket
from .shared import shared_in

__all__ = ["Outgoing"]


class Outgoing(Channel):
    """What sends, on a transport."""

    __slots__ = (
        "_drained",
        "_fragmenting",
        "_observer",
        "_pushed",
        "_stall_timer",
        "_unsent_size",
        "_writers",
    )

    def __init__(
        self,
        core: Connection,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        observer: Observer | None,
    ) -> None:
        super().__init__()
        self._core = core
        self._outbox = core.outbox
        self._observer = observer
        self._transport = transport
        self._loop = loop
        shared = shared_in(loop)
        self._leaving = shared.leaving
        self._memory = memory_for(transport, shared)
        self._on_message = None
        self._batching = False
        self._collected = 0
        self._flush_scheduled = False
        # One flag for the four reasons below, since `send` looks at it for every message.
        self._must_wait = False
        self._write_paused = False
        self._writers: deque[asyncio.Future[None]] | None = None
        self._pushed: PushQueue | None = None
        self._fragmenting = False
        self._drained: asyncio.Future[None] | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._unsent_size = 0
        transport.set_write_buffer_limits(high=core.limits.write_high_water)

    # What an application sees

    async def _send(
        self,
        message: Data | PreparedMessage | Iterable[Data] | AsyncIterable[Data],
        *,
        compress: bool | None = None,
    ) -> None:
        if self._must_wait:
            await self._wait_for_turn()
        if not isinstance(message, DATA):
            await self._send_fragments(message, compress)
            return
        self._core.send(message, compress=compress)
        # One write for the replies to a batch of messages, and no delay for a single one.
        if self._batching or self._inbox:
            self._collect(len(message))
        else:
            self._flush()

    def _push(
        self,
        message: Data | PreparedMessage,
        *,
        key: Hashable = None,
        overflow: Overflow = Overflow.DISCONNECT,
        compress: bool | None = None,
    ) -> bool:
        if not self._must_wait:
            self._core.send(message, compress=compress)
            self._collect(len(message))
            return True
        if not self._core.may_send:
            raise self._closed_error()
        if not isinstance(message, PreparedMessage):
            message = PreparedMessage(message)
        return self._enqueue(Pushed(message, compress), key, overflow)

    @property
    def waiting_messages(self) -> int:
        """Messages that were received and wait for the application."""
        return len(self._inbox)

    @property
    def unsent_size(self) -> int:
        """Bytes that wait to be written, pushed messages included."""
        pushed = 0 if self._pushed is None else self._pushed.size
        return self._transport.get_write_buffer_size() + self._collected + pushed

    @property
    def dropped(self) -> int:
        """How many pushed messages were given up because the peer read too slowly."""
        return 0 if self._pushed is None else self._pushed.dropped

    @abstractmethod
    def start_close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Starts the closing handshake, without waiting for its end."""

    # Turns

    async def _wait_for_turn(self) -> None:
        if not self._core.may_send:
            raise self._closed_error()
        writers = self._writers = deque() if self._writers is None else self._writers
        waiter = self._loop.create_future()
        writers.append(waiter)
        try:
            await waiter
        finally:
            writers.remove(waiter)
            # The next one's turn comes after this task has sent, or has failed to.
            self._loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        """Sends what was pushed, then lets the next of the tasks go on that wait to send."""
        if not self._write_paused and not self._fragmenting:
            self._send_pushed()
        may_go_on = not (self._write_paused or self._fragmenting or self._pushed)
        self._must_wait = not may_go_on or bool(self._writers)
        if may_go_on and self._writers and not self._writers[0].done():
            self._writers[0].set_result(None)

    def _let_all_go(self) -> None:
        """The connection is over: those who wait are to find out."""
        self._write_paused = self._must_wait = False
        for waiter in [*(self._writers or ()), self._drained]:
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
        if self._pushed is not None:
            self._pushed.clear()
        if self._stall_timer is not None:
            self._stall_timer.cancel()

    # Fragments

    async def _send_fragments(
        self, source: Iterable[Data] | AsyncIterable[Data], compress: bool | None
    ) -> None:
        if isinstance(source, Mapping) or not isinstance(source, Iterable | AsyncIterable):
            raise TypeError(
                "a message is str, bytes or an iterator of them, not " + type(source).__name__
            )
        if not self._core.may_send:
            raise self._closed_error()
        self._fragmenting = self._must_wait = True
        last: Data | None = None
        try:
            if isinstance(source, AsyncIterable):
                async for last in source:
                    await self._send_fragment(last, compress)
            else:
                for last in source:
                    await self._send_fragment(last, compress)
            if last is not None:
                self._core.send_fragment("" if isinstance(last, str) else b"", final=True)
                self._flush()
        except BaseException as error:
            if self._core.is_mid_message and not isinstance(error, ConnectionClosed):
                self.start_close(CloseCode.INTERNAL_ERROR)
            raise
        finally:
            self._fragmenting = False
            self._next_turn()

    async def _send_fragment(self, fragment: Data, compress: bool | None) -> None:
        self._core.send_fragment(fragment, final=False, compress=compress)
        self._flush()
        if self._write_paused:
            self._drained = self._loop.create_future()
            await self._drained

    # Pushed messages

    def _enqueue(self, pushed: Pushed, key: Hashable, overflow: Overflow) -> bool:
        if self._pushed is None:
            limits = self._core.limits
            self._pushed = PushQueue(limits.max_unsent_size, limits.max_unsent_messages)
        queued, dropped = self._pushed.put(pushed, key, overflow)
        if dropped:
            if self._observer is not None:
                self._observer.dropped(self, dropped)
        elif not queued:
            self.start_close(CloseCode.POLICY_VIOLATION, "reads too slowly")
        return queued

    def _send_pushed(self) -> None:
        """Sends what was pushed, as far as the peer takes it."""
        while self._pushed and not self._write_paused:
            self._hand_over()
            self._flush()

    def _hand_over(self) -> None:
        """Gives the core the next pushed message, whether the peer takes it or not."""
        assert self._pushed
        message, compress = self._pushed.pop()
        if self._core.may_send:
            self._core.send(message, compress=compress)

    # Writing

    def _collect(self, size: int) -> None:
        self._collected += size
        if self._collected > COLLECT_AT_MOST:
            self._flush()
        elif not self._batching:
            self._schedule_flush()

    def _flush(self) -> None:
        self._collected = 0
        self._flush_scheduled = False
        # While writing is held up everything stays in the core, which keeps one Pong at most.
        if not self._write_paused:
            core = self._core
            frames = core.frames_to_send if self._observer is not None else 0
            data = core.data_to_send()
            if data and not self._transport.is_closing():
                if core.state is not OPEN and core.transport_action is CLOSE:
                    self._write_last(data)
                else:
                    self._write(data)
                if self._observer is not None:
                    self._observer.sent(self, data, frames)

    def _find_descriptor(self) -> int:
        """Returns the descriptor of the socket, -1 where only the transport may write to it."""
        if not writes_to_socket(self._transport):
            return -1
        sock = self._transport.get_extra_info("socket")
        return -1 if sock is None else int(sock.fileno())

    def _writing_failed(self, error: BaseException) -> None:
        self._loop.call_exception_handler(
            {"message": "writing failed", "exception": error, "protocol": self}
        )

    def pause_writing(self) -> None:
        """The peer reads too slowly: `send` waits."""
        self._write_paused = self._must_wait = True
        if self._stall_timer is None:
            self._watch_for_progress()

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._write_paused = False
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        self._flush()
        if self._drained is not None and not self._drained.done() and not self._write_paused:
            self._drained.set_result(None)
        self._next_turn()

    def _watch_for_progress(self) -> None:
        timeout = self._core.limits.write_timeout
        if timeout is not None:
            self._unsent_size = self._transport.get_write_buffer_size()
            self._stall_timer = self._loop.call_later(timeout, self._check_progress)

    def _check_progress(self) -> None:
        if self._transport.get_write_buffer_size() < self._unsent_size:
            self._watch_for_progress()
        else:
            self._stall_timer = None
            self._transport.abort()

    def _closed_error(self) -> ConnectionClosed:
        return connection_closed(self._core.close_received, self._core.close_sent)
