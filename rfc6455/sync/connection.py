"""An open connection for threads: bytes to the core and back, a queue, and back-pressure.

What lives here: the meeting of a socket, a `Connection` and the threads that receive and send. This
file does not know about frames, nor how the opening handshake went.

Whoever waits, moves the bytes. There is no thread beside the application's that reads: a thread
that calls `recv` and finds nothing waits for the socket itself, reads what comes, and lets the core
answer Pings and closes. So a message costs no change of threads. The same goes for a thread that
waits for a Pong, for the end, or for the peer to read what was sent. Three rules make that safe:

- Whatever is touched is touched under one lock, the socket included, which never blocks; the lock
  is released to wait.
- One thread at a time waits to read, and one to write; the others wait for them, and take over when
  they leave. A thread waits for the socket only when what it wants can come by no other way.
- While no thread of the application is here, the process's `attendant` is: it looks in after a
  tenth of a second, and stays until one comes back. RFC 6455 §5.5.2 wants a Ping answered "as soon
  as is practical", however busy the application is; keepalive, the closing handshake and a peer
  that has gone need attention too. Two threads that both want each message as it comes would cost
  more than the message.

Replies to messages that came in one read leave together, as with asyncio: until the last of them,
or 64 KiB, or a millisecond.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Self, TypeAlias, cast

from ..close import Close, CloseCode
from ..connection import Connection, TransportAction
from ..errors import ConnectionClosed, ConnectionClosedOK, UsageError, connection_closed
from ..events import Closed, Event, Fault, Message, Pong
from ..http import Request, Response
from ..state import State
from .attendant import NEVER, Visit, attendant
from .stream import Stream

__all__ = ["WebSocket"]

Data: TypeAlias = str | bytes | bytearray | memoryview

COLLECT_AT_MOST: Final = 64 * 1024
"""Bytes that replies may add up to before they are written in the middle of a batch."""
COLLECT_FOR: Final = 0.001
"""Seconds after which they are written even so, although the application is still at work."""
ABSENCE: Final = 0.1
"""Seconds without a thread of the application's after which the attendant takes its place."""
PIECE: Final = 4 * 1024
"""Bytes that are taken at a time where an extension may make much more of them."""


class WebSocket:
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
        self.request = request
        self.response = response
        self.subprotocol = subprotocol
        self._core = core
        self._stream = stream
        self._fileno = stream.sock.fileno()
        limits = core.limits
        self._max_queued_messages = limits.max_queued_messages
        self._max_queued_size = limits.max_queued_size
        self._high_water = limits.write_high_water
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting = 0
        # Receiving
        self._inbox: deque[Event] = deque()
        self._unread = 0
        self._expands = bool(core.extensions)
        self._held = b""
        self._busy = False
        self._reading_paused = False
        self._peer_eof = False
        self._receiver: threading.Thread | None = None
        self._took_last = 0
        # Sending
        self._collected = 0
        self._unsent: memoryview | None = None
        self._batch = 0
        self._turns: deque[object] = deque()
        self._fragmenting: int | None = None
        self._unfinished = False
        self._pings: dict[bytes, _UnderWay] = {}
        # The socket, and who waits for it
        self._reads = False
        self._writes = False
        self._at_the_socket = 0
        self._arrivals = 0
        self._closing = False
        self._eof_sent = False
        self._lost = False
        # The attendant
        self.due = NEVER
        self._attended = False
        self._arrivals_seen = 0
        self._flush_soon = False
        with self._lock:
            if trailing_data:
                self._receive_data(trailing_data)
            self._expect_visit(ABSENCE)

    # What an application sees

    def __repr__(self) -> str:
        return f"<WebSocket {self.state.value} {self.remote_address}>"

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self._core.state

    @property
    def close_code(self) -> int | None:
        """The close code of RFC 6455 §7.1.5, 1005 and 1006 included; None while it is not over."""
        with self._lock:
            if self._core.state is State.CLOSED or self._core.close_received is not None:
                return self._closed_error().code
            return None

    @property
    def close_reason(self) -> str:
        """The close reason of §7.1.6; empty while there is none."""
        return self._closed_error().reason

    @property
    def remote_address(self) -> Any:
        """The peer's address, as the socket gives it."""
        return self._stream.remote_address

    @property
    def local_address(self) -> Any:
        """Our own address, as the socket gives it."""
        return self._stream.local_address

    def recv(self, timeout: float | None = None) -> Message:
        """Receives the next message: `str` for text, `bytes` for binary.

        Args:
            timeout: in seconds; None for no limit, 0 for what has arrived.

        Raises:
            ConnectionClosed: nothing more will come; every message before has been received.
            TimeoutError: no message came in time. None is lost.
            UsageError: another thread is receiving already.
        """
        with self._lock:
            if self._receiver is not None:
                raise UsageError(f"thread {self._receiver.name!r} is receiving already")
            inbox = self._inbox
            if not inbox:
                self._wait_for_event(timeout)
            event = inbox[0]
            kind = type(event)
            if kind is not str and kind is not bytes:
                raise self._reach_end()
            inbox.popleft()
            self._busy = True
            if not inbox:
                self._unread = 0
                if self._reading_paused:
                    self._resume_reading()
            return cast("Message", event)

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
        message: Data | Iterable[Data],
        *,
        compress: bool | None = None,
        timeout: float | None = None,
    ) -> None:
        """Sends a message: text for `str`, binary for the other types.

        Waits while the peer is so slow that more than `Limits.write_high_water` bytes wait to be
        written, or while another thread sends the fragments of a message; then until the system has
        taken the message. Messages of several threads follow each other whole.

        Args:
            message: the message; or an iterable of its fragments (§5.4), each of which leaves as
                soon as it is made. An iterable that is empty sends nothing.
            compress: whether it is compressed, where the peer agreed to that; None lets the
                extension decide by its size.
            timeout: in seconds; None for no limit. A message that has begun to be written when the
                time is over is written to its end by and by. One of which fragments have still to
                come cannot be: the connection is closed with 1011.

        Raises:
            ConnectionClosed: the connection is over, or is being closed by us.
            TimeoutError: its turn did not come in time; nothing of the message was sent, or the
                connection is being closed with 1011.
            TypeError: it is neither text nor bytes.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        if not isinstance(message, str | bytes | bytearray | memoryview):
            self._send_fragments(message, compress, deadline)
            return
        with self._lock:
            if self._turns or self._fragmenting is not None or self._unsent is not None:
                self._wait_for_turn(deadline)
            self._send(message, True, compress)
            if not self._collects():
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

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Runs the closing handshake (§7.1.2) and waits for its end.

        Messages that arrive from here on are thrown away; those that have arrived can still be
        received. Takes at most `Limits.close_timeout`, then TCP is dropped. Safe to call again.

        Raises:
            UsageError: the code must not travel, or the reason is over 123 bytes. Nothing was sent.
        """
        with self._lock:
            self._begin_closing(code, reason)
            self._wait(self._is_lost, None)

    def set_max_message_size(self, size: int | None) -> None:
        """Changes `Limits.max_message_size`, from the next frame on.

        For a peer that is trusted with more once it has told who it is.

        Args:
            size: in bytes, after decompression; None for no limit.
        """
        with self._lock:
            self._core.set_max_message_size(size)

    def wait_closed(self, timeout: float | None = None) -> None:
        """Waits until TCP has ended.

        Args:
            timeout: in seconds; None for no limit.

        Raises:
            TimeoutError: it has not ended in time.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            if not self._wait(self._is_lost, deadline):
                raise TimeoutError("the connection has not ended in time")

    def abort(self) -> None:
        """Drops TCP at once; the peer sees 1006."""
        with self._lock:
            self._lose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        failed = exc_type is not None and not issubclass(exc_type, ConnectionClosed)
        self.close(CloseCode.INTERNAL_ERROR if failed else CloseCode.NORMAL_CLOSURE)

    # What a server calls

    @property
    def is_over(self) -> bool:
        """Whether TCP has ended."""
        return self._lost

    def leave(self, farewell: Close) -> None:
        """Does what `close` does, but does not wait for the end."""
        with self._lock:
            self._begin_closing(farewell.code, farewell.reason)

    # Receiving

    def _wait_for_event(self, timeout: float | None) -> None:
        self._busy = False
        self._receiver = threading.current_thread()
        self._took_last = threading.get_ident()
        try:
            if self._collected:
                self._flush()
            deadline = None if timeout is None else time.monotonic() + timeout
            if not self._wait(self._has_event, deadline):
                raise TimeoutError("no message in time")
        finally:
            self._receiver = None

    def _has_event(self) -> bool:
        return bool(self._inbox)

    def _read(self) -> None:
        try:
            data = self._stream.recv()
        except OSError:
            self._lose()
            return
        if data:
            self._receive_data(data)
        elif data is not None:
            self._peer_eof = True
            # The peer that has said all, in good order, may still be reading: answer what it said.
            if self._core.state is not State.CLOSE_RECEIVED or self._stream.is_tls:
                self._lose()

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
            self._unread += (
                sum(len(e) for e in events if isinstance(e, str | bytes))
                if self._expands
                else len(data)
            )
            if not self._reading_paused and self._is_full():
                self._reading_paused = True
                core.pause_reading()

    def _accept(self, events: list[Event]) -> None:
        inbox = self._inbox
        for event in events:
            kind = type(event)
            if kind is str or kind is bytes:
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

    def _reach_end(self) -> ConnectionClosed:
        """Everything before the end has been received: answers it, and returns how it ended."""
        self._busy = False
        if self._core.state is State.CLOSE_RECEIVED:
            self._core.answer_close(time.monotonic())
            self._advance()
        error = self._closed_error()
        error.__cause__ = self._core.fault
        return error

    def _closed_error(self) -> ConnectionClosed:
        return connection_closed(self._core.close_received, self._core.close_sent)

    # Sending

    def _send(self, message: Data, final: bool, compress: bool | None) -> None:
        if isinstance(message, str):
            self._core.send_text(message, final=final, compress=compress)
        elif isinstance(message, bytes | bytearray | memoryview):
            self._core.send_binary(message, final=final, compress=compress)
        else:
            raise TypeError(f"a message is str or bytes, not {type(message).__name__}")
        self._collected += len(message)

    def _collects(self) -> bool:
        """Whether what was just sent waits for the replies to other messages of the same read."""
        if (
            not self._inbox
            or self._collected > COLLECT_AT_MOST
            or self._took_last != threading.get_ident()
        ):
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
            self._fragmenting = threading.get_ident()
        empty: str | bytes | None = None
        try:
            for fragment in fragments:
                self._send_fragment(fragment, False, compress, deadline)
                empty = "" if isinstance(fragment, str) else b""
            if empty is not None:
                self._send_fragment(empty, True, compress, deadline)
        finally:
            with self._lock:
                self._fragmenting = None
                self._changed.notify_all()
                if self._unfinished and not self._closing:
                    # The peer would wait for the rest.
                    self._begin_closing(CloseCode.INTERNAL_ERROR)

    def _send_fragment(
        self, fragment: Data, final: bool, compress: bool | None, deadline: float | None
    ) -> None:
        with self._lock:
            self._send(fragment, final, compress)
            self._unfinished = not final
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
                    self._lost
                    or (
                        turns[0] is turn
                        and self._fragmenting is None
                        and self._collected + len(self._unsent or b"") <= self._high_water
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

    def _flush(self) -> None:
        # While bytes wait for the socket everything stays in the core, which keeps one Pong at
        # most; whoever waits to write them goes on with it.
        if self._unsent is not None:
            return
        data = self._core.data_to_send()
        self._collected = 0
        if data:
            self._batch += 1
            self._write(data)

    def _write(self, data: bytes | memoryview) -> None:
        try:
            size = self._stream.send(data)
        except OSError:
            self._unsent = None
            self._read_what_is_left()
            return
        self._unsent = None if size == len(data) else memoryview(data)[size:]

    def _drain(self) -> None:
        """Writes what waits, as far as it goes."""
        while (rest := self._unsent) is not None:
            self._write(rest)
            if self._unsent is not None and len(self._unsent) == len(rest):
                break
            self._advance()
        if self._waiting:
            self._changed.notify_all()

    def _read_what_is_left(self) -> None:
        """TCP is broken, but why may still be there to read: a Close, for instance."""
        while not self._lost and not self._reading_paused:
            try:
                data = self._stream.recv()
            except OSError:
                break
            if not data:
                break
            self._receive(data)
        self._lose()

    # Waiting

    def _is_lost(self) -> bool:
        return self._lost

    def _wait(
        self, done: Callable[[], bool], deadline: float | None, *, to_write: bool = False
    ) -> bool:
        """Waits, and moves bytes meanwhile, where no other thread does.

        Args:
            done: whether what is waited for has come; called with the lock held.
            deadline: a time of `time.monotonic`.
            to_write: whether it comes by writing, or by what other threads that write do. All else
                comes by reading.

        Returns:
            Whether it has come.
        """
        tried = False
        try:
            while not done():
                now = time.monotonic()
                wake_at = self._core.next_deadline()
                if wake_at is not None and wake_at <= now:
                    self._handle_deadline(now)
                    continue
                if deadline is not None:
                    if deadline <= now and tried:
                        return False
                    wake_at = deadline if wake_at is None else min(wake_at, deadline)
                timeout = None if wake_at is None else max(wake_at - now, 0)
                tried = True
                write = self._unsent is not None and not self._writes
                read = not self._reads and self._may_read() and (write or not to_write)
                if read or write:
                    self._wait_for_socket(read, write, timeout)
                else:
                    self._waiting += 1
                    try:
                        self._changed.wait(timeout)
                    finally:
                        self._waiting -= 1
            return True
        finally:
            # Those who waited for this thread to read or write do it themselves now.
            if self._waiting:
                self._changed.notify_all()
            if self.due == NEVER and not self._reads:
                self._expect_visit(ABSENCE)

    def _may_read(self) -> bool:
        return not (self._reading_paused or self._peer_eof or self._lost)

    def _wait_for_socket(self, read: bool, write: bool, timeout: float | None) -> None:
        self._reads |= read
        self._writes |= write
        self._at_the_socket += 1
        self._arrivals += 1
        ready = False
        self._lock.release()
        try:
            ready = self._stream.wait(read, write, timeout)
        finally:
            self._lock.acquire()
            self._at_the_socket -= 1
            if read:
                self._reads = False
            if write:
                self._writes = False
            if self._lost:
                self._close_unused()
        if not ready or self._lost:
            return
        if read:
            self._read()
        if write:
            self._drain()

    # Closing and time

    def _begin_closing(self, code: int, reason: str = "") -> None:
        self._core.close(code, reason, time.monotonic())
        self._closing = True
        if self._reading_paused:
            self._resume_reading()
        self._advance()

    def _handle_deadline(self, now: float) -> None:
        self._accept(self._core.handle_deadline(now))
        self._advance()

    def _advance(self) -> None:
        """Writes what is due, and does to TCP what the core asks for."""
        self._flush()
        core = self._core
        if core.state is State.OPEN or self._lost:
            return
        action = core.transport_action
        if action is TransportAction.ABORT:
            self._lose()
        elif core.state is State.CLOSE_EXCHANGED and self._unsent is None:
            half = action is TransportAction.HALF_CLOSE
            if action is TransportAction.CLOSE or self._peer_eof or (half and self._stream.is_tls):
                self._lose()
            elif half and not self._eof_sent:
                self._eof_sent = True
                self._stream.end()
        self._expect_visit(ABSENCE)

    def _lose(self) -> None:
        """Ends TCP, or takes note that it has ended."""
        if self._lost:
            return
        self._lost = True
        self._accept(self._core.receive_eof())
        self._unsent = None
        self._held = b""
        self._stream.stop()
        self._close_unused()
        if self._waiting:
            self._changed.notify_all()
        self.due = 0.0
        attendant.schedule(self, 0.0)

    def _close_unused(self) -> None:
        # A descriptor that somebody waits for must not be given to another file.
        if not self._at_the_socket and not self._attended:
            self._stream.close()

    # What the attendant calls

    def _expect_visit(self, delay: float) -> None:
        """Sees to it that the attendant looks in after ``delay`` seconds at the latest."""
        if self._lost:
            return
        when = time.monotonic() + delay
        if when < self.due:
            self.due = when
            attendant.schedule(self, when)

    def fileno(self) -> int:
        """The descriptor of the socket."""
        return self._fileno

    def visit(self, now: float, *, ready: bool) -> Visit | None:
        """Does what a thread of the application would do if it was here; for the attendant."""
        with self._lock:
            if self._flush_soon:
                self._flush_soon = bool(self._collected)
                self._flush()
            deadline = self._core.next_deadline()
            if deadline is not None and deadline <= now:
                self._handle_deadline(now)
            read, write = self._left_undone()
            if ready and self._attended:
                if read:
                    self._read()
                if write:
                    self._drain()
                read, write = self._left_undone()
            if self._lost:
                return None
            absent = self._arrivals == self._arrivals_seen
            self._arrivals_seen = self._arrivals
            mask = self._stream.needs(read and absent, write)
            self._attended = bool(mask)
            if self._flush_soon:
                due = now + COLLECT_FOR
            elif read and not absent:
                due = now + ABSENCE
            else:
                deadline = self._core.next_deadline()
                # A thread that reads sees to keepalive, but may not know that closing has begun.
                watched = self._reads and self._core.state is State.OPEN
                due = NEVER if deadline is None or watched else deadline
            # An early visit does no harm; a pile of stale ones would.
            if now < self.due <= due:
                return Visit(mask, None)
            self.due = due
            return Visit(mask, due)

    def left(self) -> None:
        """Takes note that the attendant does not wait for the socket any more."""
        with self._lock:
            self._attended = False
            self._lose()
            self._close_unused()

    def _left_undone(self) -> tuple[bool, bool]:
        """What no thread of the application does: reading, and writing."""
        read = not self._reads and self._may_read()
        return read, self._unsent is not None and not self._writes


class _UnderWay:
    """A Ping that waits for its Pong."""

    __slots__ = ("latency", "sent")

    def __init__(self, sent: float) -> None:
        self.sent = sent
        self.latency: float | None = None
