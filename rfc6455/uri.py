"""RFC 6455 §3: ws and wss URIs.

What lives here: the grammar, which the URLs of proxies share, and what a client needs from a URI.
This file does not know how a connection is opened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from .errors import UsageError

__all__ = ["Parts", "WebSocketURI", "parse_uri", "split_uri"]

# RFC 3986, with what §11.1.1 wants percent-encoded let through here and encoded below.
URI: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9]*)://"
    r"(?:(?P<userinfo>[^/?#@]*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^/?#@:\[\]]+)"
    r"(?::(?P<port>[0-9]*))?"
    r"(?P<path>/[^?#]*)?"
    r"(?:\?(?P<query>[^#]*))?",
)
CONTROL: Final = re.compile(r"[\x00-\x20\x7f-\xa0\ud800-\udfff]")
ASCII_HOST: Final = re.compile(
    r"\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+"
)
DEFAULT_PORTS: Final = {"ws": 80, "wss": 443}
PORTS: Final = range(1, 0x10000)


@dataclass(frozen=True, slots=True)
class WebSocketURI:
    """A parsed URI.

    Attributes:
        secure: whether TLS is used (wss).
        host: the host name, in ASCII; an IPv6 address without its brackets.
        port: from the URI, or 80 and 443.
        resource_name: path and query, as they stand in the request line.
        user: from ``user:password@``, percent-decoded; None without.
        password: likewise.
    """

    secure: bool
    host: str
    port: int
    resource_name: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def scheme(self) -> str:
        """``wss`` or ``ws``."""
        return "wss" if self.secure else "ws"

    @property
    def origin(self) -> str:
        """Scheme, host and port: who is spoken to, without what may be secret in a URI."""
        return f"{self.scheme}://{self.host_header}"

    @property
    def host_header(self) -> str:
        """The value of the Host field: the port stands in it unless it is the default (§4.1)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


class Parts(NamedTuple):
    """The parts of a URI; see `WebSocketURI`."""

    scheme: str
    host: str
    port: int
    resource_name: str
    user: str | None
    password: str | None


def parse_uri(uri: str) -> WebSocketURI:
    """Reads a ws or wss URI.

    Raises:
        UsageError: it is not one, or it has a fragment. §3: "Fragment identifiers are meaningless
            in the context of WebSocket URIs and MUST NOT be used".
    """
    parts = split_uri(uri, DEFAULT_PORTS)
    return WebSocketURI(parts.scheme == "wss", *parts[1:])


def split_uri(uri: str, default_ports: Mapping[str, int]) -> Parts:
    """Reads a URI of one of several schemes; each has the port that stands for none.

    Raises:
        UsageError: it is not one. Credentials in it are not repeated in the message.
    """
    if CONTROL.search(uri):
        raise UsageError(f"URI holds spaces or control characters: {_shown(uri)}")
    if "#" in uri:
        raise UsageError(f"URI has a fragment; a literal '#' is written %23: {_shown(uri)}")
    match = URI.fullmatch(uri)
    if match is None or match["scheme"].lower() not in default_ports:
        schemes = " or ".join(f"{scheme}://" for scheme in default_ports)
        raise UsageError(f"not a {schemes} URI: {_shown(uri)}")
    scheme = match["scheme"].lower()
    port = _port(match["port"]) if match["port"] else default_ports[scheme]
    if port not in PORTS:
        raise UsageError(f"no such port: {_shown(uri)}")
    resource_name = _encode(match["path"] or "/")
    if match["query"]:
        resource_name += "?" + _encode(match["query"])
    user = password = None
    if match["userinfo"] is not None:
        name, colon, secret = match["userinfo"].partition(":")
        user, password = unquote(name), unquote(secret) if colon else None
    return Parts(scheme, _ascii_host(match["host"], uri), port, resource_name, user, password)


def _shown(uri: str) -> str:
    """Quotes a URI for a message, without its credentials."""
    # A password may hold what should have been encoded, and end the authority too early.
    return repr(re.sub(r"^([A-Za-z0-9]+://)?.*@", r"\1***@", uri, flags=re.DOTALL))


def _port(digits: str) -> int:
    port = 0
    for digit in digits:
        port = 10 * port + ord(digit) - ord("0")
    return port


def _ascii_host(host: str, uri: str) -> str:
    # §11.1.1: a host that is not ASCII is converted with IDNA.
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError as error:
            raise UsageError(f"host name cannot be converted to ASCII: {_shown(uri)}") from error
    if not ASCII_HOST.fullmatch(host):
        raise UsageError(f"not a host name: {_shown(uri)}")
    return host.lower()[1:-1] if host.startswith("[") else host.lower()


def _encode(component: str) -> str:
    """Percent-encodes what may not stand in a URI (§11.1.1); a ``%`` is taken as written."""
    return quote(component, safe="/?:@!$&'()*+,;=-._~%")
