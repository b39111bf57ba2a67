"""`rfc6455.uri`: ws and wss URIs.

For every text:

- `parse_uri` returns, or raises `UsageError`; nothing else.
- Host and resource name hold nothing that could end a line or a word of the request; the port is
  one.
- Written as a URI again, the parts are read as the same parts.
- A request to that URI is one request to our own server, for that resource, from that host, with
  the credentials of the URI and nothing else. It is refused only where they cannot be sent.
"""

from __future__ import annotations

import base64

from rfc6455 import Limits, UsageError
from rfc6455.handshake import ClientHandshake, ServerHandshake
from rfc6455.headers import is_host
from rfc6455.uri import WebSocketURI, parse_uri

from ..oracles import outcome, require

NO_LIMITS = Limits(
    max_request_line_size=None, max_header_line_size=None, max_head_size=None, max_headers=None
)

FIELDS = [
    *("Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"),
    "User-Agent",
]


def seeds() -> dict[str, bytes]:
    """Returns URIs, and what is nearly one."""
    texts = {
        "rfc-1.2": "ws://example.com/chat",
        "rfc-3": "wss://server.example.com:8443/resource/name?query=a&b",
        "upper": "WSS://EXAMPLE.COM:0443",
        "ipv6": "ws://[2001:DB8::1]:80/",
        "ipv4": "ws://127.0.0.1:8765?x",
        "userinfo": "ws://user:p%40ss@localhost/path",
        "userinfo-empty": "ws://:@localhost",
        "userinfo-colon": "ws://us%3aer:p@localhost",
        "userinfo-lines": "ws://user:p%0d%0aX: y@localhost",
        "userinfo-any": "ws://us%ffer:%e2%82%ac@localhost",
        "fragment": "ws://example.com/#fragment",
        "escaped-fragment": "ws://example.com/%23fragment?%",
        "http": "http://example.com/",
        "port-zero": "ws://example.com:0/",
        "port-large": "ws://example.com:65536/",
        "port-digits": "ws://example.com:\u0661\u0662/",
        "port-many": "ws://example.com:" + "9" * 100,
        "idna": "ws://b\u00fccher.example/stra\u00dfe?\u20ac=1",
        "idna-dots": "ws://a\u3002b\uff0ec/",
        "idna-slash": "ws://a\u2044b/",
        "idna-compat": "ws://a\u2100b/",
        "idna-long": "ws://" + "\u00fc" * 64 + "/",
        "crlf": "ws://example.com/\r\nX: y",
        "nul": "ws://example.com/\x00",
        "next-line": "ws://example.com/\x85",
        "truncates-to-lf": "ws://example.com/\u010a",
        "surrogate": "ws://example.com/\ud800",
        "space": "ws://example.com/a b",
        "backslash": "ws://example.com\\@evil.example/",
        "two-hosts": "ws://a@b@c/",
        "dots": "ws://../..%2f/../",
        "percent-host": "ws://exa%6dple.com/",
        "empty-label": "ws://a..b/",
    }
    return {name: text.encode("utf-8", "surrogatepass") for name, text in texts.items()}


def check(data: bytes) -> None:
    """Checks the invariants for a text, whichever way the input can be read as one."""
    try:
        text = data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    uri, _ = outcome(parse_uri, text, documented=UsageError)
    if uri is None:
        return
    require(0 < uri.port < 0x10000, "not a port", uri)
    require(uri.host and is_host(uri.host_header.encode("ascii")), "not a host", uri)
    require(uri.host == uri.host.lower(), "the case of a host matters", uri)
    name = uri.resource_name
    require(name.startswith("/") and name.isascii() and name.isprintable(), "not a resource", uri)
    require(" " not in name and "#" not in name, "not a resource name", uri)
    scheme = "wss" if uri.secure else "ws"
    again = parse_uri(f"{scheme}://{uri.host_header}{name}")
    without_user = WebSocketURI(uri.secure, uri.host, uri.port, name)
    require(again == without_user, "read back as something else", uri, again)
    _check_request(uri)


def _check_request(uri: WebSocketURI) -> None:
    client, _ = outcome(ClientHandshake, uri, documented=UsageError)
    if client is None:
        require(uri.user is not None, "refused, though it has no credentials", uri)
        return
    server = ServerHandshake(NO_LIMITS)
    request = server.receive_data(client.request_data())
    assert request is not None
    require(request.target == uri.resource_name, "another resource is asked for", request)
    require(request.headers.get_all("Host") == [uri.host_header], "another host", request)
    names = [name for name, _ in request.headers]
    expected = FIELDS if uri.user is None else [*FIELDS, "Authorization"]
    require(names == expected and not server.trailing_data, "more than asked for", request, names)
    if uri.user is not None:
        pair = f"{uri.user}:{uri.password or ''}".encode()
        sent = base64.b64decode(request.headers["Authorization"].removeprefix("Basic "))
        require(sent == pair, "other credentials", sent, pair)
    server.accept()
