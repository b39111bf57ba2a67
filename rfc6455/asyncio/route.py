"""The way from a client to a server: straight, by a Unix domain socket, or through a proxy.

What lives here: what the application says about the way, and how an `Opening` gets to its end. This
file does not know what is asked there.
"""

from __future__ import annotations

import os
import socket
import ssl
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import UsageError
from ..limits import Limits
from ..proxy import Proxy, Tunnel, environment_proxy
from ..uri import WebSocketURI
from .dialing import Address, Place, open_socket, open_unix_socket, resolve
from .opening import Opening, open_socks, open_tunnel, start_in, start_on

__all__ = ["Leg", "Route", "default_context"]


class Leg(NamedTuple):
    """The way to one server.

    Attributes:
        proxy: what leads there, or None.
        place: where to; empty where the socket decides.
        addresses: those of the place, where there is no proxy to look them up.
    """

    proxy: Proxy | None
    place: Place
    addresses: list[Address]

    @property
    def places(self) -> list[Place]:
        """Where no two handshakes may be under way: IP addresses, or a name that a proxy knows."""
        # RFC 6455 §4.1: "If the client cannot determine the IP address of the remote host (for
        # example, because all communication is being done through a proxy server that performs
        # DNS queries itself), then the client MUST assume for the purposes of this step that each
        # host name refers to a distinct remote host".
        return [self.place] if self.proxy else [address.place for address in self.addresses]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What the application says about the way; see `connect`. ``proxy`` is True for "look".

    Raises:
        UsageError: it says two things that exclude each other.
    """

    host: str | None
    port: int | None
    sock: socket.socket | None
    path: str | os.PathLike[str] | None
    local_addr: tuple[str, int] | None
    happy_eyeballs_delay: float | None
    proxy: Proxy | bool
    proxy_ssl: ssl.SSLContext | None
    user_agent: str | None
    limits: Limits

    def __post_init__(self) -> None:
        ends = [
            self.sock is not None,
            self.path is not None,
            self.host is not None or self.port is not None,
        ]
        if sum(ends) > 1:
            raise UsageError("sock, path, and host or port exclude each other")
        if self.ends_in_a_socket and isinstance(self.proxy, Proxy):
            raise UsageError("no proxy leads to a socket that is given, or to a path")
        if self.ends_in_a_socket and self.local_addr is not None:
            raise UsageError("local_addr is for TCP connections that are opened here")

    @property
    def ends_in_a_socket(self) -> bool:
        """Whether neither a name nor an address is where it leads."""
        return self.sock is not None or self.path is not None

    def why_not(self, moved: bool) -> str:
        """Tells why a redirect cannot be followed, to the same origin or to another; else empty."""
        if self.sock is not None:
            return "the socket that was given cannot be connected again"
        if moved and (self.host is not None or self.port is not None or self.path is not None):
            return "host, port and path were given for another server"
        return ""

    async def find(self, uri: WebSocketURI) -> Leg:
        """Chooses a proxy, or looks the name up."""
        place = self.host or uri.host, self.port or uri.port
        if self.path is not None:
            return Leg(None, place, [])
        if self.sock is not None:
            address = Address(self.sock.family, self.sock.getpeername())
            internet = self.sock.family in (socket.AF_INET, socket.AF_INET6)
            return Leg(None, place, [address] if internet else [])
        proxy = environment_proxy(uri) if self.proxy is True else self.proxy
        if isinstance(proxy, Proxy):
            return Leg(proxy, place, [])
        return Leg(None, place, await resolve(*place))

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


def default_context() -> ssl.SSLContext:
    """Makes a context that verifies certificates and names, and asks for HTTP/1.1."""
    context = ssl.create_default_context()
    # RFC 7301: a server that also speaks HTTP/2 must not choose that.
    context.set_alpn_protocols(["http/1.1"])
    return context
