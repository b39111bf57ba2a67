"""Where a server on threads listens, from its start to its end.

What lives here: the listening sockets and their TLS, the thread that accepts, and what happens when
file descriptors run out. This file does not know what becomes of those who connect.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import ssl as ssl_module
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from itertools import chain
from typing import Final

from ..errors import UsageError
from ..listening import checked_port, remove_unix_socket, tcp_sockets, unix_socket
from ..logs import LoggerLike

__all__ = ["Listening"]

EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
RECOVERY: Final = 0.2
"""Seconds without accepting, after file descriptors or memory have run out."""


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
        self._lock = threading.Lock()
        self._open = ExitStack()
        self._sockets: tuple[socket.socket, ...] = ()

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The sockets, while they are open."""
        return self._sockets

    def open(self, take_in: Callable[[socket.socket], None], logger: LoggerLike) -> None:
        """Starts listening, and accepting in a thread of its own.

        Args:
            take_in: gets each connection.
            logger: is told when file descriptors have run out.

        Raises:
            OSError: there is nothing to listen on.
        """
        with ExitStack() as opened:
            sockets = self._bind()
            for sock in sockets:
                opened.callback(sock.close)
            for sock in sockets:
                if self._path is not None:
                    opened.callback(remove_unix_socket, sock, os.stat(sock.getsockname()))
                sock.listen(self._backlog)
                sock.setblocking(False)
            opened.callback(Accepting(sockets, take_in, logger).stop)
            with self._lock:
                self._sockets = tuple(sockets)
                self._open = opened.pop_all()

    def close(self) -> None:
        """Stops listening. May be called again, and from several threads."""
        with self._lock:
            opened, self._open = self._open, ExitStack()
            self._sockets = ()
        opened.close()

    def _bind(self) -> list[socket.socket]:
        if self._sock is not None:
            return [self._sock] if isinstance(self._sock, socket.socket) else list(self._sock)
        if self._path is not None:
            return [unix_socket(self._path)]
        hosts = [self._host] if self._host is None or isinstance(self._host, str) else self._host
        found = [
            socket.getaddrinfo(
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


class Accepting:
    """Accepts connections until it is stopped.

    Args:
        listeners: sockets that listen, and do not block.
        take_in: gets each connection.
        logger: is told when file descriptors have run out.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        take_in: Callable[[socket.socket], None],
        logger: LoggerLike,
    ) -> None:
        self._listeners = listeners
        self._take_in = take_in
        self._logger = logger
        self._bell, bell = socket.socketpair()
        self._thread = threading.Thread(
            target=self._run, args=(bell,), name="rfc6455-accept", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, and waits for its end."""
        self._bell.close()
        self._thread.join()

    def _run(self, bell: socket.socket) -> None:
        with bell, selectors.DefaultSelector() as selector:
            selector.register(bell, selectors.EVENT_READ)
            for sock in self._listeners:
                selector.register(sock, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if bell in ready:
                    return
                for listener in ready:
                    assert isinstance(listener, socket.socket)
                    try:
                        sock, _ = listener.accept()
                    except OSError as error:
                        if error.errno in EXHAUSTED and self._recover(bell, error):
                            return
                    else:
                        self._take_in(sock)

    def _recover(self, bell: socket.socket, error: OSError) -> bool:
        """Waits until there may be descriptors again. Tells whether it was stopped."""
        self._logger.error("cannot accept: %s", error)
        # The client waits in the kernel; to try at once would spin.
        bell.settimeout(RECOVERY)
        with suppress(TimeoutError):
            bell.recv(1)
            return True
        return False
