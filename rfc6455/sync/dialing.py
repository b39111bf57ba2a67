"""Opening TCP to a host that may have several addresses (RFC 8305, "Happy Eyeballs").

What lives here: attempts that overlap, so that an address that does not answer costs a quarter of a
second and not a timeout. This file does not know what the connection is for.
"""

from __future__ import annotations

import errno
import itertools
import os
import selectors
import socket
import time
from contextlib import suppress
from typing import Any, Final

__all__ = ["dial"]

STAGGER: Final = 0.25
"""Seconds between attempts: RFC 8305 §5 calls it the Connection Attempt Delay."""


def dial(host: str, port: int, deadline: float | None) -> socket.socket:
    """Connects to a host. The first of its addresses that answers is taken.

    Looking up its name cannot be interrupted by ``deadline``.

    Args:
        host: a name or an address.
        port: its port.
        deadline: a time of `time.monotonic`.

    Raises:
        OSError: no address could be reached; it is the error of the first.
        TimeoutError: none answered before the deadline.
    """
    addresses = _alternate(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    attempts: dict[socket.socket, Any] = {}
    errors: list[OSError] = []
    try:
        with selectors.DefaultSelector() as selector:
            while addresses or attempts:
                if addresses:
                    _start(selector, attempts, errors, addresses.pop(0))
                next_attempt = time.monotonic() + STAGGER
                while attempts:
                    winner = _wait(
                        selector, attempts, errors, next_attempt if addresses else None, deadline
                    )
                    if winner is not None:
                        return winner
                    if addresses and (errors or time.monotonic() >= next_attempt):
                        break
        raise errors[0] if errors else OSError(errno.EADDRNOTAVAIL, f"no address of {host!r}")
    finally:
        for sock in attempts:
            sock.close()


def _alternate(addresses: list[Any]) -> list[Any]:
    """RFC 8305 §4: address families take turns; the resolver's first choice begins."""
    first = [a for a in addresses if a[0] == addresses[0][0]]
    others = [a for a in addresses if a[0] != addresses[0][0]]
    pairs = itertools.zip_longest(first, others)
    return [address for pair in pairs for address in pair if address is not None]


def _start(
    selector: selectors.BaseSelector,
    attempts: dict[socket.socket, Any],
    errors: list[OSError],
    address: Any,
) -> None:
    family, kind, protocol, _, where = address
    try:
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        errors.append(error)
        return
    attempts[sock] = where
    sock.setblocking(False)
    try:
        with suppress(BlockingIOError):
            sock.connect(where)
    except OSError as error:
        errors.append(error)
        del attempts[sock]
        sock.close()
    else:
        selector.register(sock, selectors.EVENT_WRITE)


def _wait(
    selector: selectors.BaseSelector,
    attempts: dict[socket.socket, Any],
    errors: list[OSError],
    next_attempt: float | None,
    deadline: float | None,
) -> socket.socket | None:
    """Waits for an attempt to succeed, until the next may begin."""
    now = time.monotonic()
    if deadline is not None and now >= deadline:
        raise TimeoutError("the server could not be reached in time")
    until = min((t for t in (next_attempt, deadline) if t is not None), default=None)
    for key, _ in selector.select(None if until is None else max(until - now, 0)):
        sock = key.fileobj
        assert isinstance(sock, socket.socket)
        selector.unregister(sock)
        where = attempts.pop(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not code:
            return sock
        errors.append(OSError(code, f"cannot connect to {where[:2]}: {os.strerror(code)}"))
        sock.close()
    return None
