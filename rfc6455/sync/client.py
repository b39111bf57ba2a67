"""A WebSocket client for threads.

What lives here: `connect`, which puts together what opens a connection, within one time limit, and
does it again when the connection is lost. How each step works is told elsewhere: the way to the
server in `route` and `dialing`, what follows in `redirect` and `backoff`. This file does not know
about messages.
"""

from __future__ import annotations

import logging
import os
import socket
import ssl as ssl_module
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeAlias, cast

from ..backoff import Backoff, backoff_delays, is_transient
from ..budget import PROCESS_BUDGET, MemoryBudget
from ..connection import Connection, Role
from ..errors import UsageError
from ..extensions import DEFAULT_EXTENSIONS, ExtensionFactory
from ..framelog import with_frame_log
from ..handshake import ClientHandshake
from ..headers import Headers, HeadersLike
from ..http import Response
from ..limits import Limits
from ..observer import Observer
from ..proxy import parse_proxy
from ..redirect import MAX_REDIRECTS, Destination, refusal
from ..uri import WebSocketURI, parse_uri
from ..version import USER_AGENT
from ..way import default_context
from .connection import WebSocket
from .dialing import turn
from .listener import CallbackWebSocket, Listener
from .route import Route
from .stream import Stream

__all__ = ["connect", "connect_listener", "unix_connect"]

LoggerLike: TypeAlias = "logging.Logger | logging.LoggerAdapter[Any]"

LOGGER: Final = logging.getLogger("rfc6455.client")
HAPPY_EYEBALLS_DELAY: Final = 0.25


class connect:
    """Connects to a server.

    ``with connect(uri) as websocket`` closes the connection at the end of the block;
    ``connect(uri).open()`` leaves that to you; and ``for websocket in connect(uri)`` connects
    again, after a delay, whenever the connection has ended.

    Everything that opens a connection together takes at most `Limits.open_timeout`, except that
    nothing can interrupt the system while it looks a name up.

    Args:
        uri: a ws or wss URI. A user and a password in it are sent as Basic credentials.
        origin: value of the Origin field; None for none, as clients other than browsers do.
        subprotocols: those that the application speaks, the preferred one first.
        extensions: those to offer; by default permessage-deflate.
        additional_headers: further fields of the request, such as Cookie or Authorization.
        user_agent: value of the User-Agent field; None for none.
        limits: see `Limits`.
        memory_budget: as in `serve`.
        observer: as in `serve`.
        logger: where the client tells what it does; ``rfc6455.client`` by default. Credentials,
            header fields and queries are never in it.

        ssl: a context for TLS; by default one that verifies the server's certificate and name.
        server_hostname: the name that the certificate must have, and that is sent as SNI; by
            default the host in the URI.
        proxy: the URL of a proxy, ``http``, ``https``, ``socks4``, ``socks4a``, ``socks5`` or
            ``socks5h``; True looks into the environment as `urllib.request.getproxies` does; None
            uses none. SOCKS needs the package python-socks (the extra ``proxy``), and each step
            with it may take `Limits.open_timeout`.
        proxy_ssl: a context for TLS with an ``https`` proxy.
        max_redirects: how many redirects are followed. To another origin, they lose Authorization,
            Cookie, Proxy-Authorization and the credentials of the URI; from wss to ws, none is.

        host: where to connect to in place of the host in the URI, which stays the one that is asked
            for and whose certificate is verified.
        port: likewise.
        sock: a connected socket to use. It is closed with the connection, or when there is none.
        path: of a Unix domain socket to connect to.
        local_addr: host and port to connect from.
        happy_eyeballs_delay: how long an attempt to reach one of several addresses is alone before
            the next one starts, in seconds; None lets each fail first.
        one_at_a_time: whether to wait while another thread's handshake with the same address and
            port is under way, as RFC 6455 §4.1 demands. The wait does not count towards
            `Limits.open_timeout`.

        retry: for ``for``: whether to try again after an error. By default after errors of the
            network, timeouts and the HTTP statuses 500, 502, 503 and 504; other errors are raised.
        backoff: for ``for``: makes the delays between attempts, in seconds, each time that a
            connection was opened. When they run out, the error is raised. By default they are
            random, up to 5 seconds at first, and doubled up to a minute. A Retry-After field
            of the server lengthens them; a hint in its Close (`Close.retry_after`) takes the place
            of the first.

    Raises:
        UsageError: the URI or another argument is not valid. Nothing was sent.
        HandshakeError: the server refused; ``status``, ``headers`` and ``body`` are its answer.
        ProxyError: a proxy did not open the way to the server.
        OSError: it could not be reached, or its certificate is not valid.
        TimeoutError: it did not answer within `Limits.open_timeout`.
    """

    def __init__(
        self,
        uri: str,
        *,
        origin: str | None = None,
        subprotocols: Sequence[str] = (),
        extensions: Sequence[ExtensionFactory] = DEFAULT_EXTENSIONS,
        additional_headers: HeadersLike = (),
        user_agent: str | None = USER_AGENT,
        limits: Limits | None = None,
        memory_budget: MemoryBudget = PROCESS_BUDGET,
        observer: Observer | None = None,
        logger: LoggerLike = LOGGER,
        ssl: ssl_module.SSLContext | None = None,
        server_hostname: str | None = None,
        proxy: str | bool | None = True,
        proxy_ssl: ssl_module.SSLContext | None = None,
        max_redirects: int = MAX_REDIRECTS,
        host: str | None = None,
        port: int | None = None,
        sock: socket.socket | None = None,
        path: str | os.PathLike[str] | None = None,
        local_addr: tuple[str, int] | None = None,
        happy_eyeballs_delay: float | None = HAPPY_EYEBALLS_DELAY,
        one_at_a_time: bool = True,
        retry: Callable[[Exception], bool] = is_transient,
        backoff: Callable[[], Iterable[float]] = backoff_delays,
    ) -> None:
        self._destination = Destination(parse_uri(uri), Headers(additional_headers), max_redirects)
        if not self._destination.uri.secure and (ssl or server_hostname):
            raise UsageError("ssl and server_hostname are for wss:// URIs")
        self._limits = Limits() if limits is None else limits
        self._route = Route(
            host=host,
            port=port,
            sock=sock,
            path=path,
            local_addr=local_addr,
            happy_eyeballs_delay=happy_eyeballs_delay,
            proxy=parse_proxy(proxy) if isinstance(proxy, str) else bool(proxy),
            proxy_ssl=proxy_ssl,
            user_agent=user_agent,
            limits=self._limits,
        )
        self._origin = origin
        self._subprotocols = subprotocols
        self._extensions = extensions
        self._user_agent = user_agent
        self._memory_budget = memory_budget
        self._observer = with_frame_log(observer, logger)
        self._logger = logger
        self._ssl = ssl
        self._server_hostname = server_hostname
        self._one_at_a_time = one_at_a_time
        self._retry = retry
        self._backoff = backoff
        self._make: Callable[..., Any] = WebSocket
        self._websocket: WebSocket | None = None
        # What may not stand in a request is found before anything happens.
        self._handshake(self._destination)

    def __enter__(self) -> WebSocket:
        self._websocket = self.open()
        return self._websocket

    def __exit__(self, exc_type: type[BaseException] | None, *details: object) -> None:
        assert self._websocket is not None
        self._websocket.__exit__(exc_type, *details)

    def __iter__(self) -> Iterator[WebSocket]:
        if self._route.sock is not None:
            raise UsageError("the socket that was given cannot be connected again")
        return self._reconnect()

    def _reconnect(self) -> Iterator[WebSocket]:
        origin = self._destination.uri.origin
        backoff = Backoff(self._backoff, self._retry)
        while True:
            try:
                websocket = self.open()
            except Exception as error:
                delay = backoff.after_error(error, datetime.now(UTC))
                if delay is None:
                    raise
                self._logger.info("no connection to %s: %r; next in %.1f s", origin, error, delay)
            else:
                try:
                    yield websocket
                finally:
                    _close(websocket)
                delay = backoff.after_end(websocket.close_reason)
                self._logger.info(
                    "connection to %s ended with %s; next in %.1f s",
                    origin,
                    websocket.close_code,
                    delay,
                )
            time.sleep(delay)

    def open(self) -> WebSocket:
        """Connects. To close the connection is left to the caller."""
        try:
            return self._follow(self._destination)
        except BaseException:
            if self._route.sock is not None:
                self._route.sock.close()
            raise

    def _follow(self, destination: Destination) -> WebSocket:
        timeout = self._limits.open_timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            answer, deadline = self._ask(destination, deadline)
            if not isinstance(answer, Response):
                return answer
            following = destination.follow(answer)
            if following is None:
                raise refusal(answer)
            if why := self._route.why_not(following.moved):
                raise refusal(answer, why)
            destination = following
            self._logger.debug("redirected to %s", destination.uri.origin)

    def _ask(
        self, destination: Destination, deadline: float | None
    ) -> tuple[WebSocket | Response, float | None]:
        """Asks once.

        Returns:
            The connection, or the answer that opens none; and the deadline, which is later when
            others came first.
        """
        uri = destination.uri
        name = uri.host
        if self._server_hostname is not None and not destination.moved:
            name = self._server_hostname
        leg = self._route.find(uri)
        with turn(leg.places if self._one_at_a_time else (), deadline) as deadline:
            self._logger.debug("connecting to %s, proxy: %s", uri.origin, leg.proxy)
            handshake = self._handshake(destination)
            stream = self._route.go(leg, self._tls(uri), name, deadline)
            try:
                response = stream.exchange(handshake, deadline)
                if response.status == 101:
                    return self._finish(handshake, stream, response), deadline
            except BaseException:
                stream.close()
                raise
            stream.stop()
            stream.close()
            return response, deadline

    def _handshake(self, destination: Destination) -> ClientHandshake:
        return ClientHandshake(
            destination.uri,
            origin=self._origin,
            subprotocols=self._subprotocols,
            extensions=self._extensions,
            headers=destination.headers,
            user_agent=self._user_agent,
            limits=self._limits,
        )

    def _tls(self, uri: WebSocketURI) -> ssl_module.SSLContext | None:
        if uri.secure and self._ssl is None:
            self._ssl = default_context()
        return self._ssl if uri.secure else None

    def _finish(self, handshake: ClientHandshake, stream: Stream, response: Response) -> WebSocket:
        core = Connection(
            Role.CLIENT, limits=self._limits, extensions=handshake.extensions, now=time.monotonic()
        )
        websocket: WebSocket = self._make(
            core,
            stream,
            response=response,
            subprotocol=handshake.subprotocol,
            trailing_data=handshake.trailing_data,
            budget=self._memory_budget,
            observer=self._observer,
        )
        return websocket


def connect_listener(listener: Listener, uri: str, **options: Any) -> CallbackWebSocket:
    """Connects to a server, with callbacks for what comes, in a thread of their own.

    Args:
        listener: whose methods are called.
        uri: a ws or wss URI.
        options: those of `connect`.

    Raises:
        Exception: as `connect` does.
    """
    connecting = connect(uri, **options)
    logger = connecting._logger
    connecting._make = partial(CallbackWebSocket, listener=listener, on_error=logger.exception)
    websocket = cast("CallbackWebSocket", connecting.open())
    # A daemon: it must not keep a program alive that has forgotten the connection.
    thread = threading.Thread(target=websocket.run, name="rfc6455-listener", daemon=True)
    try:
        thread.start()
    except BaseException:
        websocket.abort()
        raise
    return websocket


def unix_connect(
    path: str | os.PathLike[str], uri: str = "ws://localhost/", **options: Any
) -> connect:
    """Connects to a server that listens on a Unix domain socket.

    Args:
        path: of the socket.
        uri: what the handshake asks for.
        options: those of `connect`.
    """
    return connect(uri, path=path, **options)


def _close(websocket: WebSocket) -> None:
    try:
        websocket.close()
    except BaseException:
        websocket.abort()
        raise
