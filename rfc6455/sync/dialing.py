"""TCP for a client: from a name to a connected socket.

What lives here: looking names up, waiting for a turn at an address (RFC 6455 §4.1), happy eyeballs
(RFC 8305), TLS, and Unix domain sockets, all within one time limit. This file does not know what
travels over a socket.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, cast
from weakref import WeakValueDictionary

from ..way import Address, Place, interleave
from .nested import NestedTLS

__all__ = ["open_socket", "open_unix_socket", "remaining", "resolve", "start_tls", "turn"]


def remaining(deadline: float | None) -> float | None:
    """Returns the seconds up to ``deadline``, a time of `time.monotonic`.

    Raises:
        TimeoutError: there are none.
    """
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the connection was not opened in time")
    return left


def resolve(host: str, port: int) -> list[Address]:
    """Looks a name up. Nothing can interrupt that.

    Raises:
        OSError: it has no address.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [Address(family, sockaddr) for family, _, _, _, sockaddr in found]


# Turns

_locks: Final[WeakValueDictionary[Place, threading.Lock]] = WeakValueDictionary()
_guard: Final = threading.Lock()


@contextlib.contextmanager
def turn(places: Iterable[Place], deadline: float | None) -> Iterator[float | None]:
    """Waits until no other thread is connecting to any of the places.

    Yields:
        The deadline, later by the wait: it is for the server, and the wait is our own doing. Each
        of those who come first has a deadline too.
    """
    # RFC 6455 §4.1: "If multiple connections to the same IP address are attempted simultaneously,
    # the client MUST serialize them so that there is no more than one connection at a time running
    # through the following steps."
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        # All take them in the same order: nobody waits for somebody who waits for them.
        for place in sorted(set(places)):
            with _guard:
                lock = _locks.setdefault(place, threading.Lock())
            stack.enter_context(lock)
        yield None if deadline is None else deadline + time.monotonic() - began


# Happy eyeballs


def open_socket(
    addresses: Sequence[Address],
    deadline: float | None,
    *,
    local_addr: Place | None = None,
    delay: float | None = 0.25,
) -> socket.socket:
    """Connects to one of several addresses of a host.

    Args:
        addresses: in the order in which they are tried, except that families take turns.
        deadline: a time of `time.monotonic`.
        local_addr: where to connect from.
        delay: how long an attempt is alone before the next one starts, in seconds; None lets each
            fail first.

    Raises:
        OSError: of the first attempt; those of the others are noted in it.
        TimeoutError: none had come to an end at the deadline.
    """
    local = [] if local_addr is None else resolve(*local_addr)
    waiting = deque(interleave(addresses))
    errors: list[OSError] = []
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as attempts:
        while waiting or len(selector.get_map()):
            if waiting:
                address = waiting.popleft()
                try:
                    sock = attempts.enter_context(_attempt(address, local))
                except OSError as error:
                    errors.append(error)
                    continue
                selector.register(sock, selectors.EVENT_WRITE, address)
            patience = remaining(deadline)
            if waiting and delay is not None:
                patience = delay if patience is None else min(patience, delay)
            for key, _ in selector.select(patience):
                sock = cast("socket.socket", key.fileobj)
                selector.unregister(sock)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not code:
                    # The others are closed; this one is the caller's from here on.
                    return socket.socket(fileno=sock.detach())
                errors.append(OSError(code, f"{os.strerror(code)}: {key.data.place}"))
    first, *others = errors
    for other in others:
        first.add_note(f"and: {other}")
    raise first


def _attempt(address: Address, local: Sequence[Address]) -> socket.socket:
    """Starts to connect."""
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if local:
            sources = [source for source in local if source.family == address.family]
            if not sources:
                raise OSError(f"no local address from which to connect to {address.place[0]}")
            sock.bind(sources[0].sockaddr)
        with contextlib.suppress(BlockingIOError):
            sock.connect(address.sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


# Unix domain sockets


def open_unix_socket(path: str | os.PathLike[str], deadline: float | None) -> socket.socket:
    """Connects to a Unix domain socket."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Where the server's backlog is full it waits for its turn.
        sock.settimeout(remaining(deadline))
        sock.connect(os.fspath(path))
    except BaseException:
        sock.close()
        raise
    return sock


# TLS


def start_tls(
    sock: socket.socket, context: ssl.SSLContext, server_hostname: str, deadline: float | None
) -> socket.socket:
    """Runs the handshake of TLS. The socket is closed when it fails.

    Raises:
        ssl.SSLError: it failed, for instance because the certificate is not valid.
        TimeoutError: it was not done before the deadline.
    """
    try:
        # For all of the handshake, not for each read: a peer that drips wins no time.
        sock.settimeout(remaining(deadline))
        if isinstance(sock, ssl.SSLSocket):
            nested = NestedTLS(sock, context, server_hostname)
            nested.do_handshake()
            return nested  # type: ignore[return-value]
        secure = context.wrap_socket(
            sock, server_hostname=server_hostname, do_handshake_on_connect=False
        )
    except BaseException:
        sock.close()
        raise
    try:
        secure.do_handshake()
    except BaseException:
        secure.close()
        raise
    return secure
