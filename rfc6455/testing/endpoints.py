"""WebSockets that are connected in memory.

What lives here: a pair of them, and a server whose clients need no socket. Both are the real
`WebSocket`, `connect` and `serve`; only what is under them is not. This file does not know what
happens on the network.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

from ..asyncio import Server, WebSocket, connect, serve
from ..asyncio.incoming import Incoming
from ..asyncio.opening import Opening
from ..connection import Connection, Role
from ..errors import UsageError
from ..extensions import Extension, ExtensionFactory
from ..limits import Limits
from ..router import Router
from ..uri import WebSocketURI
from ..way import Leg
from .network import Link, Network

__all__ = ["MemoryServer", "client", "pair", "serving"]

Handler: TypeAlias = Callable[[WebSocket], Awaitable[None]]
DEFAULT_LIMITS: Final = Limits()


@contextlib.asynccontextmanager
async def pair(
    network: Network | None = None,
    *,
    limits: Limits = DEFAULT_LIMITS,
    server_limits: Limits | None = None,
    extensions: Sequence[ExtensionFactory] = (),
    subprotocol: str | None = None,
) -> AsyncIterator[tuple[WebSocket, WebSocket]]:
    """Connects two WebSockets to each other, without an opening handshake.

    Args:
        network: what is between them; by default one without faults.
        limits: of both sides.
        server_limits: of the server's side, where they differ.
        extensions: what both sides have agreed on.
        subprotocol: likewise.

    Yields:
        The client's side and the server's. What is still open at the end of the block is dropped.
    """
    link = (network or Network()).link()
    loop = asyncio.get_running_loop()
    agreed = [_agree(factory) for factory in extensions]
    sides = []
    for role, transport, mine, index in (
        (Role.CLIENT, link.client, limits, 0),
        (Role.SERVER, link.server, server_limits or limits, 1),
    ):
        used = [both[index] for both in agreed]
        core = Connection(role, limits=mine, extensions=used, now=loop.time())
        websocket = WebSocket(core, transport, loop, subprotocol=subprotocol)
        transport.set_protocol(websocket)
        websocket.opened()
        sides.append(websocket)
    client, server = sides
    try:
        yield client, server
    finally:
        for websocket in sides:
            websocket.abort()
        for websocket in sides:
            await websocket.wait_closed()


def _agree(factory: ExtensionFactory) -> tuple[Extension, Extension]:
    """What an opening handshake would have come to."""
    for offer in factory.offers():
        accepted = factory.accept(offer)
        if accepted is not None:
            answer, extension = accepted
            return factory.confirm(answer), extension
    raise UsageError(f"{factory.name} does not accept its own offers")


class MemoryServer:
    """A server that listens in memory alone; made by `serving`.

    Attributes:
        server: the server, as `serve` makes it.
        network: what is between it and its clients.
    """

    def __init__(self, server: Server, network: Network) -> None:
        self.server = server
        self.network = network

    def connect(self, uri: str = "ws://localhost/", **options: Any) -> connect:
        """Connects a client, with the whole opening handshake.

        Args:
            uri: what is asked for: a ``ws://`` URI with any host, or a path.
            options: those of `connect`, but for those that say where to and through what.

        Returns:
            What `connect` returns: it is awaited, entered or iterated over.

        Raises:
            UsageError: the URI is not valid, or asks for TLS.
        """
        uri = f"ws://localhost{uri}" if uri.startswith("/") else uri
        connecting = connect(uri, proxy=None, **options)
        connecting._route = _MemoryRoute(self)  # type: ignore[assignment]
        return connecting

    def accept(self) -> tuple[Link, Incoming]:
        """Makes a link, and what the server puts at its end."""
        return self.network.link(), Incoming(self.server, asyncio.get_running_loop())


class _MemoryRoute:
    """The way of a client to a server in memory, in place of `rfc6455.asyncio.route.Route`."""

    sock = None

    def __init__(self, server: MemoryServer) -> None:
        self._server = server

    def why_not(self, moved: bool) -> str:
        return "another server is not in memory" if moved else ""

    async def find(self, uri: WebSocketURI) -> Leg:
        if uri.secure:
            raise UsageError("there is no TLS in memory: ask for a ws:// URI")
        return Leg(None, (uri.host, uri.port), [])

    async def start(self, opening: Opening[Any], *_: object) -> None:
        link, incoming = self._server.accept()
        link.start(opening, incoming)


@contextlib.asynccontextmanager
async def serving(
    handler: Handler | Router, network: Network | None = None, **options: Any
) -> AsyncIterator[MemoryServer]:
    """Runs a server in memory until the end of the block.

    Args:
        handler: as in `serve`.
        network: what is between it and its clients; by default one without faults.
        options: those of `serve`, but for those that say where to listen.
    """
    async with serve(handler, sock=(), **options) as server:
        yield MemoryServer(server, network or Network())


@contextlib.asynccontextmanager
async def client(
    handler: Handler | Router,
    uri: str = "ws://localhost/",
    *,
    network: Network | None = None,
    **options: Any,
) -> AsyncIterator[WebSocket]:
    """Runs a server in memory, and connects one client to it.

    Args:
        handler: as in `serve`.
        uri: what the client asks for, as in `MemoryServer.connect`.
        network: what is between them; by default one without faults.
        options: those of `serve`, but for those that say where to listen.

    Yields:
        The client's WebSocket.
    """
    async with serving(handler, network, **options) as server, server.connect(uri) as websocket:
        yield websocket
