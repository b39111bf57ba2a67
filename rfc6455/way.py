"""The way from a client to a server: what an application says about it, and where it leads.

What lives here: addresses, the order in which several are tried, and the choice between a name, an
address, a socket, a path and a proxy. This file does no I/O; how the way is gone, with coroutines
or threads, is told by the transports.
"""

from __future__ import annotations

import itertools
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from .errors import UsageError
from .limits import Limits
from .proxy import Proxy, environment_proxy
from .uri import WebSocketURI

__all__ = ["Address", "Leg", "Place", "Way", "default_context", "interleave"]

Place: TypeAlias = tuple[str, int]
"""A host, by its IP address or by its name, and a port."""


class Address(NamedTuple):
    """Where a socket can be connected to."""

    family: int
    sockaddr: Any

    @property
    def place(self) -> Place:
        """The IP address and the port."""
        host, port, *_ = self.sockaddr
        return host, port


def interleave(addresses: Sequence[Address]) -> list[Address]:
    """Returns addresses in the order in which they are tried: their families take turns."""
    # RFC 8305 §4: "the first address family in the list should be followed by an address of the
    # other address family".
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address.family, []).append(address)
    rounds = itertools.zip_longest(*families.values())
    return [address for addresses in rounds for address in addresses if address is not None]


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
class Way:
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

    def choose(self, uri: WebSocketURI) -> Leg:
        """Chooses a proxy, if there is one. The addresses of a leg to a name are still unknown."""
        place = self.host or uri.host, self.port or uri.port
        if self.path is not None:
            return Leg(None, place, [])
        if self.sock is not None:
            address = Address(self.sock.family, self.sock.getpeername())
            internet = self.sock.family in (socket.AF_INET, socket.AF_INET6)
            return Leg(None, place, [address] if internet else [])
        proxy = environment_proxy(uri) if self.proxy is True else self.proxy
        return Leg(proxy if isinstance(proxy, Proxy) else None, place, [])


def default_context() -> ssl.SSLContext:
    """Makes a context that verifies certificates and names, and asks for HTTP/1.1."""
    context = ssl.create_default_context()
    # RFC 7301: a server that also speaks HTTP/2 must not choose that.
    context.set_alpn_protocols(["http/1.1"])
    return context
