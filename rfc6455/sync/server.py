"""A WebSocket server on threads.

What lives here: the threads that run the application's handler, and a graceful end. This file does
not know how connections are accepted and counted, nor about requests and messages.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import ssl as ssl_module
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any, Final, Literal, Self, TypeAlias

from ..addresses import TrustedProxies
from ..budget import PROCESS_BUDGET, MemoryBudget
from ..close import Close, CloseCode
from ..errors import ConnectionClosed, HandshakeError, UsageError
from ..extensions import DEFAULT_EXTENSIONS, ExtensionFactory
from ..farewell import Drained, ReconnectHint, farewells
from ..headers import Headers
from ..http import Request
from ..limits import Limits
from ..logs import LoggerLike, LogSampler
from ..observer import ObserverLike
from ..origins import OriginsLike
from ..reception import Reception
from ..router import Route, Router, SelectSubprotocol
from ..version import __version__
from .accepting import Listening
from .connection import WebSocket
from .endpoint import Endpoint
from .guests import Guests
from .incoming import Incoming, Options, ProcessRequest, ProcessResponse
from .listener import CallbackWebSocket, Listener

__all__ = ["Server", "serve"]

Handler: TypeAlias = Callable[[WebSocket], None] | type[Listener]

SERVER_HEADER: Final = f"rfc6455/{__version__}"
BACKLOG: Final = 128
"""Connections that wait in the kernel."""
MAX_CONNECTIONS: Final = 1000


def serve(
    handler: Handler | Router,
    host: str | Sequence[str] | None = None,
    port: int | None = None,
    *,
    process_request: ProcessRequest | None = None,
    process_response: ProcessResponse | None = None,
    origins: OriginsLike | None = None,
    subprotocols: Sequence[str] = (),
    select_subprotocol: SelectSubprotocol | None = None,
    extensions: Sequence[ExtensionFactory] = DEFAULT_EXTENSIONS,
    limits: Limits | None = None,
    max_connections: int = MAX_CONNECTIONS,
    max_connections_per_address: int | None = None,
    trusted_proxies: Sequence[str] = (),
    ssl: ssl_module.SSLContext | None = None,
    path: str | os.PathLike[str] | None = None,
    sock: socket.socket | Sequence[socket.socket] | None = None,
    reuse_port: bool = False,
    backlog: int = BACKLOG,
    server_header: str = SERVER_HEADER,
    memory_budget: MemoryBudget = PROCESS_BUDGET,
    observer: ObserverLike | None = None,
    logger: LoggerLike | None = None,
) -> Server:
    """Makes a server; it starts with ``with``, or with `Server.start`.

    Each connection has a thread of its own, in which its hooks and its handler run.

    Args:
        handler: a function that gets each `WebSocket`. When it returns, the connection is closed
            with 1000; when it raises, with 1011, and the error is logged. A `Router` stands for
            several of them, by path. A class derived from `Listener` takes the place of a handler:
            an instance of it gets the messages of each connection as callbacks.
        host: where to listen: a name or an address, or several; by default everywhere.
        port: likewise; 0 for any free port.
        process_request: gets each HTTP request before anything else is looked at. What it returns
            is the answer; None goes on to the opening handshake.
        process_response: gets each request with its answer, and may return another one. For a
            handshake that is accepted the answer has status 101 and only the fields that are added
            here.
        origins: the Origin values that may connect (RFC 6455 §10.2); others get 403. Compiled
            regular expressions are taken too, and have to match the whole value. None among them
            stands for requests without Origin, which no browser sends. By default all may.
        subprotocols: those that the application speaks, the preferred one first.
        select_subprotocol: instead of that list, a function that gets the request and the
            subprotocols that the client offers, and returns one of them or None.
        extensions: those that may be negotiated; by default permessage-deflate.
        limits: see `Limits`.
        max_connections: more than these get 503. They are also the most threads that there are, but
            for a few that tell clients so.
        max_connections_per_address: from one client more than these get 429; a client is an IPv4
            address, or the first 64 bits of an IPv6 address. By default there is no such limit.
        trusted_proxies: networks such as ``10.0.0.0/8``, or ``unix`` for Unix domain sockets, from
            which X-Forwarded-For is believed; see `Request.client_address`.
        ssl: a context for TLS.
        path: of a Unix domain socket to listen on, instead of host and port. A file that a dead
            server left there is replaced, and ours is removed at the end.
        sock: a listening socket, or several, instead of host and port; see `systemd_sockets`.
        reuse_port: whether other processes may listen on the same port (SO_REUSEPORT); the kernel
            spreads connections over them.
        backlog: connections that the kernel keeps until they are accepted.
        server_header: value of the Server field; empty for none.
        memory_budget: for the unfinished messages of all connections together; by default one that
            all servers and clients of the process share.
        observer: sees what happens on each connection; for metrics and traces. Or a function that
            gets the `Request` of each, and returns who sees it, or None. It is called from
            many threads, by the one at work on a connection, which cannot be used meanwhile: it may
            look at its properties, but must not call its methods.
        logger: where to log, instead of ``rfc6455.server``.

    Raises:
        UsageError: an origin or a proxy is none, or options contradict each other.
    """
    if server_header:
        Headers([("Server", server_header)])
    limits = Limits() if limits is None else limits
    logger = logging.getLogger("rfc6455.server") if logger is None else logger
    route = Route(
        "",
        _unreachable if isinstance(handler, Router) else handler,
        origins=origins,
        subprotocols=subprotocols or None,
        select_subprotocol=select_subprotocol,
        extensions=extensions,
        limits=limits,
    )
    options = Options(
        route=route,
        router=handler if isinstance(handler, Router) else None,
        process_request=process_request,
        process_response=process_response,
        limits=limits,
        max_connections=max_connections,
        max_connections_per_address=max_connections_per_address,
        trusted_proxies=TrustedProxies(trusted_proxies),
        ssl=ssl,
        server_header=server_header,
        memory_budget=memory_budget,
        observer=observer,
        logger=logger,
    )
    return Server(options, Listening(host, port, path, sock, reuse_port, backlog, ssl))


class Server:
    """A listening server, made by `serve`. Its methods may be called from any thread."""

    def __init__(self, options: Options, listening: Listening) -> None:
        self.options = options
        self.reception = Reception(
            options.route,
            options.router,
            options.process_request,
            options.process_response,
            self.log_failure,
        )
        self._listening = listening
        self._starting = threading.Lock()
        self.guests = Guests(options.max_connections, options.max_connections_per_address)
        self._failures = LogSampler(options.logger)
        self._logging = threading.Lock()
        self._hurry = threading.Event()
        self._stopped = threading.Event()
        self._done = threading.Event()

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The listening sockets."""
        return self._listening.sockets

    @property
    def connections(self) -> frozenset[Endpoint]:
        """The connections whose TCP has not ended."""
        return self.guests.connections

    @property
    def is_closing(self) -> bool:
        """Whether the server has begun to end: nobody gets in any more."""
        return self.guests.farewell is not None

    def start(self) -> Self:
        """Starts listening, and accepting in a thread of its own; does nothing if it has started.

        Raises:
            OSError: an address or a path is in use, or is not this machine's.
            UsageError: it was closed.
        """
        if self.guests.farewell is not None:
            raise UsageError("a server that was closed does not start again")
        with self._starting:
            if not self._listening.sockets:
                self._listening.open(self._take_in, self.options.logger)
                # Another thread may have closed it meanwhile.
                if self.is_closing:
                    self._listening.close()
        return self

    def serve_forever(self) -> None:
        """Waits until the server is closed, or has been drained."""
        self._done.wait()

    def close(self, code: int = CloseCode.GOING_AWAY, reason: str = "") -> None:
        """Stops listening and starts the closing handshake of every connection, at once.

        While `drain` goes on, this hurries it: whoever waits for a turn has it now.

        Args:
            code: the close code; 1001 says that the server goes away.
            reason: the close reason.

        Raises:
            UsageError: the code must not travel, or the reason is too long. Nothing has changed.
        """
        farewell = farewells(code, reason, None)
        for websocket in self._stop(farewell):
            _part_from(websocket, farewell())
        self._hurry.set()
        self._done.set()

    def drain(
        self,
        over: float = 0.0,
        *,
        code: int = CloseCode.SERVICE_RESTART,
        reason: str = "",
        reconnect_hint: ReconnectHint = None,
        order: Literal["random", "oldest"] = "random",
        abort_after: float | None = None,
    ) -> Drained:
        """Stops listening, closes the connections one after the other, and waits for their end.

        Spread over time, the clients do not come back all at once. A second call, or `close`, from
        another thread gives all who wait for a turn theirs at once.

        Args:
            over: the time in which all have their turn, in seconds.
            code: the close code: 1012 says that the server comes back, 1001 that it goes away.
            reason: the close reason.
            reconnect_hint: when clients are to come back, in seconds from their end: a random time
                up to this, or between two numbers. The close reason carries it at its end, as
                ``retry-after=3.2``; `Close.retry_after` reads it.
            order: of the turns; ``oldest`` has the longest connected first.
            abort_after: what is left so many seconds after the last turn is dropped. By default
                each connection has `Limits.close_timeout` for itself.

        Returns:
            How many ended in which way.

        Raises:
            UsageError: as in `close`, or a time is negative. Nothing has changed.
        """
        farewell = farewells(code, reason, reconnect_hint)
        if not (over >= 0 and (abort_after is None or abort_after >= 0)):
            raise UsageError("times must not be negative")
        if self.is_closing:
            self._hurry.set()
        waiting = self._stop(farewell)
        if order == "random":
            random.shuffle(waiting)
        start, step = time.monotonic(), over / max(len(waiting), 1)
        for index, websocket in enumerate(waiting):
            self._hurry.wait(max(start + index * step - time.monotonic(), 0))
            _part_from(websocket, farewell())
        with ExitStack() as stack:
            if abort_after is not None:
                timer = threading.Timer(abort_after, self._abort)
                timer.start()
                stack.callback(timer.join)
                stack.callback(timer.cancel)
            self.wait_closed()
        self._done.set()
        ended = self.guests.ended
        return Drained(closed=ended[True], aborted=ended[False])

    def wait_closed(self) -> None:
        """Waits until every connection has ended and every handler has returned.

        A handler that goes on for longer than `Limits.close_timeout` after that is left to itself.
        """
        self._stopped.wait()
        while connections := self.connections:
            for websocket in connections:
                websocket.wait_closed()
        if late := self.guests.wait_until_gone(self.options.limits.close_timeout):
            self.options.logger.warning("%d handlers have not returned, and go on", late)
        with self._logging:
            self._failures.flush()

    def shutdown(self, code: int = CloseCode.GOING_AWAY, reason: str = "") -> None:
        """Does what `close` does, and then what `wait_closed` does."""
        self.close(code, reason)
        self.wait_closed()

    def reload_certificate(
        self,
        certfile: str | os.PathLike[str],
        keyfile: str | os.PathLike[str] | None = None,
        password: Callable[[], str | bytes] | str | bytes | None = None,
    ) -> None:
        """Takes another certificate, for the TLS of those who come from now on.

        Connections that are open go on as they are. The arguments are those of
        `ssl.SSLContext.load_cert_chain`. A certificate with another kind of key (ECDSA beside RSA)
        stands beside the old one, as always in OpenSSL, and each client chooses.

        Raises:
            UsageError: the server does not speak TLS.
            OSError: a file cannot be read, or (as `ssl.SSLError`) is malformed, or the key does not
                belong to the certificate. The old certificate stays.
        """
        self._listening.reload_certificate(certfile, keyfile, password)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    # The end

    def _stop(self, farewell: Callable[[], Close]) -> list[Endpoint]:
        """Lets nobody in any more. Returns the connections, the first time that it is called."""
        clients = self.guests.close(farewell)
        if clients is None:
            return []
        self._listening.close()
        self._stopped.set()
        for client in clients:
            if isinstance(client, Incoming):
                client.leave()
        return [client for client in clients if isinstance(client, Endpoint)]

    def _abort(self) -> None:
        for websocket in self.connections:
            websocket.abort()

    # Accepting

    def _take_in(self, sock: socket.socket) -> None:
        client = Incoming(self, sock)
        name = f"rfc6455-connection-{sock.fileno()}"
        thread = threading.Thread(target=self._serve, args=(client,), name=name, daemon=True)
        if not self.guests.enter(thread, client):
            sock.close()
            return
        try:
            thread.start()
        except RuntimeError:
            self.log_error("no thread for a connection")
            sock.close()
            self.guests.leave(thread)

    # In the thread of a client

    def _serve(self, client: Incoming) -> None:
        try:
            if self.guests.is_refused():
                error = HandshakeError("too many connections", HTTPStatus.SERVICE_UNAVAILABLE)
                client.turn_away(error)
            elif (opened := client.open()) is not None:
                self._handle(*opened)
        finally:
            self.guests.leave(threading.current_thread())

    def _handle(self, route: Route, arguments: dict[str, Any], websocket: Endpoint) -> None:
        farewell = self.guests.open(websocket)
        if farewell is not None:
            _part_from(websocket, farewell())
        code = CloseCode.INTERNAL_ERROR
        try:
            if isinstance(websocket, CallbackWebSocket):
                websocket.run()
            else:
                route.handler(websocket, **arguments)
            code = CloseCode.NORMAL_CLOSURE
        except ConnectionClosed:
            code = CloseCode.NORMAL_CLOSURE
        except Exception:
            self.log_error("handler failed")
        finally:
            websocket.close(code)

    # For `Incoming`

    def log_failure(
        self, error: HandshakeError, address: str, request: Request | None = None
    ) -> None:
        """Logs that a client is sent away; of many, some."""
        is_plain = request is not None and not request.wants_websocket
        with self._logging:
            self._failures.log(
                time.monotonic(),
                logging.DEBUG if is_plain or error.status < 400 else logging.INFO,
                "plain request of %s refused: %s"
                if is_plain
                else "opening handshake of %s failed: %s",
                address or "a client",
                ascii(str(error)),
            )

    def log_error(self, message: str) -> None:
        """Logs the exception that is being handled."""
        self.options.logger.exception(message)


def _part_from(websocket: Endpoint, farewell: Close) -> None:
    if not websocket.is_over:
        websocket.start_close(farewell.code, farewell.reason)


def _unreachable(websocket: WebSocket) -> None:
    raise AssertionError("the router has handlers of its own")
