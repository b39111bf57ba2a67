"""The server's half of the opening handshake: what the numbered steps of §4.2 do not say.

The steps themselves are proven in ``tests/conformance/test_s4_2_server_handshake.py``; here are the
reading of plain requests, their limits, and how answers are written.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Iterable

import pytest

from rfc6455.errors import HandshakeError, UsageError
from rfc6455.extensions import Extension, ExtensionFactory, Parameters
from rfc6455.handshake import codec
from rfc6455.handshake.server import ServerHandshake, offered_subprotocols, validate
from rfc6455.headers import Headers
from rfc6455.http import Request, Response
from rfc6455.limits import Limits
from rfc6455.state import State
from tests.helpers import NONCE, OPENING, chunkings, head, opening


def feed(
    chunks: Iterable[bytes], limits: Limits | None = None
) -> tuple[ServerHandshake, Request | None]:
    handshake = ServerHandshake(Limits() if limits is None else limits)
    request = None
    for chunk in chunks:
        found = handshake.receive_data(chunk)
        if found is not None:
            assert request is None, "a request is returned once"
            request = found
    return handshake, request


def receive(data: bytes, limits: Limits | None = None) -> tuple[ServerHandshake, Request]:
    """What comes of ``data``, which is the same however reads cut it."""
    results = [feed(chunks, limits) for chunks in chunkings(data)]
    (handshake, request), *others = results
    assert request is not None
    for other, same_request in others:
        assert same_request == request
        assert other.trailing_data == handshake.trailing_data
    return handshake, request


def refused(data: bytes, limits: Limits | None = None) -> int:
    """The status of the refusal, which is the same however reads cut the data."""
    statuses = set()
    for chunks in chunkings(data):
        with pytest.raises(HandshakeError) as caught:
            feed(chunks, limits)
        statuses.add(caught.value.status)
    assert len(statuses) == 1
    return statuses.pop()


def test_a_native_reader_takes_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    head = pytest.importorskip("rfc6455._native.head", reason="the native twin is not built")
    monkeypatch.setattr(codec, "read_request", head.read_request)
    handshake, request = feed([opening("HEAD /a?b HTTP/1.1") + b"early"])
    assert request is not None
    assert (request.method, request.path, request.query) == ("HEAD", "/a", "b")
    assert not handshake.wants_content
    assert handshake.trailing_data == b"early"
    # What it leaves goes the general way, and so does all that is cut.
    assert receive(opening("GET http://example.com/a HTTP/1.1"))[1].path == "/a"
    assert receive(opening())[1].headers["Upgrade"] == "websocket"


def test_without_a_native_reader_python_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "read_request", None)
    assert receive(opening("GET /a?b HTTP/1.1"))[1].query == "b"


class Factory(ExtensionFactory):
    """Accepts offers without parameters; answers with ``n`` when it is a number."""

    def __init__(self, name: str, rsv: int) -> None:
        self.name = name
        self.rsv = rsv

    def offers(self) -> list[Parameters]:
        raise NotImplementedError

    def accept(self, offer: Parameters) -> tuple[Parameters, Extension] | None:
        return None if offer else ([("agreed", None)], InUse(self.name, self.rsv))

    def confirm(self, answer: Parameters) -> Extension:
        raise NotImplementedError


class InUse(Extension):
    def __init__(self, name: str, rsv: int) -> None:
        self.name = name
        self.rsv = rsv

    def decode(self, payload: bytes, *, final: bool, max_size: int | None) -> bytes:
        raise NotImplementedError

    def encode(self, payload: bytes, *, final: bool) -> bytes:
        raise NotImplementedError

    def applies_to(self, size: int) -> bool:
        raise NotImplementedError


# Plain requests


def test_plain_request() -> None:
    handshake, request = receive(
        head("GET /a%20b?c=d?e HTTP/1.1", ("Host", "example.com"), ("X", "caf\xe9"))
    )
    assert (request.method, request.target) == ("GET", "/a%20b?c=d?e")
    assert (request.path, request.query) == ("/a%20b", "c=d?e")
    assert request.headers.items() == [("Host", "example.com"), ("X", "caf\xe9")]
    assert (request.body, request.http_version) == (b"", "1.1")
    assert not request.wants_websocket
    assert handshake.state is State.CONNECTING
    assert handshake.trailing_data == b""


def test_plain_request_of_http_1_0_needs_no_host() -> None:
    _, request = receive(head("GET / HTTP/1.0"))
    assert request.http_version == "1.0"


def test_options_asterisk() -> None:
    _, request = receive(head("OPTIONS * HTTP/1.1", ("Host", "a")))
    assert (request.path, request.query) == ("*", "")


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("http://other.example:81/a?b", "/a", "b"),
        ("HTTPS://other.example", "/", ""),
        ("http://other.example?b", "/", "b"),
    ],
)
def test_absolute_form(target: str, path: str, query: str) -> None:
    _, request = receive(head(f"GET {target} HTTP/1.1", ("Host", "ignored here")))
    assert (request.target, request.path, request.query) == (target, path, query)


def test_body_with_content_length() -> None:
    data = head("POST / HTTP/1.1", ("Host", "a"), ("Content-Length", "5")) + b"Hello"
    handshake, request = receive(data)
    assert request.body == b"Hello"
    assert handshake.trailing_data == b""


def test_body_with_chunks() -> None:
    data = head("POST / HTTP/1.1", ("Host", "a"), ("Transfer-Encoding", "chunked"))
    _, request = receive(data + b"3\r\nHel\r\n2\r\nlo\r\n0\r\n\r\n")
    assert request.body == b"Hello"


@pytest.mark.parametrize("limit", [4, 5, None])
def test_max_body_size(limit: int | None) -> None:
    limits = Limits(max_body_size=limit)
    data = head("POST / HTTP/1.1", ("Host", "a"), ("Content-Length", "5")) + b"Hello"
    if limit == 4:
        assert refused(data, limits) == 413
    else:
        assert receive(data, limits)[1].body == b"Hello"


def test_max_body_size_counts_chunks_together() -> None:
    data = head("POST / HTTP/1.1", ("Host", "a"), ("Transfer-Encoding", "chunked"))
    assert refused(data + b"3\r\nHel\r\n2\r\nlo\r\n", Limits(max_body_size=4)) == 413


def test_malformed_chunk() -> None:
    data = head("POST / HTTP/1.1", ("Host", "a"), ("Transfer-Encoding", "chunked"))
    assert refused(data + b"x\r\n") == 400


@pytest.mark.parametrize("limit", [200, None])
def test_what_surrounds_chunks_is_held_against_the_limit_of_a_head(limit: int | None) -> None:
    data = head("POST / HTTP/1.1", ("Host", "a"), ("Transfer-Encoding", "chunked"))
    long = b"1;" + b"x" * 20_000
    limits = Limits(max_head_size=limit)
    if limit is None:
        assert receive(data + long + b"\r\n!\r\n0\r\n\r\n", limits)[1].body == b"!"
    else:
        assert receive(data + long[:190] + b"\r\n!\r\n0\r\n\r\n", limits)[1].body == b"!"
        assert refused(data + long[: limit + 1], limits) == 431


def test_100_continue_is_sent_before_the_body() -> None:
    data = head(
        "POST / HTTP/1.1", ("Host", "a"), ("Content-Length", "1"), ("Expect", "100-Continue")
    )
    handshake, request = feed([data])
    assert request is None
    assert handshake.data_to_send().startswith(b"HTTP/1.1 100 ")
    assert handshake.data_to_send() == b""
    request = handshake.receive_data(b"x")
    assert request is not None
    assert request.body == b"x"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (head("GET  / HTTP/1.1", ("Host", "a")), 400),
        (head("GET /", ("Host", "a")), 400),
        (head("GET / HTTP/1.1 ", ("Host", "a")), 400),
        (head("GET /a b HTTP/1.1", ("Host", "a")), 400),
        (head("GET\t/ HTTP/1.1", ("Host", "a")), 400),
        (head("GET /\xe9 HTTP/1.1", ("Host", "a")), 400),
        (head("G(T / HTTP/1.1", ("Host", "a")), 400),
        (head("GET / HTTP/11", ("Host", "a")), 400),
        (head("GET / http/1.1", ("Host", "a")), 400),
        (head("GET / HTTP/1.2", ("Host", "a")), 505),
        (head("PRI * HTTP/2.0"), 505),
        (head("GET * HTTP/1.1", ("Host", "a")), 400),
        (head("GET a HTTP/1.1", ("Host", "a")), 400),
        (head("GET /#a HTTP/1.1", ("Host", "a")), 400),
        (head("GET http:// HTTP/1.1", ("Host", "a")), 400),
        (head("GET http://u@h/ HTTP/1.1", ("Host", "a")), 400),
        (head("GET ftp://h/ HTTP/1.1", ("Host", "a")), 400),
        (head("CONNECT h:80 HTTP/1.1", ("Host", "a")), 400),
        (head("GET / HTTP/1.1"), 400),
        (head("GET / HTTP/1.1", ("Host", "")), 400),
        (head("GET / HTTP/1.1", ("Host", "a"), ("Host", "a")), 400),
        (head("GET / HTTP/1.1", ("Host", "a b")), 400),
        (head("GET / HTTP/1.1", ("Host", "a"), ("X ", "y")), 400),
        (head("GET / HTTP/1.1", ("Host", "a"), ("", "y")), 400),
        (head("GET / HTTP/1.1", ("Host", "a"), ("Content-Length", "+5")), 400),
        (head("GET / HTTP/1.1", ("Host", "a"), ("Content-Length", "5, 5")), 400),
        (head("GET / HTTP/1.1", ("Host", "a"), *[("Content-Length", "5")] * 2), 400),
        (head("GET / HTTP/1.1", ("Host", "a"), ("Expect", "tea")), 417),
        (
            head(
                "POST / HTTP/1.1",
                ("Host", "a"),
                ("Content-Length", "5"),
                ("Transfer-Encoding", "chunked"),
            ),
            400,
        ),
        (head("POST / HTTP/1.1", ("Host", "a"), ("Transfer-Encoding", "xchunked")), 501),
    ],
)
def test_request_that_http_does_not_allow(data: bytes, status: int) -> None:
    assert refused(data) == status


# What follows the request


def test_trailing_data_is_kept_in_order() -> None:
    handshake, _ = receive(opening() + b"\x81\x85....Hello")
    assert handshake.trailing_data == b"\x81\x85....Hello"


def test_nothing_is_read_after_the_answer() -> None:
    handshake, _ = feed([opening()])
    handshake.accept()
    assert handshake.receive_data(b"GET / HTTP/1.1\r\n") is None
    assert handshake.trailing_data == b""


# Answers


def test_accept() -> None:
    handshake, _ = feed([opening()])
    data, extensions = handshake.accept(headers=[("Set-Cookie", "a=b")])
    lines = data.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 101 Switching Protocols"
    assert lines[-2:] == ["", ""]
    assert {line.partition(":")[0].lower() for line in lines[1:-2]} == {
        "upgrade",
        "connection",
        "sec-websocket-accept",
        "date",
        "set-cookie",
    }
    assert extensions == []
    assert handshake.state is State.OPEN


def test_server_field() -> None:
    handshake = ServerHandshake(Limits(), server_header="test/1")
    handshake.receive_data(opening())
    data, _ = handshake.accept()
    assert b"\r\nServer: test/1\r\n" in data
    for response in (Response(), Response(headers=Headers([("Server", "test/2")]))):
        handshake = ServerHandshake(Limits(), server_header="test/1")
        handshake.receive_data(PLAIN)
        expected = response.headers.raw("Server") or [b"test/1"]
        assert re.findall(rb"\r\nServer: (.*)\r\n", handshake.respond(response)) == expected


@pytest.mark.parametrize("value", ["a\r\nX: y", "\0", "Ċ", " "])
def test_server_field_that_could_not_travel_is_refused(value: str) -> None:
    handshake = ServerHandshake(Limits(), server_header=value)
    handshake.receive_data(opening())
    with pytest.raises(UsageError):
        handshake.accept()


def test_accept_refuses_a_subprotocol_that_was_not_offered() -> None:
    handshake, _ = feed([head("GET / HTTP/1.1", *OPENING, ("Sec-WebSocket-Protocol", "a, b"))])
    with pytest.raises(UsageError):
        handshake.accept(subprotocol="c")
    data, _ = handshake.accept(subprotocol="b")
    assert b"\r\nSec-WebSocket-Protocol: b\r\n" in data


def test_accept_takes_the_first_offer_that_can_be_met() -> None:
    offers = ("Sec-WebSocket-Extensions", "unknown, a; x, a, b, a, c")
    handshake, _ = feed([head("GET / HTTP/1.1", *OPENING, offers)])
    data, extensions = handshake.accept(
        extensions=[Factory("c", 0x20), Factory("b", 0x40), Factory("a", 0x40)]
    )
    assert b"\r\nSec-WebSocket-Extensions: a; agreed, c; agreed\r\n" in data
    assert [extension.name for extension in extensions] == ["a", "c"]


def test_accept_gives_each_reserved_bit_once() -> None:
    offers = ("Sec-WebSocket-Extensions", "a, b, c")
    handshake, _ = feed([head("GET / HTTP/1.1", *OPENING, offers)])
    factories = [Factory("a", 0x40), Factory("b", 0x20), Factory("c", 0x40)]
    _, extensions = handshake.accept(extensions=factories)
    assert [extension.name for extension in extensions] == ["a", "b"]


def test_accept_refuses_what_does_not_open_a_websocket() -> None:
    handshake, _ = feed([head("GET / HTTP/1.1", ("Host", "a"))])
    with pytest.raises(HandshakeError):
        handshake.accept()
    assert handshake.state is State.CONNECTING


@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding", "Sec-WebSocket-Accept"])
def test_accept_sets_its_own_fields(name: str) -> None:
    handshake, _ = feed([opening()])
    with pytest.raises(UsageError):
        handshake.accept(headers=[(name, "5")])


def respond(request: bytes, response: Response) -> tuple[bytes, bytes]:
    """The head and the body of an answer."""
    handshake = ServerHandshake(Limits())
    if request:
        handshake.receive_data(request)
    answer, _, body = handshake.respond(response).partition(b"\r\n\r\n")
    assert handshake.state is State.CLOSED
    return answer, body


PLAIN = head("GET / HTTP/1.1", ("Host", "a"))


def test_date_is_that_of_the_last_full_second(monkeypatch: pytest.MonkeyPatch) -> None:
    # The example of RFC 9110 §5.6.7.
    monkeypatch.setattr(time, "time", lambda: 784_111_777.9)
    date = b"\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    for headers in ([], [("Set-Cookie", "a=b")]):
        handshake, _ = feed([opening()])
        assert handshake.accept(headers=headers)[0].count(date) == 1
    assert respond(PLAIN, Response())[0].count(date[:-2]) == 1


def test_respond_adds_length_date_and_connection() -> None:
    answer, body = respond(PLAIN, Response.text("Hello"))
    lines = answer.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    assert {"Content-Length: 5", "Connection: close"} < set(lines)
    assert any(line.startswith("Date: ") for line in lines)
    assert body == b"Hello"


def test_respond_keeps_fields_that_are_given() -> None:
    headers = Headers([("connection", "Upgrade, close"), ("date", "now"), ("content-length", "0")])
    answer, _ = respond(PLAIN, Response(426, headers))
    assert answer.decode().split("\r\n")[1:] == [
        "connection: Upgrade, close",
        "date: now",
        "content-length: 0",
    ]


def test_respond_to_head_has_no_body() -> None:
    answer, body = respond(head("HEAD / HTTP/1.1", ("Host", "a")), Response.text("Hello"))
    assert b"Content-Length: 5" in answer
    assert body == b""


@pytest.mark.parametrize("status", [204, 304])
def test_respond_without_content(status: int) -> None:
    answer, body = respond(PLAIN, Response(status))
    assert b"Content-Length" not in answer
    assert body == b""


def test_respond_with_an_unregistered_status() -> None:
    for status in (499, 999):
        answer, _ = respond(PLAIN, Response(status))
        assert answer.startswith(b"HTTP/1.1 %d \r\n" % status)


def test_respond_refuses_a_body_that_its_fields_contradict() -> None:
    for fields in (
        [("Content-Length", "4")],
        [("Content-Length", "6")],
        [("Content-Length", "05")],
        [("Content-Length", "5"), ("content-length", "5")],
        [("Transfer-Encoding", "chunked")],
    ):
        handshake, _ = receive(head("GET / HTTP/1.1", ("Host", "a")))
        with pytest.raises(UsageError):
            handshake.respond(Response(headers=Headers(fields), body=b"Hello"))
        # Nothing was sent: another answer may still go out.
        assert handshake.respond(Response()).startswith(b"HTTP/1.1 200 OK\r\n")


def test_respond_keeps_the_length_of_what_is_not_sent() -> None:
    length = Headers([("Content-Length", "5")])
    handshake, _ = receive(head("HEAD / HTTP/1.1", ("Host", "a")))
    assert b"\r\nContent-Length: 5\r\n" in handshake.respond(Response(200, length))
    handshake, _ = receive(head("GET / HTTP/1.1", ("Host", "a")))
    assert b"\r\nContent-Length: 5\r\n" in handshake.respond(Response(304, length))
    handshake, _ = receive(head("GET / HTTP/1.1", ("Host", "a")))
    answer = handshake.respond(Response(200, length, b"Hello"))
    assert answer.count(b"Content-Length") == 1
    assert answer.endswith(b"\r\n\r\nHello")


def test_accept_takes_what_validate_found() -> None:
    handshake, request = receive(opening(sec_websocket_protocol="a, b"))
    offer = validate(request)
    assert offer.subprotocols == ["a", "b"]
    answer, _ = handshake.accept(subprotocol="b", offer=offer)
    assert b"\r\nSec-WebSocket-Protocol: b\r\n" in answer
    # What was looked up does not stay in memory; it can be looked up again.
    assert request.headers["Host"] == "example.com"


def test_d4_no_message_repeats_what_was_sent() -> None:
    for data in (
        head("GET / HTTP/1.1", ("Host", "a"), ("Coo kie", "SECRET")),
        head("GET / HTTP/1.1", ("Host", "a"), ("Cookie\xff", "SECRET")),
        head("GET /\xff?token=SECRET HTTP/1.1", ("Host", "a")),
        head("POST / HTTP/1.1", ("Host", "a"), ("Content-Length", "SECRET")),
        head("POST / HTTP/1.1", ("Host", "a"), ("Transfer-Encoding", "SECRET")),
        head("POST / HTTP/1.1", ("Host", "a"), ("Expect", "SECRET")),
        head("POST / HTTP/1.1", ("Host", "a"), ("Transfer-Encoding", "chunked")) + b"SECRET\r\n",
        head("GET / HTTP/1.1", ("Host", "SECRET@a")),
        head("GET / SECRET/1.1", ("Host", "a")),
    ):
        with pytest.raises(HandshakeError) as caught:
            feed([data])
        assert "SECRET" not in str(caught.value)
    for name in ("upgrade", "connection", "sec_websocket_key", "sec_websocket_version"):
        with pytest.raises(HandshakeError) as caught:
            validate(receive(opening(**{name: "SECRET"}))[1])
        assert "SECRET" not in str(caught.value)


def test_respond_before_a_request_was_read() -> None:
    answer, body = respond(b"GET / HTTP", Response.text("too slow", 408))
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert body == b"too slow"


def test_respond_to_a_request_that_was_refused() -> None:
    handshake = ServerHandshake(Limits())
    with pytest.raises(HandshakeError):
        handshake.receive_data(head("GET / HTTP/1.1", ("Host", "a"), ("X ", "y")))
    assert handshake.respond(Response.text("no", 400)).startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize(
    "response",
    [
        Response(100),
        Response(101),
        Response(199),
        Response(99),
        Response(1000),
        Response(204, body=b"x"),
    ],
)
def test_respond_refuses_what_is_no_answer(response: Response) -> None:
    handshake = ServerHandshake(Limits())
    handshake.receive_data(PLAIN)
    with pytest.raises(UsageError):
        handshake.respond(response)
    assert handshake.respond(Response()).startswith(b"HTTP/1.1 200 OK\r\n")


# The two functions beside the class


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (head("GET / HTTP/1.0", *OPENING), 505),
        (head("POST / HTTP/1.1", *OPENING), 405),
        (opening(upgrade=None), 426),
        (opening(upgrade="h2c"), 426),
        (opening(upgrade="websocket/13"), 426),
        (opening(upgrade=["websocket", "websocket"]), 400),
        (opening(connection=None), 400),
        (opening(connection="notupgrade"), 400),
        (opening(connection="Upgrade x"), 400),
        (opening(sec_websocket_key=None), 400),
        (opening(sec_websocket_key=[NONCE, NONCE]), 400),
        (opening(sec_websocket_key=NONCE[:-1]), 400),
        (opening(sec_websocket_version=None), 400),
        (opening(sec_websocket_version=["13", "13"]), 400),
        (opening(sec_websocket_version="14"), 426),
        (opening(origin=["http://a", "http://a"]), 400),
        (opening(sec_websocket_protocol="a,,b"), 400),
        (opening(sec_websocket_protocol="a, a"), 400),
        (opening(sec_websocket_extensions="a;"), 400),
    ],
)
def test_validate_refuses(data: bytes, status: int) -> None:
    _, request = feed([data])
    assert request is not None
    with pytest.raises(HandshakeError) as caught:
        validate(request)
    assert caught.value.status == status


def test_upgrade_request_has_no_body() -> None:
    assert refused(opening(content_length="5") + b"Hello") == 400
    assert refused(opening(transfer_encoding="chunked") + b"0\r\n\r\n") == 400
    _, request = receive(opening(content_length="0"))
    assert validate(request).key == NONCE.encode()


def test_validate_and_offered_subprotocols_judge_a_request() -> None:
    _, request = receive(opening(sec_websocket_protocol=["a, b", "c"]))
    assert validate(request).key == NONCE.encode()
    assert offered_subprotocols(request) == ["a", "b", "c"]


# Answers that come over time


async def pieces() -> AsyncIterator[bytes]:
    yield b"Hello"


def test_respond_tells_no_length_of_what_comes_over_time() -> None:
    answer, body = respond(PLAIN, Response(200, stream=pieces()))
    assert b"content-length" not in answer.lower()
    assert b"Connection: close" in answer
    assert body == b""


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [(200, [], b"x"), (204, [], b""), (200, [("Content-Length", "5")], b"")],
)
def test_what_comes_over_time_is_the_only_body(
    status: int, headers: list[tuple[str, str]], body: bytes
) -> None:
    words = r"^an answer that comes over time has no other body, and no length\Z"
    with pytest.raises(UsageError, match=words):
        respond(PLAIN, Response(status, Headers(headers), body, pieces()))


@pytest.mark.parametrize(("method", "wanted"), [("GET", True), ("HEAD", False)])
def test_a_head_wants_no_content(method: str, wanted: bool) -> None:
    handshake, _ = receive(head(f"{method} / HTTP/1.1", ("Host", "a")))
    assert handshake.wants_content is wanted
