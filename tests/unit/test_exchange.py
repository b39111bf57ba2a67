"""One request of a client and its answer: what is written, and which first lines are read."""

from __future__ import annotations

import pytest

from rfc6455.errors import HandshakeError, UsageError
from rfc6455.exchange import Exchange
from rfc6455.headers import Headers
from rfc6455.limits import Limits


def start(method: str = "GET", target: str = "/a?b") -> Exchange:
    return Exchange(method, target, Headers([("Host", "h"), ("X", "\xe9")]), Limits())


def test_the_request_is_written_as_it_was_given() -> None:
    assert start().request_data() == b"GET /a?b HTTP/1.1\r\nHost: h\r\nX: \xe9\r\n\r\n"


@pytest.mark.parametrize("target", ["", "/a b", "/\r\nX: y", "/\x00", "/\x7f", "/é"])
def test_a_target_that_may_not_stand_in_a_request(target: str) -> None:
    with pytest.raises(UsageError, match="target"):
        start(target=target)


@pytest.mark.parametrize(
    ("line", "status", "version"),
    [
        (b"HTTP/1.1 101 Switching Protocols", 101, "1.1"),
        (b"HTTP/1.0 101 ", 101, "1.0"),
        (b"HTTP/1.1 101", 101, "1.1"),
        (b"HTTP/1.1 200 \t\xe9~", 200, "1.1"),
        (b"HTTP/1.1 999 x", 999, "1.1"),
    ],
)
def test_status_lines(line: bytes, status: int, version: str) -> None:
    exchange = start()
    response = exchange.receive_data(line + b"\r\nContent-Length: 0\r\n\r\n")
    assert response is not None
    assert (response.status, exchange.http_version) == (status, version)


@pytest.mark.parametrize(
    "line",
    [
        b"HTTP/1.1 099 x",
        b"HTTP/1.1 1010 x",
        b"HTTP/1.1 10 x",
        b"HTTP/1.1  101 x",
        b"HTTP/1.1\t101 x",
        b"HTTP/1.1 101x",
        b"HTTP/1.1 +99 x",
        b"HTTP/2.0 101 x",
        b"HTTP/1.2 101 x",
        b"http/1.1 101 x",
        b" HTTP/1.1 101 x",
        b"ICY 200 OK",
        b"HTTP/1.1",
    ],
)
def test_what_is_no_status_line(line: bytes) -> None:
    with pytest.raises(HandshakeError) as caught:
        start().receive_data(line + b"\r\n\r\n")
    assert caught.value.status == 0


@pytest.mark.parametrize("field", [b"a", b"a b: c", b": c", b"a : b", b"a:b\rc"])
def test_what_is_no_field(field: bytes) -> None:
    with pytest.raises(HandshakeError) as caught:
        start().receive_data(b"HTTP/1.1 101 x\r\n" + field + b"\r\n\r\n")
    assert caught.value.status == 0


@pytest.mark.parametrize(("method", "over"), [("GET", False), ("CONNECT", True)])
def test_http_ends_with_a_tunnel(method: str, over: bool) -> None:
    exchange = start(method)
    response = exchange.receive_data(b"HTTP/1.1 200 x\r\nContent-Length: 2\r\n\r\nhi")
    assert response is not None
    assert (response.body, exchange.trailing_data) == ((b"", b"hi") if over else (b"hi", b""))


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(status: int) -> None:
    response = start().receive_data(b"HTTP/1.1 %d x\r\nContent-Length: 2\r\n\r\n" % status)
    assert response is not None
    assert response.body == b""
