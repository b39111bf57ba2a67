"""What a client asks before a WebSocket is open: a proxy for a tunnel, a server for a handshake.

What lives here: a transport on which one exchange of HTTP takes place, and the ways through
proxies. This file does not know what is asked, nor how often, nor for how long.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar, cast

from ..errors import HandshakeError, ProxyError, UsageError
from ..http import Response
from ..proxy import Proxy, Tunnel
from .reads import BytesProtocol

__all__ = ["Opening", "open_socks", "open_tunnel", "start_in", "start_on"]

T = TypeVar("T")

A_DAY: Final = 24 * 60 * 60.0
"""Seconds: for those who want a time limit of their own, inside the one for everything."""

UNREACHABLE: Final = frozenset({0x01, 0x03, 0x04, 0x05, 0x06, 0x5B})
"""Replies of SOCKS that tell of the network behind the proxy (RFC 1928 §6; 0x5B is SOCKS 4's)."""


class Exchange(Protocol):
    """What `ClientHandshake` and `Tunnel` have in common."""

    def request_data(self) -> bytes:
        """Returns the bytes of the request."""

    def receive_data(self, data: bytes) -> Response | None:
        """Takes what a read brought; returns the answer when it has come."""

    def receive_eof(self) -> Response | None:
        """Takes the end of TCP."""


class Opening(BytesProtocol, Generic[T]):
    """A peer whose answer to a request is awaited.

    Args:
        exchange: the request and its answer.
        finish: makes the result, in the same step in which the answer comes: what follows it
            belongs to whoever takes the transport.

    Attributes:
        result: what ``finish`` makes, or the error.
    """

    def __init__(
        self, exchange: Exchange, finish: Callable[[asyncio.Transport, Response], T]
    ) -> None:
        self._exchange = exchange
        self._finish = finish
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self.result: asyncio.Future[T] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the request."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._exchange.request_data())

    def data_received(self, data: bytes) -> None:
        """Takes what a read brought."""
        self._receive(lambda: self._exchange.receive_data(data))

    def eof_received(self) -> None:
        """Takes the end of the peer's side of TCP."""
        self._receive(self._exchange.receive_eof)

    def connection_lost(self, exc: Exception | None) -> None:
        """Takes the end of TCP."""
        if not self.result.done():
            self.result.set_exception(exc or ConnectionResetError("connection lost"))

    def abandon(self) -> None:
        """Drops the connection; nobody waits for it any more."""
        if self._transport is not None:
            self._transport.abort()
        if not self.result.cancel() and not self.result.cancelled():
            self.result.exception()

    def _receive(self, receive: Callable[[], Response | None]) -> None:
        if self.result.done():
            return
        assert self._transport is not None
        try:
            response = receive()
        except HandshakeError as error:
            self.result.set_exception(error)
            return
        if response is not None:
            self.result.set_result(self._finish(self._transport, response))


async def start_on(
    sock: socket.socket,
    opening: Opening[Any],
    tls: ssl.SSLContext | None,
    server_hostname: str | None,
) -> None:
    """Puts an exchange on a connected socket, inside TLS if there is a context for it."""
    loop = asyncio.get_running_loop()
    unix = sock.family == getattr(socket, "AF_UNIX", None)
    await (loop.create_unix_connection if unix else loop.create_connection)(
        lambda: opening,
        sock=sock,
        ssl=tls,
        server_hostname=server_hostname if tls else None,
        ssl_handshake_timeout=A_DAY if tls else None,
    )


async def open_tunnel(
    proxy: Proxy, tunnel: Tunnel, sock: socket.socket, tls: ssl.SSLContext | None
) -> asyncio.Transport:
    """Has an HTTP proxy open a tunnel, and returns the transport that leads through it.

    Args:
        proxy: who is asked.
        tunnel: the question.
        sock: connected to the proxy.
        tls: a context for TLS with the proxy, where its scheme is ``https``.
    """
    opening = Opening(tunnel, lambda transport, response: transport)
    try:
        await start_on(sock, opening, tls, proxy.host)
        return await opening.result
    except BaseException:
        opening.abandon()
        raise


async def start_in(
    transport: asyncio.Transport,
    opening: Opening[Any],
    tls: ssl.SSLContext | None,
    server_hostname: str,
) -> None:
    """Puts an exchange into a tunnel, inside TLS if there is a context for it."""
    if transport.is_closing():
        raise ConnectionResetError("the proxy has closed the tunnel")
    inner: asyncio.Transport | None = transport
    if tls is None:
        transport.set_protocol(opening)
    else:
        try:
            inner = await asyncio.get_running_loop().start_tls(
                transport,
                opening,
                tls,
                server_hostname=server_hostname,
                ssl_handshake_timeout=A_DAY,
            )
        except BaseException:
            transport.abort()
            raise
    if inner is None:
        raise ConnectionResetError("connection lost in the handshake of TLS")
    opening.connection_made(inner)


async def open_socks(
    proxy: Proxy, host: str, port: int, local_addr: tuple[str, int] | None
) -> socket.socket:
    """Connects to a host through a SOCKS proxy.

    Raises:
        UsageError: the package that speaks SOCKS is not installed.
        ProxyError: the proxy refused, or does not speak SOCKS; the cause is an `OSError` or an
            `EOFError` where it was the network.
        OSError: the proxy could not be reached.
    """
    try:
        from python_socks import ProxyConnectionError, ProxyType
        from python_socks import ProxyError as SocksError
        from python_socks.async_.asyncio import Proxy as SocksProxy
    except ImportError as error:
        raise UsageError(
            "a SOCKS proxy needs the package python-socks: pip install 'rfc6455[proxy]'"
        ) from error
    client = SocksProxy(
        ProxyType.SOCKS4 if proxy.scheme.startswith("socks4") else ProxyType.SOCKS5,
        proxy.host,
        proxy.port,
        proxy.user,
        proxy.password,
        rdns=proxy.scheme in ("socks4a", "socks5h"),
    )
    try:
        sock: socket.socket = await client.connect(host, port, timeout=A_DAY, local_addr=local_addr)
    except ProxyConnectionError as error:
        raise error.__cause__ or error from None
    except SocksError as error:
        cause: Exception = error
        # It has no public name.
        if type(error.__cause__).__name__ == "IncompleteReadError":
            cause = EOFError()
        elif error.error_code in UNREACHABLE:
            cause = ConnectionError(str(error))
        raise ProxyError(f"proxy {proxy}: {error}") from cause
    # As asyncio does for its own.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock
