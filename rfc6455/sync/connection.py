"""An open connection of threads, as the application sees it: it receives, and it sends.

What lives here: the queue of received messages, whose turn it is to send, and batches that leave in
one write. This file does not know who waits for the socket, nor about closing and time, which are
its base class's.

Replies to messages that came in one read leave together, as with asyncio: with the reply to the
last of them, or at 64 KiB, or after a millisecond.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, cast

from ..close import Close, CloseCode
from ..connection import Connection
from ..errors import ConnectionClosed, ConnectionClosedOK, UsageError
from ..events import Closed, Event, Fault, Fragment, Message, Pong
from ..http import Request, Response
from ..prepared import DATA, Data, PreparedMessage
from ..state import State
from .endpoint import ABSENCE, COLLECT_FOR, Endpoint
from .pieces import Assembly, Pieces
from .stream import Stream

__all__ = ["WebSocket"]

COLLECT_AT_MOST: Final = 64 * 1024
"""Bytes that replies may add up to before they are written in the middle of a batch."""
PIECE: Final = 4 * 1024
"""Bytes that are taken at a time where an extension may make much more of them."""


class WebSocket(Endpoint):
    """An open WebSocket.

    Made by `serve` and `connect`. It is an iterator of messages, and a context manager that closes
    it. Every method may be called from any thread, also while others are at work in another.

    Attributes:
        request: the HTTP request that opened it; None on a client.
        response: the HTTP answer that opened it; None on a server.
        subprotocol: the one that was agreed on, or None.
    """

    def __init__(
        self,
        core: Connection,
        stream: Stream,
        *,
        request: Request | None = None,
        response: Response | None = None,
        subprotocol: str | None = None,
        trailing_data: bytes = b"",
    ) -> None:
        super().__init__(core, stream)
        self.request = request
        self.response = response
        self.subprotocol = subprotocol
        limits = core.limits
        self._max_queued_messages = limits.max_queued_messages
        self._max_queued_size = limits.max_queued_size
        # Receiving.
        self._inbox: deque[Event] = deque()
        self._unread = 0
        self._expands = bool(core.extensions)
        self._held = b""
        self._busy = False
        self._receiver: threading.Thread | None = None
        self._took_last = 0
        self._assembly: Assembly | None = None
        # Sending.
        self._turns: deque[object] = deque()
        self._fragmenting: int | None = None
        self._pings: dict[bytes, _UnderWay] = {}
        with self._lock:
            if trailing_data:
                self._receive_data(trailing_data)
            self._expect_visit(ABSENCE)

    # What an application sees

    def recv(self, timeout: float | None = None) -> Message:
        """Receives the next message: `str` for text, `bytes` for binary.

        Args:
            timeout: in seconds; None for no limit, 0 for what has arrived.

        Raises:
            ConnectionClosed: nothing more will come; every message before has been received.
            TimeoutError: no message came in time. None is lost.
            UsageError: another thread is receiving already.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            if self._assembly is not None and self._assembly.is_busy:
                return self._assembly.whole(deadline)
            return cast("Message", self._take(deadline))

    def recv_streaming(self, timeout: float | None = None) -> Iterator[Message]:
        """Receives the next message in pieces as they come: `str` for text, `bytes` for binary.

        The pieces are as large as frames and reads make them, and text is cut between characters.
        A message that is here already is one piece. The limits of a message hold for the sum of its
        pieces. Where the iteration is given up in the middle, the rest of the message is thrown
        away.

        Args:
            timeout: for each piece, in seconds; None for no limit.

        Raises:
            ConnectionClosed: nothing more will come; the message may be unfinished.
            TimeoutError: no piece came in time. The iteration can go on.
            UsageError: another thread is receiving already.
        """
        return Pieces(self._take_piece, timeout)

    def __iter__(self) -> Iterator[Message]:
        """Iterates over messages until the connection is closed as agreed (1000, 1001).

        Raises:
            ConnectionClosedError: it ended in any other way.
        """
        return self

    def __next__(self) -> Message:
        try:
            return self.recv()
        except ConnectionClosedOK:
            raise StopIteration from None

    def send(
        self,
        message: Data | PreparedMessage | Iterable[Data],
        *,
        compress: bool | None = None,
        timeout: float | None = None,
    ) -> None:
        """Sends a message: text for `str`, binary for the other types of bytes.

        From an iterable, the items become the fragments of one message (RFC 6455 §5.4), each sent
        as it comes; they are all text or all bytes. Messages of other threads wait until it ends.
        An iterable that fails in the middle of it leaves a message that cannot be completed: the
        connection is closed with 1011. An iterable without items sends nothing.

        Waits while more than `Limits.write_high_water` bytes wait to be written; then until the
        system has taken the message. When it raises, nothing of a message that is not an iterable
        was sent.

        Args:
            message: the message.
            compress: whether it is compressed, where the peer agreed to that; None lets the
                extension decide by its size, or the size of the first fragment.
            timeout: in seconds; None for no limit. A message that has begun to be written when the
                time is over is written to its end by and by. One of which fragments have still to
                come cannot be: the connection is closed with 1011.

        Raises:
            ConnectionClosed: the connection is over, or is being closed by us.
            TimeoutError: its turn did not come in time, or that of its fragments.
            UsageError: the text holds surrogates; or fragments of text and bytes are mixed; or this
                thread is in the middle of sending an iterable.
            TypeError: it is neither text nor bytes, nor an iterable of them.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        if not isinstance(message, DATA):
            self._send_fragments(message, compress, deadline)
            return
        with self._lock:
            if self._turns or self._fragmenting is not None or self._unsent is not None:
                self._wait_for_turn(deadline)
            self._core.send(message, compress=compress)
            self._collected += len(message)
            if not self._inbox or not self._collects():
                self._flush()
                if self._unsent is not None:
                    self._wait_until_written(deadline)
                elif self._lost:
                    raise self._closed_error()

    def ping(self, data: bytes = b"", *, timeout: float | None = None) -> float:
        """Sends a Ping and waits for its Pong. Returns the time that took, in seconds.

        Args:
            data: at most 125 bytes, different from those of other Pings under way; random if empty.
            timeout: in seconds; None for no limit.

        Raises:
            ConnectionClosed: the connection is over, or ends before the Pong.
            TimeoutError: the Pong did not come in time.
        """
        payload = bytes(data) or os.urandom(4)
        with self._lock:
            if payload in self._pings:
                raise UsageError("a Ping with this payload is under way")
            self._core.send_ping(payload)
            now = time.monotonic()
            under_way = self._pings[payload] = _UnderWay(now)
            try:
                self._flush()
                self._wait(
                    lambda: self._lost or under_way.latency is not None,
                    None if timeout is None else now + timeout,
                )
            finally:
                if self._pings.get(payload) is under_way:
                    del self._pings[payload]
            if under_way.latency is not None:
                return under_way.latency
            if self._lost:
                raise self._closed_error()
            raise TimeoutError("no Pong in time")

    # Receiving: what the application takes

    def _take(self, deadline: float | None) -> Message | Fragment:
        """Takes the next message, or the next piece of one."""
        if self._receiver is not None:
            raise UsageError(f"thread {self._receiver.name!r} is receiving already")
        inbox = self._inbox
        if not inbox:
            self._wait_for_event(deadline)
        event = inbox[0]
        kind = type(event)
        if kind is not str and kind is not bytes and kind is not Fragment:
            raise self._reach_end()
        inbox.popleft()
        self._busy = True
        if not inbox:
            self._unread = 0
            if self._reading_paused:
                self._resume_reading()
        return cast("Message | Fragment", event)

    def _wait_for_event(self, deadline: float | None) -> None:
        self._busy = False
        self._receiver = threading.current_thread()
        self._took_last = threading.get_ident()
        try:
            if self._collected:
                self._flush()
            if not self._wait(self._has_event, deadline):
                raise TimeoutError("no message in time")
        finally:
            self._receiver = None

    def _has_event(self) -> bool:
        return bool(self._inbox)

    def _reach_end(self) -> ConnectionClosed:
        """Everything before the end has been received: answers it, and returns how it ended."""
        self._busy = False
        if self._core.state is State.CLOSE_RECEIVED:
            self._core.answer_close(time.monotonic())
            self._advance()
        error = self._closed_error()
        error.__cause__ = self._core.fault
        return error

    def _take_piece(self, reader: Pieces, deadline: float | None) -> tuple[Message, bool]:
        with self._lock:
            assembly = self._assembly
            if assembly is None:
                assembly = self._assembly = Assembly(self._take, self._ask_for_pieces)
            return assembly.piece(reader, deadline)

    def _ask_for_pieces(self) -> None:
        if not self._inbox and self._receiver is None:
            assert self._assembly is not None
            self._assembly.expected = True
            here = self._core.stream()
            if here is not None:
                self._inbox.append(here)

    # Receiving: what the core gives

    def _receive_data(self, data: bytes) -> None:
        if self._expands and len(data) > PIECE:
            self._receive_in_pieces(data)
        else:
            self._receive(data)
        self._advance()

    def _receive_in_pieces(self, data: bytes) -> None:
        # A kilobyte can become a megabyte: one read must not fill the queue many times over.
        for start in range(0, len(data), PIECE):
            self._receive(data[start : start + PIECE])
            if self._reading_paused:
                self._held = data[start + PIECE :]
                break

    def _receive(self, data: bytes) -> None:
        core = self._core
        events = core.receive_data(data, time.monotonic())
        self._accept(events)
        # Once closing has begun nothing more is kept, and the end must not wait to be read.
        if self._inbox and core.state is State.OPEN:
            self._unread += sum(map(_size, events)) if self._expands else len(data)
            if not self._reading_paused and self._is_full():
                self._reading_paused = True
                core.pause_reading()

    def _accept(self, events: list[Event]) -> None:
        inbox = self._inbox
        for event in events:
            kind = type(event)
            if kind is str or kind is bytes or kind is Fragment:
                if not self._closing:
                    inbox.append(event)
            elif isinstance(event, Close | Fault):
                inbox.append(event)
                # At once when nothing can be under way; else when the application comes here, or
                # after a grace.
                if len(inbox) == 1 and not self._busy:
                    self._core.answer_close(time.monotonic())
            elif isinstance(event, Pong):
                self._accept_pong(event.payload)
            elif isinstance(event, Closed):
                inbox.append(event)
        if events and self._waiting:
            self._changed.notify_all()

    def _accept_pong(self, payload: bytes) -> None:
        if payload not in self._pings:
            return
        now = time.monotonic()
        # §5.5.3: a Pong may answer "only the most recently processed Ping frame", and those before.
        for earlier in list(self._pings):
            under_way = self._pings.pop(earlier)
            under_way.latency = now - under_way.sent
            if earlier == payload:
                break

    def _is_full(self) -> bool:
        messages, size = self._max_queued_messages, self._max_queued_size
        return (messages is not None and len(self._inbox) >= messages) or (
            size is not None and self._unread >= size
        )

    def _resume_reading(self) -> None:
        self._reading_paused = False
        self._core.resume_reading(time.monotonic())
        if self._held:
            data, self._held = self._held, b""
            self._receive_in_pieces(data)
            self._advance()
        if not self._reads:
            # Somebody may wait who could read now.
            if self._waiting:
                self._changed.notify_all()
            self._expect_visit(ABSENCE)

    # Sending

    def _collects(self) -> bool:
        """Whether what was just sent waits for the replies to other messages of the same read."""
        if self._collected > COLLECT_AT_MOST or self._took_last != threading.get_ident():
            return False
        if not self._flush_soon:
            self._flush_soon = True
            self._expect_visit(COLLECT_FOR)
        return True

    def _send_fragments(
        self, fragments: Iterable[Data], compress: bool | None, deadline: float | None
    ) -> None:
        if isinstance(fragments, Mapping) or not isinstance(fragments, Iterable):
            raise TypeError(
                f"a message is str, bytes or an iterable of them, not {type(fragments).__name__}"
            )
        with self._lock:
            self._wait_for_turn(deadline)
            if not self._core.may_send:
                raise self._closed_error()
            self._fragmenting = threading.get_ident()
        last: Data | None = None
        try:
            for last in fragments:
                self._send_fragment(last, False, compress, deadline)
            if last is not None:
                self._send_fragment("" if isinstance(last, str) else b"", True, None, deadline)
        finally:
            with self._lock:
                self._fragmenting = None
                if self._core.is_mid_message and not self._closing:
                    # The peer would wait for the rest.
                    self._begin_closing(CloseCode.INTERNAL_ERROR)
                self._changed.notify_all()

    def _send_fragment(
        self, fragment: Data, final: bool, compress: bool | None, deadline: float | None
    ) -> None:
        with self._lock:
            self._core.send_fragment(fragment, final=final, compress=compress)
            self._collected += len(fragment)
            self._flush()
            if self._lost:
                raise self._closed_error()
            if self._unsent is not None and not self._wait_until_written(deadline) and not final:
                raise TimeoutError("the message could not be written in time")

    def _wait_for_turn(self, deadline: float | None) -> None:
        if self._fragmenting == threading.get_ident():
            raise UsageError("this thread is in the middle of another message")
        turns = self._turns
        turn = object()
        turns.append(turn)
        try:
            if not self._wait(
                lambda: (
                    not self._core.may_send
                    or (
                        turns[0] is turn
                        and self._fragmenting is None
                        and self._backlog <= self._high_water
                    )
                ),
                deadline,
                to_write=True,
            ):
                raise TimeoutError("another message could not be written in time")
        finally:
            turns.remove(turn)
            if self._waiting:
                self._changed.notify_all()

    def _wait_until_written(self, deadline: float | None) -> bool:
        """Waits until all that was sent so far is written. Returns whether it is, in time."""
        # What was sent after the last batch was taken from the core is in the next one.
        batch = self._batch + (1 if self._collected else 0)
        written = self._wait(
            lambda: self._lost or self._batch > batch or self._unsent is None,
            deadline,
            to_write=True,
        )
        if self._lost:
            raise self._closed_error()
        if not written:
            self._expect_visit(0)
        return written


class _UnderWay:
    """A Ping that waits for its Pong."""

    __slots__ = ("latency", "sent")

    def __init__(self, sent: float) -> None:
        self.sent = sent
        self.latency: float | None = None


def _size(event: Event) -> int:
    if isinstance(event, Fragment):
        return len(event.data)
    return len(event) if isinstance(event, str | bytes) else 0
