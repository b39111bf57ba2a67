"""Redirects: where they lead, when they are refused, and what does not go along."""

from __future__ import annotations

import pytest

from rfc6455.errors import HandshakeError
from rfc6455.headers import Headers
from rfc6455.http import Response
from rfc6455.redirect import Destination, refusal
from rfc6455.uri import parse_uri

SECRETS = [
    ("Authorization", "Basic x"),
    ("COOKIE", "a=b"),
    ("cookie", "c=d"),
    ("Proxy-Authorization", "Basic y"),
]
HARMLESS = [("X-A", "b"), ("Accept-Language", "de")]


def moved(location: str | bytes, status: int = 302) -> Response:
    raw = location if isinstance(location, bytes) else location.encode()
    return Response(status, Headers.from_wire(b"Location: %b\r\n" % raw), b"page")


def start(uri: str = "wss://u:p@h/a/b?c", max_redirects: int = 5) -> Destination:
    return Destination(parse_uri(uri), Headers([*HARMLESS, *SECRETS]), max_redirects)


def follow(location: str | bytes, uri: str = "wss://u:p@h/a/b?c", status: int = 302) -> Destination:
    found = start(uri).follow(moved(location, status))
    assert found is not None
    return found


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_statuses_that_are_followed(status: int) -> None:
    assert follow("/d", status=status).uri.resource_name == "/d"


@pytest.mark.parametrize("status", [200, 201, 300, 304, 305, 306, 309, 400, 401, 503])
def test_statuses_that_are_not(status: int) -> None:
    assert start().follow(moved("/d", status)) is None


@pytest.mark.parametrize(
    ("location", "resource_name"),
    [
        ("/d", "/d"),
        ("d", "/a/d"),
        ("../d", "/d"),
        ("./", "/a/"),
        ("?d", "/a/b?d"),
        ("", "/a/b?c"),
        ("#f", "/a/b?c"),
        ("/d;e?f=g#h", "/d;e?f=g"),
        ("//h/d", "/d"),
        ("wss://h", "/"),
        ("wss://h:443/d", "/d"),
        ("WSS://H/d", "/d"),
        ("https://h/d", "/d"),
        ("HTTPS://h/d", "/d"),
        ("wss://other:secret@h/d", "/d"),
        (b"/\xc3\xa9", "/%C3%A9"),
        (b"/\xe9", "/%E9"),
        (b"/a b", "/a%20b"),
        ("/a\tb", "/a%09b"),
        ("\\\\evil", "/a/%5C%5Cevil"),
    ],
)
def test_the_same_origin_keeps_everything(location: str | bytes, resource_name: str) -> None:
    found = follow(location)
    assert found.uri == parse_uri(f"wss://u:p@h{resource_name}")
    assert found.headers == Headers([*HARMLESS, *SECRETS])
    assert not found.moved
    assert found.redirects == 1


@pytest.mark.parametrize(
    ("uri", "location", "target"),
    [
        ("wss://u:p@h/", "wss://other/d", "wss://other/d"),
        ("wss://u:p@h/", "//other", "wss://other/"),
        ("wss://u:p@h/", "wss://h:444/", "wss://h:444/"),
        ("wss://u:p@h/", "wss://h.evil/", "wss://h.evil/"),
        ("wss://u:p@h/", "wss://x:y@other/", "wss://other/"),
        ("wss://u:p@h/", "//[::1]:1/", "wss://[::1]:1/"),
        ("ws://u:p@h/", "wss://h/", "wss://h/"),
        ("ws://u:p@h/", "https://h/", "wss://h/"),
        ("ws://u:p@h/", "http://h:81/", "ws://h:81/"),
        ("ws://u:p@h:443/", "wss://h:443/", "wss://h/"),
    ],
)
def test_another_origin_loses_the_credentials(uri: str, location: str, target: str) -> None:
    found = follow(location, uri)
    assert found.uri == parse_uri(target)
    assert found.headers == Headers(HARMLESS)
    assert found.moved


def test_credentials_do_not_come_back_with_the_origin() -> None:
    there = follow("wss://other/")
    back = there.follow(moved("wss://h/"))
    assert back is not None
    assert back.uri == parse_uri("wss://h/")
    assert back.headers == Headers(HARMLESS)
    assert back.moved


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("ws://h/", "wss to ws"),
        ("http://h/", "wss to ws"),
        ("ws://other/", "wss to ws"),
        ("file:///etc/passwd", "another scheme: file"),
        ("javascript:alert(1)", "another scheme"),
        ("data:,", "another scheme"),
        ("ftp://h/", "another scheme"),
        ("wss:d", "scheme and no host"),
        ("https:/d", "scheme and no host"),
        ("//h:0/", "no such port"),
        ("//h:65536/", "no such port"),
        ("//[x/", "not a URI"),
        ("//[::1/", "not a URI"),
        ("//a\\b/", "not a host name"),
        ("//a b/", "no valid host"),
        ("//a%00/", "no valid host"),
        ("//a..b@/", "not a ws"),
    ],
)
def test_a_location_that_is_not_followed(location: str, why: str) -> None:
    with pytest.raises(HandshakeError, match=why) as caught:
        follow(location)
    assert caught.value.status == 302
    assert caught.value.headers == (("Location", location),)
    assert caught.value.body == b"page"


@pytest.mark.parametrize(
    ("fields", "why"),
    [([], "no Location"), ([("Location", "/a"), ("location", "/a")], "repeated Location")],
)
def test_one_location_is_needed(fields: list[tuple[str, str]], why: str) -> None:
    with pytest.raises(HandshakeError, match=why):
        start().follow(Response(301, Headers(fields)))


@pytest.mark.parametrize("limit", [1, 5, 20])
def test_redirects_are_bounded(limit: int) -> None:
    destination = start(max_redirects=limit)
    for _ in range(limit):
        followed = destination.follow(moved("/a/b?c"))
        assert followed is not None
        destination = followed
    with pytest.raises(HandshakeError, match=rf"302: more than {limit} redirects"):
        destination.follow(moved("/a/b?c"))


def test_redirects_can_be_switched_off() -> None:
    assert start(max_redirects=0).follow(moved("/d")) is None


def test_a_refusal_holds_the_answer() -> None:
    error = refusal(Response(403, Headers([("X", "y")]), b"page"))
    assert str(error) == "server answered with HTTP status 403"
    assert (error.status, error.headers, error.body) == (403, (("X", "y"),), b"page")
