"""`rfc6455.proxy`: the URL of a proxy, and what one answers to CONNECT.

For every input:

- Read as text, `parse_proxy` returns, or raises `UsageError` that repeats no password; its proxy is
  asked in one request, for the place that was wanted, with the credentials of the URL.
- Read as an answer, `Tunnel.receive_data` and `receive_eof` return, or raise `ProxyError`; nothing
  else. However the input is cut, the outcome is the same; but for h11's limit on what surrounds the
  chunks of a body.
- A tunnel opens only for a 2xx behind which nothing follows.
- Never more is retained than the limits allow and the last read brought.
"""

from __future__ import annotations

import base64
from typing import NamedTuple

import h11

from rfc6455 import Limits, ProxyError, UsageError
from rfc6455.proxy import Proxy, Tunnel, parse_proxy

from ..oracles import digest, outcome, pieces, require, retained, unquoted

LIMITS = Limits(
    max_request_line_size=128,
    max_header_line_size=256,
    max_head_size=768,
    max_headers=12,
    max_body_size=64,
)
H11_LIMIT = "Receive buffer too long"
"""h11's limit for what surrounds chunks: it counts what is there when it asks for more."""


class Verdict(NamedTuple):
    """What became of the question."""

    opened: bool = False
    status: int = 0
    error: str = ""
    body: bytes = b""


def seeds() -> dict[str, bytes]:
    """Returns URLs, and answers."""
    return {
        "http": b"http://proxy.example:3128",
        "https": b"https://user:p%40ss@proxy.example/",
        "socks": b"socks5h://[::1]",
        "bare": b"proxy.example:3128",
        "bare-user": b"user:pass@proxy.example:3128",
        "path": b"http://proxy.example/path",
        "other": b"ftp://user:pass@proxy.example",
        "user-line": b"http://us%0aer:pass@proxy.example",
        "user-colon": b"http://us%3aer:pass@proxy.example",
        "opened": b"HTTP/1.1 200 Connection established\r\n\r\n",
        "opened-1.0": b"HTTP/1.0 200 OK\r\nProxy-agent: x\r\n\r\n",
        "opened-length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        "opened-chunked": b"HTTP/1.1 204 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "spoke-first": b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101 X\r\n\r\n",
        "credentials": b"HTTP/1.1 407 X\r\nProxy-Authenticate: Basic realm=x\r\n"
        b"Content-Length: 5\r\n\r\nsorry",
        "chunked": b"HTTP/1.1 502 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n0\r\n\r\n",
        "until-the-end": b"HTTP/1.1 503 X\r\n\r\nuntil the end",
        "endless": b"HTTP/1.1 503 X\r\n\r\n" + b"*" * 100,
        "switching": b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        "interim": b"HTTP/1.1 102 X\r\n\r\n" * 4 + b"HTTP/1.1 200 X\r\n\r\n",
        "storm": b"HTTP/1.1 102 X\r\n\r\n" * 6,
        "redirect": b"HTTP/1.1 302 X\r\nLocation: http://evil.example\r\n\r\n",
        "lf": b"HTTP/1.1 200 OK\n\n",
        "many-fields": b"HTTP/1.1 200 OK\r\n" + b"a:b\r\n" * 20,
        "nonsense": b"\x05\x00",
    }


def check(data: bytes) -> None:
    """Checks the invariants, for the input as a URL and as an answer."""
    _check_url(data.decode("utf-8", "replace"))
    _, verdict = _ask([data])
    tunnel, again = _ask([bytes(piece) for piece in pieces(data)])
    # What follows the head of a tunnel may come in a read of its own, when nobody asks any more.
    same = verdict == again or (again.opened and "of its own" in verdict.error)
    if H11_LIMIT not in verdict.error + again.error:
        require(same, "the cut matters", verdict, again)
    if digest(data) >> 8 & 0b111 == 0:
        require(retained(tunnel) <= 8192 + 4 * 768 + 2 * len(data), "too much is retained")
    if verdict.opened:
        require(200 <= verdict.status < 300, "opened by something else", verdict)
        require(data.endswith(b"\r\n\r\n"), "something follows", data)
    require(len(verdict.body) <= 64, "over a limit", verdict)


def _ask(parts: list[bytes]) -> tuple[Tunnel, Verdict]:
    tunnel = Tunnel(Proxy("http", "proxy", 80), "example.com", 443, limits=LIMITS)
    tunnel.request_data()
    try:
        for part in parts:
            response = tunnel.receive_data(part)
            if response is not None:
                return tunnel, Verdict(True, response.status)
        tunnel.receive_eof()
    except ProxyError as error:
        return tunnel, Verdict(False, error.status, unquoted(str(error)), error.body)


def _check_url(text: str) -> None:
    proxy, error = outcome(parse_proxy, text, documented=UsageError)
    if proxy is None:
        userinfo, at, _ = text.partition("://")[2].partition("/")[0].rpartition("@")
        password = userinfo.partition(":")[2]
        secret = at and len(password) > 8 and password not in text.replace(userinfo, "")
        require(not secret or password not in str(error), "a password is told", error)
        return
    if proxy.scheme.startswith("socks"):
        return
    server = h11.Connection(h11.SERVER)
    server.receive_data(Tunnel(proxy, "::1", 443).request_data())
    request = server.next_event()
    assert isinstance(request, h11.Request)
    require((request.method, request.target) == (b"CONNECT", b"[::1]:443"), "another place")
    values = [value for name, value in request.headers if name == b"proxy-authorization"]
    if proxy.user is None:
        require(not values, "credentials from nowhere", values)
        return
    pair = f"{proxy.user}:{proxy.password or ''}".encode()
    require(values == [b"Basic " + base64.b64encode(pair)], "other credentials", values)
