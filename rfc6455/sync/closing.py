"""The life of an open WebSocket of threads: how it stands, how it ends, and what is due meanwhile.

What lives here: closing, and time. This file does not know who waits for the socket, nor what is
received or sent.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import Any, Self

from ..close import CloseCode
from ..connection import Connection, TransportAction
from ..errors import ConnectionClosed, connection_closed
from ..events import Event
from ..observer import Observer
from ..state import State
from .link import ABSENCE, Link
from .stream import Stream

__all__ = ["Closing"]


class Closing(Link):
    """A link that is closed, by us or by the peer, in time."""

    def __init__(self, core: Connection, stream: Stream, observer: Observer | None) -> None:
        super().__init__(core, stream, observer)
        self._closing = False
        self._eof_sent = False

    # What an application sees

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.state.value} {self.remote_address}>"

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self._core.state

    @property
    def is_over(self) -> bool:
        """Whether TCP has ended."""
        return self._lost

    @property
    def close_code(self) -> int | None:
        """The close code of RFC 6455 §7.1.5, 1005 and 1006 included; None while it is not over."""
        # Without the lock, which is held when an observer asks.
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

    def set_max_message_size(self, size: int | None) -> None:
        """Changes `Limits.max_message_size`, from the next frame on.

        For a peer that is trusted with more once it has told who it is.

        Args:
            size: in bytes, after decompression; None for no limit.
        """
        with self._lock:
            self._core.set_max_message_size(size)

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

    def start_close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Starts the closing handshake, without waiting for its end. Raises as `close` does."""
        with self._lock:
            self._begin_closing(code, reason)

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

    # Who takes what comes

    @abstractmethod
    def _accept(self, events: list[Event]) -> None:
        """Takes events of the core."""

    @abstractmethod
    def _resume_reading(self) -> None:
        """Reads again, after a pause."""

    # Inside; all that follows is called with the lock held

    def _closed_error(self) -> ConnectionClosed:
        return connection_closed(self._core.close_received, self._core.close_sent)

    def _begin_closing(self, code: int, reason: str = "") -> None:
        self._core.close(code, reason, time.monotonic())
        self._closing = True
        if self._reading_paused:
            self._resume_reading()
        self._advance()

    def _next_deadline(self) -> float | None:
        """Returns when `_handle_deadline` is to be called, by whoever asks."""
        stalls_at = self._stalls_at()
        if self._reads and self._core.state is State.OPEN:
            # Who reads sees to keepalive: it knows first whether the peer shows life.
            return stalls_at
        deadline = self._core.next_deadline()
        if deadline is None or stalls_at is None:
            return stalls_at if deadline is None else deadline
        return min(deadline, stalls_at)

    def _stalls_at(self) -> float | None:
        """Returns when a peer has taken nothing for too long."""
        timeout = self._core.limits.write_timeout
        if self._unsent is None or timeout is None or self._backlog <= self._high_water:
            return None
        return self._progress_at + timeout

    def _handle_deadline(self, now: float) -> None:
        # Where this process was held up, the peer may have done its part in the meantime.
        read, write = self._left_undone()
        if read:
            self._read()
        if write:
            self._drain()
        deadline = self._core.next_deadline()
        if deadline is not None and deadline <= now:
            self._accept(self._core.handle_deadline(now))
            self._advance()
        stalls_at = self._stalls_at()
        if stalls_at is not None and stalls_at <= now:
            self._lose()

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
        # Who waits for a turn to send waits in vain from some point on.
        if self._waiting:
            self._changed.notify_all()
        self._expect_visit(ABSENCE)

    def _lose(self) -> None:
        """Ends TCP, or takes note that it has ended."""
        if self._lost:
            return
        self._lost = True
        try:
            self._accept(self._core.receive_eof())
        finally:
            # Whatever an observer makes of it.
            self._unsent = None
            self._stream.stop()
            self._close_unused()
            if self._waiting:
                self._changed.notify_all()
            self._schedule_visit(0.0)
