"""Proxies: which one to use, and how an HTTP proxy is asked for a tunnel (RFC 9110 §9.3.6).

What lives here: the URLs of proxies, the choice among those of an environment, and the exchange
that opens a tunnel. This file does no I/O; it does not know what travels through the tunnel.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, NoReturn

from .errors import HandshakeError, ProxyError, UsageError
from .exchange import Exchange
from .headers import Headers, basic_credentials, is_host
from .http import Response
from .limits import Limits
from .uri import WebSocketURI, split_uri
from .version import USER_AGENT

__all__ = ["Proxy", "Tunnel", "choose_proxy", "environment_proxy", "parse_proxy"]

DEFAULT_PORTS: Final = {
    "http": 80,
    "https": 443,
    "socks4": 1080,
    "socks4a": 1080,
    "socks5": 1080,
    "socks5h": 1080,
}
# RFC 6455 §4.1: without a choice for WebSocket, clients "are encouraged to use a SOCKS5 proxy for
# WebSocket connections, if available, or failing that, to prefer the proxy configured for HTTPS
# connections over the proxy configured for HTTP connections."
SECURE_ORDER: Final = ("wss", "socks", "https", "all")
PLAIN_ORDER: Final = ("ws", "socks", "https", "http", "all")

SYSTEMS_WITH_SETTINGS: Final = ("darwin", "win32")
"""Where `urllib.request` also looks elsewhere than into the environment."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy.

    Attributes:
        scheme: ``http``, or ``https`` where the way to the proxy is TLS too; or ``socks4``,
            ``socks4a``, ``socks5``, ``socks5h``, where ``a`` and ``h`` let the proxy look names up.
        host: its name, in ASCII; an IPv6 address without its brackets.
        port: its port.
        user: None without credentials.
        password: likewise.
    """

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Its URL, without the credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_proxy(url: str) -> Proxy:
    """Reads the URL of a proxy; one without a scheme is one for HTTP.

    Raises:
        UsageError: it is none. Credentials in it are not repeated in the message.
    """
    try:
        scheme, host, port, resource_name, user, password = split_uri(
            url if "://" in url else f"http://{url}", DEFAULT_PORTS
        )
        if resource_name != "/":
            raise UsageError("it has a path")
        if user is not None and scheme in ("http", "https"):
            basic_credentials(user, password or "")
    except UsageError as error:
        raise UsageError(f"not the URL of a proxy: {error}") from error
    return Proxy(scheme, host, port, user, password)


def choose_proxy(uri: WebSocketURI, proxies: Mapping[str, str]) -> str | None:
    """Returns the URL of the proxy for a URI, of those that an environment has; None for none.

    Args:
        uri: where to.
        proxies: as `urllib.request.getproxies` gives them, by the scheme that they are for.
    """
    for scheme in SECURE_ORDER if uri.secure else PLAIN_ORDER:
        url = proxies.get(scheme)
        # A system's settings may give SOCKS with the scheme of HTTP.
        if url and scheme == "socks" and url.startswith("http://"):
            return url.replace("http", "socks5h", 1)
        if url:
            return url
    return None


def environment_proxy(uri: WebSocketURI) -> Proxy | None:
    """Returns the proxy that the environment has for a URI; None for none.

    It is `urllib.request` that looks: at ``wss_proxy``, ``https_proxy``, ``all_proxy``,
    ``no_proxy`` and their like, and at the settings of macOS and Windows.

    Raises:
        UsageError: what it has is not the URL of a proxy.
    """
    # To look takes long, and most environments have none.
    if sys.platform not in SYSTEMS_WITH_SETTINGS and not any(
        name[-6:].lower() == "_proxy" for name in os.environ
    ):
        return None
    # Slow to import, and needed here alone.
    from urllib.request import getproxies, proxy_bypass

    url = choose_proxy(uri, getproxies())
    host = f"[{uri.host}]" if ":" in uri.host else uri.host
    if url is None or proxy_bypass(f"{host}:{uri.port}") or proxy_bypass(uri.host):
        return None
    return parse_proxy(url)


class Tunnel:
    """The client's half of asking an HTTP proxy for a tunnel.

    Write what `request_data` returns, then give what arrives to `receive_data` until it returns the
    answer: then the tunnel is open.

    Args:
        proxy: who is asked; its credentials go to nobody else.
        host: where the tunnel leads.
        port: likewise.
        user_agent: value of the User-Agent field; None for none.
        limits: see `Limits`.

    Raises:
        UsageError: an argument may not stand in a request.
    """

    def __init__(
        self,
        proxy: Proxy,
        host: str,
        port: int,
        *,
        user_agent: str | None = USER_AGENT,
        limits: Limits | None = None,
    ) -> None:
        # RFC 9110 §9.3.6: "there is no default port; a client MUST send the port number even if
        # the CONNECT request is based on a URI reference that contains an authority component with
        # an elided port".
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        headers = Headers([("Host", target)])
        if not is_host(target.encode("latin-1")):
            raise UsageError(f"not a host name: {host!r}")
        if user_agent is not None:
            headers.add("User-Agent", user_agent)
        if proxy.user is not None:
            credentials = basic_credentials(proxy.user, proxy.password or "")
            headers.add("Proxy-Authorization", credentials)
        self._exchange = Exchange(
            "CONNECT", target, headers, Limits() if limits is None else limits
        )

    def request_data(self) -> bytes:
        """Returns the bytes of the request."""
        return self._exchange.request_data()

    def receive_data(self, data: bytes) -> Response | None:
        """Takes what a read brought. Returns the answer that opens the tunnel, when it has come.

        Raises:
            ProxyError: the proxy refused, or its answer is not valid HTTP.
        """
        try:
            response = self._exchange.receive_data(data)
        except HandshakeError as error:
            raise ProxyError(f"proxy: {error}") from error
        if response is None:
            return None
        if not 200 <= response.status < 300:
            raise _refusal(response)
        # The client speaks first in a tunnel; whoever else did cannot be the server.
        if self._exchange.trailing_data:
            raise ProxyError("proxy sent something of its own into the tunnel", response.status)
        return response

    def receive_eof(self) -> NoReturn:
        """Takes the end of TCP before the tunnel was open.

        Raises:
            ProxyError: always: a refusal whose body ended with it, or that there was no answer.
        """
        try:
            response = self._exchange.receive_eof()
        except HandshakeError as error:
            raise ProxyError(f"proxy: {error}") from error.__cause__
        raise _refusal(response)


def _refusal(response: Response) -> ProxyError:
    hint = ""
    if response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        wanted = response.headers.get("Proxy-Authenticate", "nothing that it names")
        hint = f": it wants credentials ({wanted!r})"
    return ProxyError(
        f"proxy answered with HTTP status {response.status}{hint}",
        response.status,
        response.headers.items(),
        response.body,
    )
