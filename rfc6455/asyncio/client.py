"""A WebSocket client on asyncio.

What lives here: opening TCP, TLS and the opening handshake, within one time limit. This file does
not know about messages.
"""

from __future__ import annotations

import asyncio
import ssl as ssl_module
from collections.abc import Generator, Sequence
from typing import Any, cast

from ..connection import Connection, Role
from ..errors import HandshakeError
from ..extensions import DEFAULT_EXTENSIONS, ExtensionFactory
from ..handshake import ClientHandshake
from ..headers import HeadersLike
from ..http import Response
from ..limits import Limits
from ..uri import WebSocketURI, parse_uri
from .connection import WebSocket

__all__ = ["connect"]


class connect:
    """Connects to a server: ``async with connect(uri) as websocket``, or ``await connect(uri)``.

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

    def __await__(self) -> Generator[Any, None, WebSocket]:
        return self._connect().__await__()

    async def __aenter__(self) -> WebSocket:
        self._websocket = await self._connect()
        return self._websocket

    async def __aexit__(self, exc_type: type[BaseException] | None, *details: object) -> None:
        assert self._websocket is not None
        await self._websocket.__aexit__(exc_type, *details)

    async def _connect(self) -> WebSocket:
        loop = asyncio.get_running_loop()
        uri = self._uri
        opening = _Opening(self._handshake, self._limits, loop)
        try:
            async with asyncio.timeout(self._limits.open_timeout):
                await loop.create_connection(
                    lambda: opening, uri.host, uri.port, ssl=self._tls(uri)
                )
                return await opening.websocket
        except BaseException:
            opening.abandon()
            raise

    def _tls(self, uri: WebSocketURI) -> ssl_module.SSLContext | None:
        if not uri.secure:
            return None
        return ssl_module.create_default_context() if self._ssl is None else self._ssl


class _Opening(asyncio.Protocol):
    """A server whose answer to our opening handshake is awaited."""

    def __init__(
        self, handshake: ClientHandshake, limits: Limits, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._handshake = handshake
        self._limits = limits
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self.websocket: asyncio.Future[WebSocket] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._handshake.request_data())

    def data_received(self, data: bytes) -> None:
        if self.websocket.done():
            return
        try:
            response = self._handshake.receive_data(data)
        except HandshakeError as error:
            self.websocket.set_exception(error)
            return
        if response is not None:
            self._finish(response)

    def eof_received(self) -> None:
        if self.websocket.done():
            return
        try:
            response = self._handshake.receive_eof()
        except HandshakeError as error:
            self.websocket.set_exception(error)
        else:
            assert response is not None
            self._finish(response)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.websocket.done():
            self.websocket.set_exception(exc or ConnectionResetError("connection lost"))

    def abandon(self) -> None:
        """Drops the connection; nobody waits for it any more."""
        if self._transport is not None:
            self._transport.abort()
        if not self.websocket.cancel() and not self.websocket.cancelled():
            self.websocket.exception()

    def _finish(self, response: Response) -> None:
        if response.status != 101:
            self.websocket.set_exception(
                HandshakeError(
                    f"server answered with HTTP status {response.status}",
                    response.status,
                    response.headers.items(),
                )
            )
            return
        assert self._transport is not None
        handshake = self._handshake
        core = Connection(
            Role.CLIENT,
            limits=self._limits,
            extensions=handshake.extensions,
            now=self._loop.time(),
        )
        websocket = WebSocket(
            core,
            self._transport,
            self._loop,
            response=response,
            subprotocol=handshake.subprotocol,
        )
        self._transport.set_protocol(websocket)
        self.websocket.set_result(websocket)
        if handshake.trailing_data:
            websocket.data_received(handshake.trailing_data)
