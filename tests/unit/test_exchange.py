"""One request of a client and its answer: what is written, and which first lines are read."""

from __future__ import annotations

import pytest

from rfc6455.errors import HandshakeError, UsageError
from rfc6455.exchange import Exchange
from rfc6455.headers import Headers
from rfc6455.limits import Limits


def start(method: str = "GET", target: str = "/a?b", **limits: int) -> Exchange:
    return Exchange(method, target, Headers([("Host", "h"), ("X", "\xe9")]), Limits(**limits))


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


def test_the_end_of_tcp_ends_a_body_without_a_length() -> None:
    exchange = start()
    assert exchange.receive_data(b"HTTP/1.1 403 x\r\n\r\nsorry, ") is None
    assert exchange.receive_data(b"") is None
    assert exchange.receive_data(b"no") is None
    response = exchange.receive_eof()
    assert (response.status, response.body) == (403, b"sorry, no")


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 101 x\r\n", b"HTTP/1.1 103 x\r\n\r\n"])
def test_the_end_of_tcp_before_an_answer(sent: bytes) -> None:
    exchange = start()
    assert exchange.receive_data(sent) is None
    with pytest.raises(HandshakeError, match="closed before an answer came") as caught:
        exchange.receive_eof()
    assert isinstance(caught.value.__cause__, EOFError)


@pytest.mark.parametrize("size", [9, 10, 11])
def test_a_body_is_kept_up_to_the_limit(size: int) -> None:
    exchange = start(max_body_size=10)
    response = exchange.receive_data(b"HTTP/1.1 500 x\r\n\r\n" + b"x" * size)
    # Whether there is more is known when one byte more has come.
    assert (response is not None) is (size > 10)
    response = response or exchange.receive_eof()
    assert response.body == b"x" * min(size, 10)


@pytest.mark.parametrize("count", [4, 5])
def test_interim_answers_are_bounded(count: int) -> None:
    exchange = start()
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" * count
    if count == 4:
        response = exchange.receive_data(interim + b"HTTP/1.1 101 x\r\n\r\n\x81\x00")
        assert response is not None
        assert (response.status, exchange.trailing_data) == (101, b"\x81\x00")
    else:
        with pytest.raises(HandshakeError, match="too many interim"):
            exchange.receive_data(interim)


def test_what_surrounds_the_chunks_of_a_body_is_bounded() -> None:
    exchange = start(max_head_size=100)
    head = b"HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with pytest.raises(HandshakeError):
        exchange.receive_data(head + b"1;" + b"x" * 100)


def test_a_head_that_exceeds_a_limit_has_no_status_for_us_to_answer_with() -> None:
    with pytest.raises(HandshakeError, match="head is too large") as caught:
        start(max_head_size=100).receive_data(b"HTTP/1.1 200 x\r\n" + b"a: b\r\n" * 100)
    assert caught.value.status == 0
