"""TCP for a client: from a name to a connected socket, one attempt at a time.

What lives here: looking names up, waiting for a turn at an address (RFC 6455 §4.1), happy eyeballs
(RFC 8305), and Unix domain sockets. This file does not know what travels over a socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final, TypeAlias
from weakref import WeakKeyDictionary, WeakValueDictionary

from ..way import Address, Place, interleave

__all__ = ["open_socket", "open_unix_socket", "resolve", "turn"]


async def resolve(host: str, port: int) -> list[Address]:
    """Looks a name up.

    Raises:
        OSError: it has no address.
    """
    try:
        # An IP address needs no other thread to look it up.
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        )
    except socket.gaierror:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [Address(family, sockaddr) for family, _, _, _, sockaddr in found]


# Turns

_Locks: TypeAlias = WeakValueDictionary[Place, asyncio.Lock]
_locks: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Locks]] = WeakKeyDictionary()
"""For each event loop, a lock for each place that is being connected to."""


@contextlib.asynccontextmanager
async def turn(places: Iterable[Place], limit: asyncio.Timeout) -> AsyncIterator[None]:
    """Waits until nobody else on this event loop is connecting to any of the places.

    Meanwhile the time limit stands still: it is for the server, and the wait is our own doing. Each
    of those who come first has a limit too.
    """
    # RFC 6455 §4.1: "If multiple connections to the same IP address are attempted simultaneously,
    # the client MUST serialize them so that there is no more than one connection at a time running
    # through the following steps."
    loop = asyncio.get_running_loop()
    locks = _locks.setdefault(loop, WeakValueDictionary())
    # All take them in the same order: nobody waits for somebody who waits for them.
    wanted = [locks.setdefault(place, asyncio.Lock()) for place in sorted(set(places))]
    async with contextlib.AsyncExitStack() as stack:
        began, end = loop.time(), limit.when()
        limit.reschedule(None)
        for lock in wanted:
            await stack.enter_async_context(lock)
        limit.reschedule(None if end is None else end + loop.time() - began)
        yield


# Happy eyeballs


async def open_socket(
    addresses: Sequence[Address],
    *,
    local_addr: Place | None = None,
    delay: float | None = 0.25,
) -> socket.socket:
    """Connects to one of several addresses of a host.

    Args:
        addresses: in the order in which they are tried, except that families take turns.
        local_addr: where to connect from.
        delay: how long an attempt is alone before the next one starts, in seconds; None lets each
            fail first.

    Raises:
        OSError: of the first attempt; those of the others are noted in it.
    """
    local = [] if local_addr is None else await resolve(*local_addr)
    waiting = deque(interleave(addresses))
    if len(waiting) == 1:
        return await _connect(waiting[0], local)
    winner, errors = await _race(waiting, local, delay)
    if winner is not None:
        return winner
    for other in errors[1:]:
        errors[0].add_note(f"and: {other}")
    try:
        raise errors[0]
    finally:
        # What its own traceback holds would be garbage that waits to be collected.
        del errors


async def _race(
    waiting: deque[Address], local: Sequence[Address], delay: float | None
) -> tuple[socket.socket | None, list[OSError]]:
    """Returns the first socket that is connected, or the errors of all."""
    attempts: set[asyncio.Task[socket.socket]] = set()
    errors: list[OSError] = []
    try:
        while waiting or attempts:
            if waiting:
                attempts.add(asyncio.create_task(_connect(waiting.popleft(), local)))
            done, _ = await asyncio.wait(
                attempts,
                timeout=delay if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                attempts.remove(task)
                error = task.exception()
                if not isinstance(error, OSError):
                    return task.result(), errors
                errors.append(error)
        return None, errors
    finally:
        for task in attempts:
            task.cancel()
            task.add_done_callback(_close_late)


async def _connect(address: Address, local: Sequence[Address]) -> socket.socket:
    # asyncio switches Nagle's algorithm off for sockets that say that they are TCP's.
    unix = address.family == getattr(socket, "AF_UNIX", None)
    sock = socket.socket(address.family, socket.SOCK_STREAM, 0 if unix else socket.IPPROTO_TCP)
    try:
        sock.setblocking(False)
        if local:
            sources = [source for source in local if source.family == address.family]
            if not sources:
                raise OSError(f"no local address from which to connect to {address.place[0]}")
            sock.bind(sources[0].sockaddr)
        await asyncio.get_running_loop().sock_connect(sock, address.sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


def _close_late(attempt: asyncio.Task[socket.socket]) -> None:
    """Closes what had just been connected, too late."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


# Unix domain sockets


async def open_unix_socket(path: str | os.PathLike[str]) -> socket.socket:
    """Connects to a Unix domain socket."""
    return await _connect(Address(socket.AF_UNIX, os.fspath(path)), ())
