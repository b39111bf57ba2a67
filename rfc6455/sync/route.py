"""The way from a client to a server: straight, by a Unix domain socket, or through a proxy.

What lives here: how a thread goes the way that the application wants. This file does not know what
is asked at its end.
"""

from __future__ import annotations

import socket
import ssl
from typing import Final

from ..errors import ProxyError, UsageError
from ..http import Response
from ..proxy import Proxy, Tunnel
from ..uri import WebSocketURI
from ..way import Leg, Place, Way, default_context
from .dialing import open_socket, open_unix_socket, remaining, resolve, start_tls
from .stream import Stream

__all__ = ["Route"]


A_DAY: Final = 24 * 60 * 60.0
"""Seconds, for those who do not take "no limit"."""


class Route(Way):
    """The way, and how a thread goes it."""

    __slots__ = ()

    def find(self, uri: WebSocketURI) -> Leg:
        """Chooses a proxy, or looks the name up."""
        leg = self.choose(uri)
        if self.ends_in_a_socket or leg.proxy is not None:
            return leg
        return leg._replace(addresses=resolve(*leg.place))

    def go(
        self, leg: Leg, tls: ssl.SSLContext | None, server_hostname: str, deadline: float | None
    ) -> Stream:
        """Goes to the end of the way.

        Args:
            leg: what `find` has found.
            tls: a context for TLS with the server.
            server_hostname: the name that its certificate must have.
            deadline: a time of `time.monotonic`.
        """
        sock = self._dial(leg, deadline)
        if tls is not None:
            sock = start_tls(sock, tls, server_hostname, deadline)
        return Stream(sock)

    def _dial(self, leg: Leg, deadline: float | None) -> socket.socket:
        if self.sock is not None:
            return self.sock
        if self.path is not None:
            return open_unix_socket(self.path, deadline)
        proxy = leg.proxy
        if proxy is None:
            return self._open(leg, deadline)
        if proxy.scheme.startswith("socks"):
            return _open_socks(proxy, leg.place, self.local_addr, deadline)
        sock = self._open(leg._replace(addresses=resolve(proxy.host, proxy.port)), deadline)
        if proxy.scheme == "https":
            sock = start_tls(sock, self.proxy_ssl or default_context(), proxy.host, deadline)
        try:
            self._open_tunnel(Stream(sock), proxy, leg.place, deadline)
        except BaseException:
            sock.close()
            raise
        return sock

    def _open(self, leg: Leg, deadline: float | None) -> socket.socket:
        return open_socket(
            leg.addresses,
            deadline,
            local_addr=self.local_addr,
            delay=self.happy_eyeballs_delay,
        )

    def _open_tunnel(
        self, stream: Stream, proxy: Proxy, place: Place, deadline: float | None
    ) -> Response:
        tunnel = Tunnel(proxy, *place, user_agent=self.user_agent, limits=self.limits)
        return stream.exchange(tunnel, deadline)


def _open_socks(
    proxy: Proxy, place: Place, local_addr: Place | None, deadline: float | None
) -> socket.socket:
    """Connects to a host through a SOCKS proxy.

    Raises:
        UsageError: the package that speaks SOCKS is not installed.
        ProxyError: the proxy refused, or does not speak SOCKS.
        OSError: the proxy could not be reached.
    """
    try:
        from python_socks import ProxyConnectionError, ProxyTimeoutError, ProxyType
        from python_socks import ProxyError as SocksError
        from python_socks.sync import Proxy as SocksProxy
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
        return client.connect(*place, timeout=remaining(deadline) or A_DAY, local_addr=local_addr)
    except ProxyTimeoutError as error:
        raise TimeoutError(f"proxy {proxy} did not answer in time") from error
    except ProxyConnectionError as error:
        raise error.__cause__ or error from None
    except SocksError as error:
        raise ProxyError(f"proxy {proxy}: {error}") from error
