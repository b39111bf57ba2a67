"""The receiving half of an open WebSocket of threads, whoever takes the messages.

What lives here: the queue of received messages, Pings under way, and what is told to observers and
to the budget. This file does not know who takes the messages, nor who waits for the socket.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import Final

from ..budget import PROCESS_BUDGET, MemoryBudget
from ..close import Close
from ..connection import Connection
from ..errors import ConnectionClosed, UsageError
from ..events import Closed, Event, Fault, Fragment, Message, Pong
from ..http import Request, Response
from ..observer import Observer
from ..state import State
from .attendant import attendant
from .link import ABSENCE
from .outgoing import Outgoing
from .stream import Stream

__all__ = ["Endpoint"]

PIECE: Final = 4 * 1024
"""Bytes that are taken at a time where an extension may make much more of them."""


class Endpoint(Outgoing):
    """What `WebSocket` and the connection of a `Listener` have in common.

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
        budget: MemoryBudget = PROCESS_BUDGET,
        observer: Observer | None = None,
    ) -> None:
        super().__init__(core, stream, observer)
        self.request = request
        self.response = response
        self.subprotocol = subprotocol
        limits = core.limits
        self._max_queued_messages = limits.max_queued_messages
        self._max_queued_size = limits.max_queued_size
        self._budget = budget
        self._charged = 0
        self._inbox: deque[Event] = deque()
        self._unread = 0
        self._expands = bool(core.extensions)
        self._held = b""
        self._busy = False
        self._receiver: threading.Thread | None = None
        self._pings: dict[bytes, _UnderWay] = {}
        with self._lock:
            if observer is not None:
                observer.opened(self, core)
            if trailing_data:
                self._receive_data(trailing_data)
            self._expect_visit(ABSENCE)

    # What an application sees

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

    @property
    def waiting_messages(self) -> int:
        """Messages that were received and wait for the application."""
        return len(self._inbox)

    def give_way(self) -> None:
        """Ends the connection with 1013, so that others have room; see `MemoryBudget`."""
        # Not here: whoever brought this about holds the lock of another connection, or this one.
        attendant.schedule(_GivingWay(self), 0.0)

    def _give_way(self) -> None:
        with self._lock:
            self._accept(self._core.give_way(time.monotonic()))
            self._advance()

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
        return event  # type: ignore[return-value]

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
        if self._observer is not None:
            self._observer.received(self, data, events, core.count_frames(events))
        if core.incomplete_size != self._charged:
            self._charged = core.incomplete_size
            self._budget.charge(self, self._charged)
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
                if self._observer is not None and isinstance(event, Fault):
                    self._observer.fault(self, event.error)
                # At once when nothing can be under way; else when the application comes here, or
                # after a grace.
                if len(inbox) == 1 and not self._busy:
                    self._core.answer_close(time.monotonic())
            elif isinstance(event, Pong):
                self._accept_pong(event.payload)
            elif isinstance(event, Closed):
                inbox.append(event)
                if self._observer is not None:
                    self._observer.closed(self, event.code)
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
            if self._observer is not None:
                self._observer.latency(self, under_way.latency)
            if earlier == payload:
                break

    def _is_full(self) -> bool:
        messages, size = self._max_queued_messages, self._max_queued_size
        return (messages is not None and len(self._inbox) >= messages) or (
            size is not None and self._unread >= size
        )

    def _more_to_answer(self) -> bool:
        return bool(self._inbox)

    def _lose(self) -> None:
        self._budget.charge(self, 0)
        super()._lose()

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


class _GivingWay:
    """An errand for the attendant, which holds no lock: to let a connection go."""

    __slots__ = ("_endpoint", "due")

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.due = 0.0

    def fileno(self) -> int:
        return -1

    def visit(self, now: float, *, ready: bool) -> None:
        self._endpoint._give_way()

    def left(self) -> None:
        pass


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
