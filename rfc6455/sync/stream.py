"""A connected socket that never blocks, with TLS or without.

What lives here: how bytes are read and written without waiting, and how a thread waits until they
can be. An `ssl.SSLSocket` must not be used by two threads at once, and over TLS reading may have to
write and writing to read; so both kinds of socket are driven in the same way: the caller holds its
lock while it calls `recv` and `send`, which do not wait, and releases it to wait. This file does
not know what the bytes mean.
"""

from __future__ import annotations

import math
import select
import selectors
import socket
import ssl
import time
from contextlib import suppress
from typing import Any, Final, Protocol

from ..http import Response
from .nested import NestedTLS

__all__ = ["READ", "WRITE", "Stream"]

READ_SIZE: Final = 65536
"""Bytes of a read at most; over TLS the record of at most 16 KiB always comes whole."""
LONG_READ_SIZE: Final = 1048576
"""The same of a connection that brings `MUCH` at times. Not over TLS, where a record is no more."""
MUCH: Final = 16384

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


_buffers: Final[list[memoryview]] = []
"""For long reads, of all connections: as many as there were at once."""


class Exchange(Protocol):
    """What `ClientHandshake` and `Tunnel` have in common."""

    def request_data(self) -> bytes:
        """Returns the bytes of the request."""

    def receive_data(self, data: bytes) -> Response | None:
        """Takes what a read brought; returns the answer when it has come."""

    def receive_eof(self) -> Response | None:
        """Takes the end of TCP."""


class Stream:
    """A connected socket.

    Args:
        sock: a plain or TLS socket; over TLS the handshake is done.

    Attributes:
        sock: that socket.
        is_tls: whether TLS is between.
        local_address: our address, as the socket gives it.
        remote_address: the peer's.
    """

    __slots__ = (
        "_poll",
        "_poll_mask",
        "_read_needs",
        "_reads_much",
        "_write_needs",
        "is_tls",
        "local_address",
        "remote_address",
        "sock",
    )

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            # Small messages leave at once; what belongs together is written together anyway.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.is_tls = isinstance(sock, ssl.SSLSocket | NestedTLS)
        self.local_address: Any = sock.getsockname()
        self.remote_address: Any = sock.getpeername()
        self._read_needs = READ
        self._reads_much = False
        self._write_needs = WRITE
        self._poll = _Poll(sock)
        self._poll_mask = 0

    def recv(self) -> bytes | None:
        """Reads what is there: None when that is nothing, ``b""`` at the end.

        Raises:
            OSError: the connection is lost.
        """
        try:
            data = _recv_much(self.sock) if self._reads_much else self.sock.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return None
        except ssl.SSLWantReadError:
            self._read_needs = READ
            return None
        except ssl.SSLWantWriteError:
            self._read_needs = WRITE
            return None
        self._read_needs = READ
        if len(data) > MUCH and not self.is_tls:
            self._reads_much = True
        return data

    def send(self, data: bytes | memoryview) -> int:
        """Writes as much as goes without waiting. Returns how many bytes that was.

        Over TLS, what was not written must come first in the next call.

        Raises:
            OSError: the connection is lost.
        """
        try:
            size = self.sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except ssl.SSLWantWriteError:
            self._write_needs = WRITE
            return 0
        except ssl.SSLWantReadError:
            self._write_needs = READ
            return 0
        self._write_needs = WRITE
        return size

    def needs(self, read: bool, write: bool) -> int:
        """Returns what to wait for, as a mask of `selectors`, in order to read or to write."""
        return (self._read_needs if read else 0) | (self._write_needs if write else 0)

    def wait(self, read: bool, write: bool, timeout: float | None) -> bool:
        """Waits until reading or writing is worth a try.

        To be called by one thread at a time with ``read``, and by one without.

        Args:
            read: whether to wait for the first.
            write: whether to wait for the second.
            timeout: in seconds.

        Returns:
            Whether the time has not run out.
        """
        mask = self.needs(read, write)
        if not read:
            poll = _Poll(self.sock)
            poll.watch(mask)
            return poll.wait(timeout)
        if self.is_tls and self.sock.pending():  # type: ignore[attr-defined]
            return True
        if mask != self._poll_mask:
            self._poll.watch(mask)
            self._poll_mask = mask
        return self._poll.wait(timeout)

    def read_before(self, deadline: float | None) -> bytes:
        """Waits for bytes and reads them, for a single thread; ``b""`` at the end.

        Raises:
            OSError: the connection is lost.
            TimeoutError: nothing came before ``deadline``, a time of `time.monotonic`.
        """
        while (data := self.recv()) is None:
            self._wait_before(deadline, read=True)
        return data

    def write_before(self, deadline: float | None, data: bytes) -> None:
        """Writes all of ``data``, for a single thread. Raises as `read_before` does."""
        rest = memoryview(data)
        while rest:
            size = self.send(rest)
            rest = rest[size:]
            if not size:
                self._wait_before(deadline, read=False)

    def exchange(self, exchange: Exchange, deadline: float | None) -> Response:
        """Sends a request and waits for the answer, for a single thread. Raises as they do."""
        self.write_before(deadline, exchange.request_data())
        response: Response | None = None
        while response is None:
            data = self.read_before(deadline)
            response = exchange.receive_data(data) if data else exchange.receive_eof()
        return response

    def _wait_before(self, deadline: float | None, *, read: bool) -> None:
        timeout = None if deadline is None else deadline - time.monotonic()
        if timeout is not None and timeout <= 0:
            raise TimeoutError("the peer did not answer in time")
        self.wait(read, not read, timeout)

    def end(self) -> None:
        """Ends our side of TCP; the peer's may go on. Not for TLS."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def stop(self) -> None:
        """Ends both sides, which wakes whoever waits; the descriptor stays valid for them."""
        if self.is_tls:
            # Tells the peer that nothing was cut off, as far as that goes without waiting.
            with suppress(OSError, ValueError):
                self.sock.unwrap()  # type: ignore[attr-defined]
        with suppress(OSError):
            # SSLSocket.shutdown would go on in plain text.
            socket.socket.shutdown(getattr(self.sock, "outer", self.sock), socket.SHUT_RDWR)

    def close(self) -> None:
        """Gives the descriptor back; nobody may be waiting for it."""
        self.sock.close()


def _recv_much(sock: socket.socket) -> bytes:
    # What `recv` makes room for is given back to the system each time, page by page.
    try:
        buffer = _buffers.pop()
    except IndexError:
        buffer = memoryview(bytearray(LONG_READ_SIZE))
    try:
        return buffer[: sock.recv_into(buffer)].tobytes()
    finally:
        _buffers.append(buffer)


if hasattr(select, "poll"):

    class _Poll:
        """Waits for one socket."""

        __slots__ = ("_fileno", "_poll")

        def __init__(self, sock: socket.socket) -> None:
            self._fileno = sock.fileno()
            self._poll = select.poll()

        def watch(self, mask: int) -> None:
            events = (select.POLLIN if mask & READ else 0) | (select.POLLOUT if mask & WRITE else 0)
            self._poll.register(self._fileno, events)

        def wait(self, timeout: float | None) -> bool:
            # In milliseconds, and not too early. More than a C int holds is as good as a day.
            limit = None if timeout is None else min(math.ceil(timeout * 1000), 86_400_000)
            return bool(self._poll.poll(limit))

else:  # pragma: no cover - Windows

    class _Poll:  # type: ignore[no-redef]
        """Waits for one socket."""

        __slots__ = ("_mask", "_sock")

        def __init__(self, sock: socket.socket) -> None:
            self._sock = sock
            self._mask = 0

        def watch(self, mask: int) -> None:
            self._mask = mask

        def wait(self, timeout: float | None) -> bool:
            sock = [self._sock]
            reading = sock if self._mask & READ else []
            writing = sock if self._mask & WRITE else []
            return any(select.select(reading, writing, sock, timeout))
