"""Where a server on asyncio listens, from its start to its end.

What lives here: the listening sockets and their TLS, how many connections are taken at once, and a
way around how asyncio takes it when file descriptors run out. This file does not know what becomes
of those who connect.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl as ssl_module
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Any, Final, Self

from ..errors import UsageError
from ..listening import checked_port, remove_unix_socket, tcp_sockets, unix_socket

__all__ = ["Listening", "default_max_connections"]

EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
PAUSE: Final = 0.5
"""Seconds; asyncio tries again after one."""
AT_ONCE: Final = 8
"""Connections that a turn of the loop takes from a socket where libuv would take one.

So they come to their handshakes together, and what is said to them leaves in a burst, which wakes
whoever waits at the other end once. With 32 clients at once that is a fifth of all processor time.
"""


class Listening:
    """Listening sockets; the arguments of `serve` of these names have the details."""

    def __init__(
        self,
        host: str | Sequence[str] | None,
        port: int | None,
        path: str | os.PathLike[str] | None,
        sock: socket.socket | Sequence[socket.socket] | None,
        reuse_port: bool,
        backlog: int,
        ssl: ssl_module.SSLContext | None,
    ) -> None:
        self._host = host
        self._port = port
        self._path = path
        self._sock = sock
        self._reuse_port = reuse_port
        self._backlog = backlog
        self._ssl = ssl
        self._servers: list[asyncio.Server] = []
        self._open = ExitStack()

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The sockets, while they are open."""
        return tuple(sock for server in self._servers for sock in server.sockets)

    async def open(
        self,
        factory: Callable[[], asyncio.Protocol],
        handshake_timeout: float | None,
        shutdown_timeout: float | None,
    ) -> None:
        """Starts listening.

        Args:
            factory: makes the protocol of each connection.
            handshake_timeout: for TLS to open, in seconds.
            shutdown_timeout: for TLS to close, in seconds.

        Raises:
            OSError: there is nothing to listen on.
        """
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {"ssl": self._ssl, "backlog": self._backlog}
        if self._ssl is not None:
            options["ssl_handshake_timeout"] = handshake_timeout
            options["ssl_shutdown_timeout"] = shutdown_timeout
        # asyncio's own loops take as many as the backlog has; uvloop one for each descriptor.
        descriptors = 1 if isinstance(loop, asyncio.BaseEventLoop) else AT_ONCE
        with ExitStack() as sockets:
            for sock in await self._bind(loop):
                sockets.callback(sock.close)
                if self._path is not None:
                    sockets.callback(remove_unix_socket, sock, os.stat(sock.getsockname()))
                for _ in range(descriptors):
                    twin = PatientSocket.like(sock)
                    server = await loop.create_server(factory, sock=twin, **options)
                    sockets.callback(server.close)
                self._servers.append(server)
            self._open = sockets.pop_all()

    def close(self) -> None:
        """Stops listening."""
        self._open.close()

    async def _bind(self, loop: asyncio.AbstractEventLoop) -> list[socket.socket]:
        if self._sock is not None:
            return [self._sock] if isinstance(self._sock, socket.socket) else list(self._sock)
        if self._path is not None:
            return [unix_socket(self._path)]
        hosts = [self._host] if self._host is None or isinstance(self._host, str) else self._host
        found = [
            await loop.getaddrinfo(
                host or None,
                checked_port(self._port),
                type=socket.SOCK_STREAM,
                flags=socket.AI_PASSIVE,
            )
            for host in hosts
        ]
        return tcp_sockets(chain.from_iterable(found), reuse_port=self._reuse_port)

    def reload_certificate(
        self,
        certfile: str | os.PathLike[str],
        keyfile: str | os.PathLike[str] | None,
        password: Callable[[], str | bytes] | str | bytes | None,
    ) -> None:
        """See `Server.reload_certificate`."""
        if self._ssl is None:
            raise UsageError("this server does not speak TLS")
        # A context that has refused a file may be left with half of it.
        trial = ssl_module.SSLContext(ssl_module.PROTOCOL_TLS_SERVER)
        trial.load_cert_chain(certfile, keyfile, password)
        self._ssl.load_cert_chain(certfile, keyfile, password)


class PatientSocket(socket.socket):
    """A listening socket that says once that file descriptors have run out.

    asyncio then stops to listen for a second, but goes on to accept as many connections as the
    backlog has, and logs an error with a traceback for each (CPython 3.11). Here the second
    attempt finds nobody there.
    """

    _exhausted_until = 0.0

    @classmethod
    def like(cls, sock: socket.socket) -> Self:
        """Returns another descriptor of a socket."""
        twin = cls(sock.family, sock.type, sock.proto, fileno=os.dup(sock.fileno()))
        twin.setblocking(False)
        return twin

    def accept(self) -> tuple[socket.socket, Any]:
        """Accepts a connection.

        Raises:
            BlockingIOError: there is none, or descriptors had run out a moment ago.
            OSError: descriptors have run out.
        """
        if self._exhausted_until and time.monotonic() < self._exhausted_until:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        try:
            return super().accept()
        except OSError as error:
            if error.errno in EXHAUSTED:
                self._exhausted_until = time.monotonic() + PAUSE
            raise


def default_max_connections() -> int | None:
    """Returns 80 % of the file descriptors that this process may have, or None for no limit."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft * 4 // 5
