"""A WebSocket server on threads.

What lives here: listening, the threads that run the application's handler, and a graceful end. This
file does not know about messages, nor how a handshake goes.
"""

from __future__ import annotations

import errno
import logging
import selectors
import socket
import ssl as ssl_module
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Self, TypeAlias

from ..close import Close, CloseCode
from ..errors import ConnectionClosed, UsageError
from ..extensions import DEFAULT_EXTENSIONS, ExtensionFactory
from ..http import Request, Response
from ..limits import Limits
from ..version import __version__
from .connection import WebSocket
from .opening import Opening

__all__ = ["Server", "serve"]

Handler: TypeAlias = Callable[[WebSocket], None]
ProcessRequest: TypeAlias = Callable[[Request], "Response | None"]

SERVER_HEADER: Final = f"rfc6455/{__version__}"
MAX_CONNECTIONS: Final = 1000
MAX_REFUSING: Final = 16
"""Threads that tell a client why it is sent away; when all are at it, TCP is just closed."""
EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
RECOVERY: Final = 0.2
"""Seconds without accepting, after file descriptors or memory have run out."""

logger = logging.getLogger("rfc6455.server")


def serve(
    handler: Handler,
    host: str | Sequence[str] | None = None,
    port: int | None = None,
    *,
    process_request: ProcessRequest | None = None,
    origins: Sequence[str | None] | None = None,
    subprotocols: Sequence[str] = (),
    extensions: Sequence[ExtensionFactory] = DEFAULT_EXTENSIONS,
    limits: Limits | None = None,
    max_connections: int = MAX_CONNECTIONS,
    ssl: ssl_module.SSLContext | None = None,
    sock: socket.socket | None = None,
    server_header: str = SERVER_HEADER,
) -> Server:
    """Makes a server; it starts with ``with``, or with `Server.start`.

    Args:
        handler: a function that gets each `WebSocket`, in a thread of its own. When it returns, the
            connection is closed with 1000; when it raises, with 1011, and the error is logged.
        host: where to listen; None for all of this machine's addresses.
        port: likewise; 0 for any free port.
        process_request: gets each HTTP request before anything else is looked at. What it returns
            is the answer; None goes on to the opening handshake.
        origins: the Origin values that may connect (RFC 6455 §10.2), compared exactly; None among
            them stands for requests without Origin. Others get 403.
        subprotocols: those that the application speaks, the preferred one first.
        extensions: those that may be negotiated; by default permessage-deflate.
        limits: see `Limits`.
        max_connections: more than these get 503. Each has a thread.
        ssl: a context for TLS.
        sock: a bound socket, instead of host and port; it may be a Unix domain socket.
        server_header: value of the Server field; empty for none.
    """
    return Server(
        handler,
        host,
        port,
        process_request=process_request,
        origins=origins,
        subprotocols=subprotocols,
        extensions=extensions,
        limits=Limits() if limits is None else limits,
        max_connections=max_connections,
        ssl=ssl,
        sock=sock,
        server_header=server_header,
    )


class Server:
    """A listening server, made by `serve`. Its methods may be called from any thread."""

    def __init__(
        self,
        handler: Handler,
        host: str | Sequence[str] | None,
        port: int | None,
        *,
        process_request: ProcessRequest | None,
        origins: Sequence[str | None] | None,
        subprotocols: Sequence[str],
        extensions: Sequence[ExtensionFactory],
        limits: Limits,
        max_connections: int,
        ssl: ssl_module.SSLContext | None,
        sock: socket.socket | None,
        server_header: str,
    ) -> None:
        self.handler = handler
        self.process_request = process_request
        self.origins = origins
        self.subprotocols = subprotocols
        self.extensions = extensions
        self.limits = limits
        self.max_connections = max_connections
        self.ssl = ssl
        self.server_header = server_header
        self._address = host, port
        self._sockets: tuple[socket.socket, ...] = () if sock is None else (sock,)
        self._started = False
        self._changed = threading.Condition()
        self._clients: dict[threading.Thread, Opening | WebSocket] = {}
        self._refusing: set[threading.Thread] = set()
        self._accepting: threading.Thread | None = None
        self._bell: socket.socket | None = None
        self._farewell: Close | None = None
        self._closed = threading.Event()

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The listening sockets."""
        return self._sockets if self._started and not self._closed.is_set() else ()

    @property
    def connections(self) -> frozenset[WebSocket]:
        """The connections whose TCP has not ended."""
        with self._changed:
            return frozenset(
                c for c in self._clients.values() if isinstance(c, WebSocket) and not c.is_over
            )

    def start(self) -> Server:
        """Starts listening, and accepting in a thread of its own.

        Raises:
            OSError: the address is in use, or not this machine's.
        """
        if self._started:
            raise UsageError("a server starts once")
        self._started = True
        if not self._sockets:
            self._sockets = _bind(*self._address)
        for sock in self._sockets:
            sock.listen(100)
            sock.setblocking(False)
        self._bell, bell = socket.socketpair()
        self._accepting = threading.Thread(
            target=self._accept, args=(bell,), name="rfc6455-accept", daemon=True
        )
        self._accepting.start()
        return self

    def serve_forever(self) -> None:
        """Waits until the server is closed."""
        self._closed.wait()

    def close(self, code: int = CloseCode.GOING_AWAY, reason: str = "") -> None:
        """Stops listening and starts the closing handshake of every connection.

        Args:
            code: the close code; 1001 says that the server goes away.
            reason: the close reason.

        Raises:
            UsageError: the code must not travel, or the reason is too long. Nothing has changed.
        """
        farewell = Close(code, reason)
        try:
            farewell.payload()
        except ValueError as error:
            raise UsageError(str(error)) from error
        with self._changed:
            if self._farewell is not None:
                return
            self._farewell = farewell
            clients = list(self._clients.values())
        if self._bell is not None:
            self._bell.close()
        if self._accepting not in (None, threading.current_thread()):
            self._accepting.join()
        for sock in self._sockets:
            sock.close()
        for client in clients:
            client.leave(farewell)
        self._closed.set()

    def wait_closed(self) -> None:
        """Waits until every connection has ended and every handler has returned.

        A handler that goes on for longer than `Limits.close_timeout` after that is left to itself.
        """
        self._closed.wait()
        for websocket in self.connections:
            websocket.wait_closed()
        mine = {threading.current_thread()}
        with self._changed:
            self._changed.wait_for(lambda: not self._refusing - mine)
            self._changed.wait_for(
                lambda: not self._clients.keys() - mine, self.limits.close_timeout
            )
            if late := len(self._clients.keys() - mine):
                logger.warning("%d handlers have not returned, and go on", late)

    def shutdown(self, code: int = CloseCode.GOING_AWAY, reason: str = "") -> None:
        """Does what `close` does, and then what `wait_closed` does."""
        self.close(code, reason)
        self.wait_closed()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    # Accepting

    def _accept(self, bell: socket.socket) -> None:
        with bell, selectors.DefaultSelector() as selector:
            selector.register(bell, selectors.EVENT_READ)
            for sock in self._sockets:
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
                        if error.errno in EXHAUSTED:
                            logger.error("cannot accept: %s", error)
                            # The client waits in the kernel; to try at once would spin.
                            bell.settimeout(RECOVERY)
                            with suppress(TimeoutError):
                                bell.recv(1)
                                return
                        continue
                    self._take_in(sock)

    def _take_in(self, sock: socket.socket) -> None:
        opening = Opening(self, sock)
        with self._changed:
            used = len(self._clients) + len(self._refusing)
            full = used >= self.max_connections
            if self._farewell is not None or used >= self.max_connections + MAX_REFUSING:
                sock.close()
                return
            thread = threading.Thread(
                target=self._turn_away if full else self._serve,
                args=(opening,),
                name=f"rfc6455-connection-{sock.fileno()}",
                daemon=True,
            )
            if full:
                self._refusing.add(thread)
            else:
                self._clients[thread] = opening
        try:
            thread.start()
        except RuntimeError:
            logger.exception("no thread for a connection")
            sock.close()
            self._forget(thread)

    # In the thread of a client

    def _serve(self, opening: Opening) -> None:
        try:
            websocket = opening.open()
            if websocket is not None:
                self._handle(websocket)
        finally:
            self._forget(threading.current_thread())

    def _turn_away(self, opening: Opening) -> None:
        try:
            opening.turn_away()
        finally:
            self._forget(threading.current_thread())

    def start_refusing(self) -> None:
        """Takes note that the client of this thread gets no WebSocket; for `Opening`."""
        with self._changed:
            thread = threading.current_thread()
            if self._clients.pop(thread, None) is not None:
                self._refusing.add(thread)

    def _handle(self, websocket: WebSocket) -> None:
        with self._changed:
            self._clients[threading.current_thread()] = websocket
            farewell = self._farewell
        if farewell is not None:
            websocket.leave(farewell)
        code = CloseCode.INTERNAL_ERROR
        try:
            self.handler(websocket)
            code = CloseCode.NORMAL_CLOSURE
        except ConnectionClosed:
            code = CloseCode.NORMAL_CLOSURE
        except Exception:
            logger.exception("handler failed")
        finally:
            websocket.close(code)

    def _forget(self, thread: threading.Thread) -> None:
        with self._changed:
            self._clients.pop(thread, None)
            self._refusing.discard(thread)
            self._changed.notify_all()

    @property
    def is_closing(self) -> bool:
        """Whether the server takes no new connections any more."""
        return self._farewell is not None


def _bind(host: str | Sequence[str] | None, port: int | None) -> tuple[socket.socket, ...]:
    hosts = [host] if host is None or isinstance(host, str) else host
    addresses = [
        (family, address)
        for name in hosts
        for family, *_, address in socket.getaddrinfo(
            name or None, port or 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    ]
    return tuple(
        socket.create_server(address[:2], family=family)
        for family, address in dict.fromkeys(addresses)
    )
