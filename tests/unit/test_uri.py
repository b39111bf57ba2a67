"""URIs: what is read from them, and what is not one."""

from __future__ import annotations

import pytest

from rfc6455.errors import UsageError
from rfc6455.uri import WebSocketURI, parse_uri

URIS = [
    ("ws://example.com", WebSocketURI(False, "example.com", 80, "/"), "example.com"),
    ("wss://example.com", WebSocketURI(True, "example.com", 443, "/"), "example.com"),
    ("WSS://Example.COM/", WebSocketURI(True, "example.com", 443, "/"), "example.com"),
    ("ws://h:8080/a/b?c=d", WebSocketURI(False, "h", 8080, "/a/b?c=d"), "h:8080"),
    ("ws://h:443/", WebSocketURI(False, "h", 443, "/"), "h:443"),
    ("wss://h:80/", WebSocketURI(True, "h", 80, "/"), "h:80"),
    ("ws://h:80?", WebSocketURI(False, "h", 80, "/"), "h"),
    ("ws://h:/?a", WebSocketURI(False, "h", 80, "/?a"), "h"),
    ("ws://h:00080/", WebSocketURI(False, "h", 80, "/"), "h"),
    ("ws://h:65535/", WebSocketURI(False, "h", 65535, "/"), "h:65535"),
    ("ws://[::1]:81/", WebSocketURI(False, "::1", 81, "/"), "[::1]:81"),
    ("ws://[2001:DB8::1]", WebSocketURI(False, "2001:db8::1", 80, "/"), "[2001:db8::1]"),
    ("ws://h/?a?b/c", WebSocketURI(False, "h", 80, "/?a?b/c"), "h"),
    ("ws://h//x", WebSocketURI(False, "h", 80, "//x"), "h"),
    ("ws://u:p%3A@h/", WebSocketURI(False, "h", 80, "/", "u", "p:"), "h"),
    ("ws://u:p:q@h/", WebSocketURI(False, "h", 80, "/", "u", "p:q"), "h"),
    ("ws://u@h/", WebSocketURI(False, "h", 80, "/", "u", None), "h"),
    ("ws://@h/", WebSocketURI(False, "h", 80, "/", "", None), "h"),
    ("ws://h/é?ü", WebSocketURI(False, "h", 80, "/%C3%A9?%C3%BC"), "h"),
    ('ws://h/"<>\\^`{|}', WebSocketURI(False, "h", 80, "/%22%3C%3E%5C%5E%60%7B%7C%7D"), "h"),
    ("ws://h/%23%C3", WebSocketURI(False, "h", 80, "/%23%C3"), "h"),
    ("ws://bücher.example/", WebSocketURI(False, "xn--bcher-kva.example", 80, "/"), None),
]


@pytest.mark.parametrize(("uri", "parsed", "host"), URIS, ids=[uri for uri, _, _ in URIS])
def test_parse_uri(uri: str, parsed: WebSocketURI, host: str | None) -> None:
    assert parse_uri(uri) == parsed
    assert parse_uri(uri).host_header == (host or parsed.host)
    assert parse_uri(uri).origin == f"{parsed.scheme}://{host or parsed.host}"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "example.com",
        "//example.com/",
        "http://example.com/",
        "wsx://example.com/",
        "ws:/example.com/",
        "ws:///path",
        "ws://:80/",
        "ws://@/",
        "ws://h:0/",
        "ws://h:65536/",
        "ws://h:-1/",
        "ws://h:+80/",
        "ws://h:8_0/",
        "ws://h:٨٠/",
        "ws://h:80x/",
        "ws://h:80:80/",
        "ws://h:" + "9" * 5000,
        "ws://::1/",
        "ws://[::1/",
        "ws://[g]/",
        "ws://a@b@c/",
        "ws://h/#",
        "ws://h/#fragment",
        "ws://h#",
        "ws://h/a b",
        " ws://h/",
        "ws://h/\r\nX: y",
        "ws://h\x00/",
        "ws://h/\x7f",
        "ws://h/\x85",
        "ws://h/\ud800",
        "ws://a..é/",
        "ws://example.com\uff0f.é/",
        "ws://a\uff20example.com/",
        'ws://a"b/',
        "ws://a\\b/",
        "ws://{h}/",
    ],
)
def test_parse_uri_refuses(uri: str) -> None:
    with pytest.raises(UsageError):
        parse_uri(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "http://user:secret@h/",
        "ws://user:secret@h:0/",
        "ws://user:se#secret@h/",
        "ws://user:se/secret@h:0/",
        "ws://user:se?secret@h:0/#",
        "ws://user:se@secret@h:0/",
        "ws://user:se secret@h/",
        "ws://user:secret\n@h/",
        "user:secret@h/",
        "ws:/user:secret@h/",
    ],
)
def test_an_error_does_not_tell_the_password(uri: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_uri(uri)
    assert "secret" not in str(caught.value)
