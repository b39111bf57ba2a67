"""One end of an open WebSocket of threads: who waits for its socket, and moves the bytes.

What lives here: the meeting of a socket, a `Connection` and the threads that wait. This file does
not know what is received or sent, nor when and how a connection ends.

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
"""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Final

from ..connection import Connection
from ..observer import Observer
from ..state import State
from .attendant import NEVER, Visit, attendant
from .observedlock import ObservedLock
from .stream import Stream

__all__ = ["ABSENCE", "COLLECT_FOR", "Link"]

COLLECT_FOR: Final = 0.001
"""Seconds after which collected replies are written, although the application is still at work."""
ABSENCE: Final = 0.1
"""Seconds without a thread of the application's after which the attendant takes its place."""


class Link:
    """What is the same for receiving and sending."""

    def __init__(self, core: Connection, stream: Stream, observer: Observer | None) -> None:
        self._core = core
        self._stream = stream
        self._observer = observer
        self._fileno = stream.sock.fileno()
        self._high_water = core.limits.write_high_water
        self._lock: Any = threading.Lock() if observer is None else ObservedLock()
        # Of a lock it asks `acquire` and `release` alone.
        self._changed = threading.Condition(self._lock)  # type: ignore[arg-type]
        self._waiting = 0
        self._reading_paused = False
        self._peer_eof = False
        # What was sent and not given to the socket: it is in the core, and behind that here.
        self._collected = 0
        self._unsent: memoryview | None = None
        self._batch = 0
        self._progress_at = 0.0
        # Who waits for the socket.
        self._reads = False
        self._writes = False
        self._at_the_socket = 0
        self._arrivals = 0
        self._lost = False
        # The attendant.
        self.due = NEVER
        self._attended = False
        self._arrivals_seen = 0
        self._flush_soon = False

    # What goes beyond bytes; all that follows is called with the lock held

    @abstractmethod
    def _receive_data(self, data: bytes) -> None:
        """Takes what a read brought, and lets `_advance` do what follows."""

    @abstractmethod
    def _send_waiting(self) -> None:
        """Gives the core what waits until the peer reads, as far as there is room again."""

    @abstractmethod
    def _next_deadline(self) -> float | None:
        """Returns when `_handle_deadline` is to be called, by whoever asks."""

    @abstractmethod
    def _handle_deadline(self, now: float) -> None:
        """Does what is due."""

    @abstractmethod
    def _advance(self) -> None:
        """Writes what is due, and does to TCP what the core asks for."""

    @abstractmethod
    def _lose(self) -> None:
        """Ends TCP, or takes note that it has ended."""

    # Waiting

    def _wait(
        self, done: Callable[[], bool], deadline: float | None, *, to_write: bool = False
    ) -> bool:
        """Waits, and moves bytes meanwhile, where no other thread does.

        Args:
            done: whether what is waited for has come.
            deadline: a time of `time.monotonic`. What is there already is taken even if it is past.
            to_write: whether it comes by writing, or by what other threads that write do. All else
                comes by reading.

        Returns:
            Whether it has come.
        """
        tried = False
        try:
            while not done():
                now = time.monotonic()
                wake_at = self._next_deadline()
                if wake_at is not None and wake_at <= now:
                    self._handle_deadline(now)
                    continue
                if deadline is not None:
                    if deadline <= now and tried:
                        return False
                    wake_at = deadline if wake_at is None else min(wake_at, deadline)
                tried = True
                timeout = None if wake_at is None else max(wake_at - now, 0)
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
            elif self._unsent is not None and not self._writes:
                self._expect_visit(0)
            if not self._reads:
                self._expect_visit(ABSENCE)

    def _wait_for_socket(self, read: bool, write: bool, timeout: float | None) -> None:
        self._reads |= read
        self._writes |= write
        self._at_the_socket += 1
        self._arrivals += 1
        ready = False
        try:
            # In here, since Ctrl-C may come with the release.
            self._lock.release()
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

    def _may_read(self) -> bool:
        return not (self._reading_paused or self._peer_eof or self._lost)

    def _is_lost(self) -> bool:
        return self._lost

    # Reading and writing

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

    def _flush(self) -> None:
        # While bytes wait for the socket everything stays in the core, which keeps one Pong at
        # most; whoever waits to write them goes on with it.
        if self._unsent is not None:
            return
        frames = 0 if self._observer is None else self._core.frames_to_send
        data = self._core.data_to_send()
        self._collected = 0
        if data:
            self._batch += 1
            if self._observer is not None:
                self._observer.sent(self, data, frames)
            self._write(data)

    def _write(self, data: bytes | memoryview) -> None:
        try:
            size = self._stream.send(data)
        except OSError:
            self._unsent = None
            self._read_what_is_left()
            return
        if size == len(data):
            self._unsent = None
        else:
            if size or self._unsent is None:
                self._progress_at = time.monotonic()
            self._unsent = memoryview(data)[size:]

    def _drain(self) -> None:
        """Writes what waits, as far as it goes."""
        while (rest := self._unsent) is not None:
            self._write(rest)
            if self._unsent is not None and len(self._unsent) == len(rest):
                break
            self._send_waiting()
            self._advance()
        if self._waiting:
            self._changed.notify_all()

    def _read_what_is_left(self) -> None:
        """TCP is broken, but why may still be there to read: a Close, for instance."""
        while not self._lost and self._may_read():
            try:
                data = self._stream.recv()
            except OSError:
                break
            if not data:
                break
            self._receive_data(data)
        self._lose()

    @property
    def _backlog(self) -> int:
        """Bytes that wait to be written, about."""
        unsent = self._unsent
        return self._collected + (0 if unsent is None else len(unsent))

    # What the attendant calls, without the lock

    def fileno(self) -> int:
        """The descriptor of the socket."""
        return self._fileno

    def visit(self, now: float, *, ready: bool) -> Visit | None:
        """Does what a thread of the application would do if it was here; for the attendant."""
        with self._lock:
            if self._flush_soon:
                self._flush_soon = bool(self._collected)
                self._flush()
            deadline = self._next_deadline()
            if deadline is not None and deadline <= now:
                self._handle_deadline(now)
            if ready and self._attended:
                read, write = self._left_undone()
                if read:
                    self._read()
                if write:
                    self._drain()
            return None if self._lost else self._plan(now)

    def _plan(self, now: float) -> Visit:
        """Decides when the attendant comes again, and what it waits for until then."""
        read, write = self._left_undone()
        absent = self._arrivals == self._arrivals_seen
        self._arrivals_seen = self._arrivals
        mask = self._stream.needs(read and absent, write)
        self._attended = bool(mask)
        deadline = self._next_deadline()
        due = NEVER if deadline is None else deadline
        if self._flush_soon:
            due = min(due, now + COLLECT_FOR)
        elif read and not absent:
            due = min(due, now + ABSENCE)
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

    def _close_unused(self) -> None:
        # A descriptor that somebody waits for must not be given to another file.
        if not self._at_the_socket and not self._attended:
            self._stream.close()

    def _left_undone(self) -> tuple[bool, bool]:
        """What no thread of the application does: reading, and writing."""
        return not self._reads and self._may_read(), self._unsent is not None and not self._writes

    def _expect_visit(self, delay: float) -> None:
        """Sees to it that the attendant looks in after ``delay`` seconds at the latest."""
        if self._lost:
            return
        when = time.monotonic() + delay
        if when < self.due:
            self._schedule_visit(when)

    def _schedule_visit(self, when: float) -> None:
        self.due = when
        attendant.schedule(self, when)
