"""`rfc6455.redirect`: where the Location of an answer leads.

The first octet chooses where the request went; the rest is the value of Location.

For every input:

- `Destination.follow` returns a destination, or raises `HandshakeError` with the answer; nothing
  else.
- It never leads from wss to ws, and never to a host that is none.
- To another origin go no credentials, and none ever come from the Location; on the same origin,
  they stay.
- Following ends.
"""

from __future__ import annotations

from rfc6455 import HandshakeError, Headers, Response
from rfc6455.headers import is_host
from rfc6455.redirect import Destination
from rfc6455.uri import parse_uri

from ..oracles import outcome, require

STARTS = [
    parse_uri(uri)
    for uri in (
        "ws://user:secret@example.com/a/b?c",
        "wss://user:secret@example.com/a/b?c",
        "ws://example.com:8080",
        "wss://user@[::1]:1/%2e%2e/",
    )
]
SECRETS = [("Authorization", "a"), ("COOKIE", "b"), ("cookie", "c"), ("Proxy-Authorization", "d")]
OTHERS = [("X-Cookie", "e")]


def seeds() -> dict[str, bytes]:
    """Returns locations, good and bad, from each start."""
    locations = {
        "path": b"/d",
        "relative": b"../d",
        "query": b"?d",
        "fragment": b"/d#e",
        "empty": b"",
        "network-path": b"//other.example/",
        "same-network-path": b"//example.com/",
        "ws": b"ws://example.com/",
        "wss": b"wss://example.com:443/",
        "http": b"HTTP://example.com:8080/",
        "https": b"https://user:other@example.com/",
        "file": b"file:///etc/passwd",
        "javascript": b"javascript:alert(1)",
        "ipv6": b"wss://[::1]:1/x",
        "no-host": b"wss:///x",
        "scheme-alone": b"wss:x",
        "backslashes": b"\\\\evil.example\\",
        "tab": b"ht\ttp://evil.example/",
        "latin-1": b"/\xe9?\xff",
        "userinfo": b"//a@b@c/",
        "port": b"//example.com:99999/",
        "dots": b"/../../..//evil.example/",
        "percent": b"//%65vil.example/",
    }
    return {
        f"{name}-{start}": bytes([start]) + location
        for name, location in locations.items()
        for start in range(len(STARTS))
    }


def check(data: bytes) -> None:
    """Checks the invariants for a redirect."""
    start = STARTS[data[0] % len(STARTS)] if data else STARTS[0]
    destination = Destination(start, Headers([*SECRETS, *OTHERS]), max_redirects=2)
    # What the reader of heads would not let through is not a value.
    location = bytes(o for o in data[1:] if (o >= 0x20 and o != 0x7F) or o == 0x09)
    answer = Response(302, Headers.from_wire(b"Location: %b\r\n" % location))
    hops = 0
    while True:
        following, error = outcome(destination.follow, answer, documented=HandshakeError)
        if error is not None:
            assert isinstance(error, HandshakeError)
            require(error.status == 302, "another answer", error)
            return
        hops += 1
        require(hops <= 2, "followed too often", hops)
        _check_hop(destination, following)
        destination = following


def _check_hop(before: Destination, after: Destination) -> None:
    require(after.uri.secure or not before.uri.secure, "from wss to ws", before, after)
    require(is_host(after.uri.host_header.encode("ascii")), "not a host", after)
    require(after.redirects == before.redirects + 1, "not counted", after)
    credentials = after.uri.user, after.uri.password
    if after.uri.origin == before.uri.origin:
        require(credentials == (before.uri.user, before.uri.password), "credentials lost", after)
        require(after.headers == before.headers, "fields lost", after)
        require(after.moved == before.moved, "moved on the same origin", after)
    else:
        require(credentials == (None, None), "credentials go along", after)
        require(after.headers == Headers(OTHERS), "fields go along", after)
        require(after.moved, "not moved", after)
