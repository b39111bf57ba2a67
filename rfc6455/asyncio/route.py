"""The way from a client to a server: straight, by a Unix domain socket, or through a proxy.

What lives here: what the application says about the way, and how an `Opening` gets to its end. This
file does not know what is asked there.
"""

from __future__ import annotations

import socket
import ssl
from typing import Any

from ..proxy import Tunnel
from ..uri import WebSocketURI
from ..way import Address, Leg, Way, default_context
from .dialing import open_socket, open_unix_socket, resolve
from .opening import Opening, open_socks, open_tunnel, start_in, start_on

__all__ = ["Route"]


class Route(Way):
    """The way, and how coroutines go it."""

    __slots__ = ()

    async def find(self, uri: WebSocketURI) -> Leg:
        """Chooses a proxy, or looks the name up."""
        leg = self.choose(uri)
        if self.ends_in_a_socket or leg.proxy is not None:
            return leg
        return leg._replace(addresses=await resolve(*leg.place))

    async def start(
        self,
        opening: Opening[Any],
        leg: Leg,
        tls: ssl.SSLContext | None,
        server_hostname: str,
    ) -> None:
        """Starts an exchange at the end of the way."""
        proxy = leg.proxy
        if proxy is None or proxy.scheme.startswith("socks"):
            await start_on(await self._dial(leg), opening, tls, server_hostname)
            return
        tunnel = Tunnel(proxy, *leg.place, user_agent=self.user_agent, limits=self.limits)
        proxy_tls = None
        if proxy.scheme == "https":
            proxy_tls = self.proxy_ssl or default_context()
        sock = await self._open(await resolve(proxy.host, proxy.port))
        transport = await open_tunnel(proxy, tunnel, sock, proxy_tls)
        await start_in(transport, opening, tls, server_hostname)

    async def _dial(self, leg: Leg) -> socket.socket:
        if self.sock is not None:
            return self.sock
        if self.path is not None:
            return await open_unix_socket(self.path)
        if leg.proxy is not None:
            return await open_socks(leg.proxy, *leg.place, self.local_addr)
        return await self._open(leg.addresses)

    async def _open(self, addresses: list[Address]) -> socket.socket:
        return await open_socket(
            addresses, local_addr=self.local_addr, delay=self.happy_eyeballs_delay
        )
