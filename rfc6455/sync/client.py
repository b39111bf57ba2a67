"""A WebSocket client for threads.

What lives here: opening TCP, TLS and the opening handshake, within one time limit. This file does
not know about messages.
"""

from __future__ import annotations

import socket
import ssl as ssl_module
import time
from collections.abc import Sequence

from ..connection import Connection, Role
from ..errors import HandshakeError
from ..extensions import DEFAULT_EXTENSIONS, ExtensionFactory
from ..handshake import ClientHandshake
from ..headers import HeadersLike
from ..http import Response
from ..limits import Limits
from ..uri import WebSocketURI, parse_uri
from .connection import WebSocket
from .dialing import dial
from .stream import Stream

__all__ = ["connect"]


class connect:
    """Connects to a server: ``with connect(uri) as websocket``, or ``connect(uri).open()``.

    Args:
        uri: a ws or wss URI.
        origin: value of the Origin field; None for none, as clients other than browsers do.
        subprotocols: those that the application speaks, the preferred one first.
        extensions: those to offer; by default permessage-deflate.
        additional_headers: further fields of the request, such as Cookie or Authorization.
        limits: see `Limits`.
        ssl: a context for TLS; by default one that verifies the server's certificate and name.

    Raises:
        UsageError: the URI or another argument is not valid.
        HandshakeError: the server refused; ``status`` is what it answered with.
        OSError: it could not be reached.
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
        limits: Limits | None = None,
        ssl: ssl_module.SSLContext | None = None,
    ) -> None:
        self._uri = parse_uri(uri)
        self._limits = Limits() if limits is None else limits
        self._handshake = ClientHandshake(
            self._uri,
            origin=origin,
            subprotocols=subprotocols,
            extensions=extensions,
            headers=additional_headers,
            limits=self._limits,
        )
        self._ssl = ssl
        self._websocket: WebSocket | None = None

    def __enter__(self) -> WebSocket:
        self._websocket = self.open()
        return self._websocket

    def __exit__(self, exc_type: type[BaseException] | None, *details: object) -> None:
        assert self._websocket is not None
        self._websocket.__exit__(exc_type, *details)

    def open(self) -> WebSocket:
        """Connects. It is for the caller to close the result."""
        timeout = self._limits.open_timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        uri = self._uri
        sock = dial(uri.host, uri.port, deadline)
        try:
            if uri.secure:
                sock = self._start_tls(sock, uri, deadline)
            stream = Stream(sock)
            return self._open(stream, self._handshake, deadline)
        except BaseException:
            sock.close()
            raise

    def _start_tls(
        self, sock: socket.socket, uri: WebSocketURI, deadline: float | None
    ) -> socket.socket:
        context = ssl_module.create_default_context() if self._ssl is None else self._ssl
        sock.settimeout(None if deadline is None else max(deadline - time.monotonic(), 1e-3))
        secure = context.wrap_socket(sock, server_hostname=uri.host, do_handshake_on_connect=False)
        try:
            # The time is for all of it, not for each read.
            secure.do_handshake()
        except BaseException:
            secure.close()
            raise
        return secure

    def _open(
        self, stream: Stream, handshake: ClientHandshake, deadline: float | None
    ) -> WebSocket:
        stream.write_before(deadline, handshake.request_data())
        response: Response | None = None
        while response is None:
            data = stream.read_before(deadline)
            response = handshake.receive_data(data) if data else handshake.receive_eof()
        if response.status != 101:
            raise HandshakeError(
                f"server answered with HTTP status {response.status}",
                response.status,
                response.headers.items(),
            )
        core = Connection(
            Role.CLIENT,
            limits=self._limits,
            extensions=handshake.extensions,
            now=time.monotonic(),
        )
        return WebSocket(
            core,
            stream,
            response=response,
            subprotocol=handshake.subprotocol,
            trailing_data=handshake.trailing_data,
        )
