"""Addresses of clients: which one is the real one behind proxies, and which ones count as one.

What lives here: networks that are trusted, and the reading of X-Forwarded-For from its end. This
file does not know about connections.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from .errors import UsageError

__all__ = ["TrustedProxies", "address_group"]

UNIX: Final = "unix"
FORWARDED_FOR: Final = re.compile(
    r"(?:\[(?P<bracketed>[0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|(?P<v4>[0-9.]+)(?::[0-9]{1,5})?"
    r"|(?P<v6>[0-9A-Fa-f:.]+))"
)
IPV6_GROUP: Final = 64
"""Bits of an IPv6 address that tell who its owner is: a client has all addresses below them."""


class TrustedProxies:
    """The proxies whose word about the client's address is taken.

    Args:
        networks: addresses and networks such as ``10.0.0.0/8`` and ``::1``; ``unix`` for whoever
            connects to a Unix domain socket.

    Raises:
        UsageError: one of them is no network.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        if isinstance(networks, str):
            raise UsageError("trusted proxies are a list, not one string")
        names = list(networks)
        self._unix = UNIX in names
        try:
            self._networks = [ip_network(name) for name in names if name != UNIX]
        except ValueError as error:
            raise UsageError(f"not a network: {error}") from error

    def trust(self, address: str) -> bool:
        """Tells whether the address is that of a proxy; an empty one is that of a Unix socket."""
        if not address:
            return self._unix
        if not self._networks:
            return False
        parsed = _parse(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def client_address(self, peer: str, forwarded_for: Sequence[str]) -> str:
        """Returns the address of the client.

        Each proxy appends the address that it was called from, so only the end of the list can be
        believed: it is read from there, for as long as the one who wrote is a trusted proxy. What a
        client has put in front stays where it is.

        Args:
            peer: where the connection comes from; empty for a Unix domain socket.
            forwarded_for: the lines of X-Forwarded-For, in order.
        """
        address = peer
        entries = [entry.strip(" \t") for line in forwarded_for for entry in line.split(",")]
        while entries and self.trust(address):
            parts = FORWARDED_FOR.fullmatch(entries.pop())
            written = _parse(parts[parts.lastgroup or 0]) if parts else None
            # What cannot be read tells nothing of what stands before it.
            if written is None:
                break
            address = str(written)
        return address


def address_group(address: str) -> str:
    """Returns what counts as one client: an IPv4 address, or the first 64 bits of an IPv6 one."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed), IPV6_GROUP), strict=False))
    return address if parsed is None else str(parsed)


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    try:
        # A scope such as %eth0 says where a packet came in, not who sent it.
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return parsed if mapped is None else mapped
