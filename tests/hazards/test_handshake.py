"""Attacks on the opening handshake that other implementations have suffered, on the sans-IO core.

Each test says in its comment what went wrong where. What sockets add to it is tested in
``test_sockets_handshake.py``.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest

from rfc6455.connection import Connection
from rfc6455.errors import HandshakeError, UsageError
from rfc6455.events import Closed
from rfc6455.extensions import PermessageDeflate
from rfc6455.frames import Opcode
from rfc6455.handshake import ClientHandshake, ServerHandshake, accept_key, validate
from rfc6455.headers import Headers, parse_extensions, parse_tokens
from rfc6455.http import HeadReader, Request, Response, error_response
from rfc6455.limits import Limits
from rfc6455.state import State
from rfc6455.uri import parse_uri
from tests.helpers import (
    CLIENT,
    NONCE,
    OPENING,
    SERVER,
    chunkings,
    growth,
    head,
    opening,
    peer_frame,
    run,
)

KiB = 1024
LINEAR = 1.5
"""What `growth` stays below for linear work: 23 times as long for 8 times as much."""

ADMIN = b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"
"""What an attacker would like to be taken for a second request."""

OFF = Limits(
    max_request_line_size=None,
    max_header_line_size=None,
    max_head_size=None,
    max_headers=None,
    max_body_size=None,
)


def answer(data: bytes, limits: Limits | None = None) -> int:
    """The status that a server answers with, which is one however reads cut the request."""
    statuses = set()
    for chunks in chunkings(data):
        handshake = ServerHandshake(Limits() if limits is None else limits)
        try:
            requests = [handshake.receive_data(chunk) for chunk in chunks]
            assert sum(request is not None for request in requests) == 1
            response, _ = handshake.accept()
        except HandshakeError as error:
            response = handshake.respond(error_response(error))
            assert b"\r\nConnection: close\r\n" in response or b", close\r\n" in response
            assert handshake.receive_data(ADMIN) is None
        assert len(re.findall(rb"HTTP/1\.1 \d", response)) == 1
        statuses.add(int(response[9:12]))
    assert len(statuses) == 1
    return statuses.pop()


def ask(**options: Any) -> tuple[ClientHandshake, str]:
    """A client that has asked, and the Sec-WebSocket-Accept that it waits for."""
    handshake = ClientHandshake(parse_uri("ws://example.com/"), **options)
    _, _, rest = handshake.request_data().partition(b"Sec-WebSocket-Key: ")
    return handshake, accept_key(rest.partition(b"\r\n")[0])


# A head that grows is parsed from its start again and again: tungstenite (CVE-2023-43669).


def test_head_that_comes_byte_by_byte_is_refused_at_the_limit() -> None:
    for data, status in (
        (b"GET /" + b"a" * 20_000, 414),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"X: aaaaaaaaaaaaaaaaaaaa\r\n" * 2_000, 431),
    ):
        handshake = ServerHandshake(Limits())
        with pytest.raises(HandshakeError) as caught:
            feed_bytewise(handshake.receive_data, data)
        assert caught.value.status == status


def feed_bytewise(feed: Callable[[bytes], object], data: bytes) -> None:
    for i in range(len(data)):
        feed(data[i : i + 1])


@pytest.mark.parametrize("line", [b"", b"X: yyyyyyyyyyyy\r\n"], ids=["one line", "many lines"])
def test_work_for_a_head_that_comes_byte_by_byte_is_linear(line: bytes) -> None:
    def work(size: int) -> None:
        reader = HeadReader(OFF)
        data = line * (size // len(line)) if line else b"a" * size
        feed_bytewise(reader.feed, b"GET / HTTP/1.1\r\n" + data)

    assert growth(work, 16 * KiB) < LINEAR


def test_work_for_empty_lines_is_linear() -> None:
    def work(count: int) -> None:
        assert HeadReader(OFF).feed(b"\r\n" * count) is None

    assert growth(work, 4_000) < LINEAR


# Floods of fields, repeated fields joined in quadratic time: ws (CVE-2024-37890), Tornado
# (CVE-2025-67725), websocket-driver (CVE-2026-54467).


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (head("GET / HTTP/1.1", *OPENING, *[("X", "y")] * 95), 101),
        (head("GET / HTTP/1.1", *OPENING, *[("X", "y")] * 96), 431),
        (head("GET / HTTP/1.1", *OPENING, *[("Cookie", "a=b")] * 1000), 431),
        (head("GET / HTTP/1.1", *OPENING, *[("a", "b")] * 10_000), 431),
        (opening(x="y" * 8189), 101),
        (opening(x="y" * 8190), 431),
        (opening(f"GET /{'a' * 8178} HTTP/1.1"), 101),
        (opening(f"GET /{'a' * 8179} HTTP/1.1"), 414),
        (opening(**{f"X-{i}": "y" * 4000 for i in range(5)}), 431),
    ],
)
def test_flood_of_fields(data: bytes, status: int) -> None:
    assert answer(data) == status


def test_work_for_repeated_fields_is_linear() -> None:
    def work(count: int) -> None:
        handshake = ServerHandshake(OFF)
        fields = [("Cookie", "a=b"), ("Sec-WebSocket-Extensions", "a"), ("Connection", "b")]
        request = handshake.receive_data(head("GET / HTTP/1.1", *OPENING, *fields * count))
        assert request is not None
        assert len(request.headers["Cookie"]) == 5 * count - 2
        validate(request)

    assert growth(work, 100) < LINEAR


# Values that take a parser or a regular expression quadratic time: ws (CVE-2021-32640),
# websocket-extensions (CVE-2020-7662, CVE-2020-7663).


@pytest.mark.parametrize(
    ("offer", "status"),
    [
        ("a" + " " * 8000 + "b", 400),
        ("a," * 4000 + "b", 400),
        (", ".join(f"p{i}" for i in range(1000)), 101),
        ("a, a", 400),
        ("a,,b", 400),
        (",", 400),
    ],
)
def test_subprotocols(offer: str, status: int) -> None:
    assert answer(opening(sec_websocket_protocol=offer)) == status


@pytest.mark.parametrize(
    "build",
    [
        lambda count: b"a" + b" " * count + b"b",
        lambda count: b"a" + b" \t" * count + b",",
        lambda count: b"a," * count,
        lambda count: b"," * count,
        lambda count: b"a" * count + b"(",
        lambda count: b'a; b="' + rb"\c" * count,
        lambda count: b'a; b="' + b"c" * count,
        lambda count: b'a; b="' + rb"\"" * count,
        lambda count: b"a" + b";" * count,
        lambda count: b"a" + b" ;b" * count + b"(",
        lambda count: b"a" + b'; b="c"' * count,
    ],
)
def test_work_for_malformed_values_is_linear(build: Callable[[int], bytes]) -> None:
    def work(count: int) -> None:
        value = build(count)
        for parse in (parse_tokens, parse_extensions):
            with contextlib.suppress(ValueError):
                parse([value])

    assert growth(work, 4_000) < LINEAR


def test_work_for_a_value_that_ends_badly_is_linear() -> None:
    def work(count: int) -> None:
        with pytest.raises(UsageError):
            Headers([("X", "a " * count + "\n")])

    assert growth(work, 4_000) < LINEAR


# A body with the request for an upgrade, which is then taken for a second request: aiohttp
# (CVE-2026-69243).


@pytest.mark.clause("H012")
@pytest.mark.parametrize(
    "data",
    [
        opening(Content_Length=str(len(ADMIN))) + ADMIN,
        opening(Transfer_Encoding="chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(ADMIN), ADMIN),
        opening(Content_Length=str(len(ADMIN)), sec_websocket_key="bad") + ADMIN,
        opening(Content_Length="1", connection="close") + b"x" + ADMIN,
        opening(sec_websocket_key="bad") + ADMIN,
    ],
)
def test_smuggled_request(data: bytes) -> None:
    assert answer(data) == 400


def test_what_follows_a_request_that_opens_is_frames_and_no_request() -> None:
    handshake = ServerHandshake(Limits())
    assert handshake.receive_data(opening() + ADMIN) is not None
    handshake.accept()
    connection = Connection(SERVER)
    connection.receive_data(handshake.trailing_data)
    assert connection.fault is not None


# Lengths and codings that parsers read differently: h11 (CVE-2025-43859), Jetty (CVE-2026-19203),
# Tornado, bandit (CVE-2026-39805), undici (CVE-2026-1525).


@pytest.mark.clause("H010", "H011")
@pytest.mark.parametrize(
    "fields",
    [
        [("Content-Length", "5"), ("Transfer-Encoding", "chunked")],
        [("Transfer-Encoding", "chunked"), ("Content-Length", "5")],
        [("Content-Length", "5"), ("Content-Length", "5")],
        [("Content-Length", "5"), ("Content-Length", "6")],
        [("Content-Length", "5, 5")],
        [("Content-Length", "+5")],
        [("Content-Length", "-5")],
        [("Content-Length", "5_0")],
        [("Content-Length", "0x5")],
        [("Content-Length", "5;")],
        [("Content-Length", "\xb2")],
        [("Content-Length", "9" * 5000)],
    ],
)
def test_ambiguous_length(fields: list[tuple[str, str]]) -> None:
    data = head("POST / HTTP/1.1", ("Host", "a"), *fields) + b"12345"
    assert answer(data) == 400


@pytest.mark.parametrize(
    "coding", ["xchunked", "chunked, identity", "identity", "chunked, chunked", "gzip, chunked", ""]
)
def test_unknown_coding(coding: str) -> None:
    data = head("POST / HTTP/1.1", ("Host", "a"), ("Transfer-Encoding", coding))
    assert answer(data + b"0\r\n\r\n") in (400, 501)


@pytest.mark.parametrize(
    "body",
    [
        "5\r\nHelloXX0\r\n\r\n",
        "+5\r\nHello\r\n",
        "0x5\r\nHello\r\n",
        "\r\n",
        "g\r\n",
    ],
)
def test_malformed_chunk(body: str) -> None:
    data = head("POST / HTTP/1.1", ("Host", "a"), ("Transfer-Encoding", "chunked"))
    assert answer(data + body.encode()) == 400


def test_line_of_a_chunk_without_end() -> None:
    data = head("POST / HTTP/1.1", ("Host", "a"), ("Transfer-Encoding", "chunked"))
    for body in (b"5\nHello\n0\n\n" * 2000, b"5;" + b"a" * 20_000, b"0\r\n" + b"a: b\r\n" * 4000):
        assert answer(data + body) == 431
    handshake, _ = ask()
    handshake.receive_data(b"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n")
    with pytest.raises(HandshakeError):
        handshake.receive_data(b"5;" + b"a" * 20_000)


def test_body_is_bounded_and_never_a_second_request() -> None:
    fields = [("Host", "a"), ("Content-Length", str(64 * KiB + 1))]
    assert answer(head("POST / HTTP/1.1", *fields) + bytes(64 * KiB + 1)) == 413
    handshake = ServerHandshake(Limits())
    fields = [("Host", "a"), ("Content-Length", "2")]
    request = handshake.receive_data(head("POST / HTTP/1.1", *fields) + b"ok" + ADMIN)
    assert request is not None
    assert request.body == b"ok"
    assert handshake.receive_data(ADMIN) is None


# Lines that Python ends where HTTP does not: daphne (CVE-2026-44546).


@pytest.mark.clause("H001", "H007", "H009")
@pytest.mark.parametrize("octet", [*range(0x20), *range(0x7F, 0x100)])
def test_every_octet_in_every_place(octet: int) -> None:
    char = chr(octet)
    in_value = answer(opening(x=f"a{char}b"))
    assert in_value == (101 if octet == 0x09 or octet >= 0x80 else 400)
    assert answer(head("GET / HTTP/1.1", *OPENING, (f"X{char}Y", "z"))) == 400
    assert answer(opening(f"GET /{char} HTTP/1.1")) == 400
    assert answer(opening(f"G{char}ET / HTTP/1.1")) == 400


@pytest.mark.clause("H001", "H007")
@pytest.mark.parametrize(
    "end", [b"\r", b"\n", b"\n\n", b"\r\n\n", b"\r\n \r\n", b"\r\n\t", b"\x85", b"\xe2\x80\xa8"]
)
def test_line_that_http_does_not_end_there(end: bytes) -> None:
    data = opening().replace(b"\r\nUpgrade", end + b"Upgrade", 1)
    assert answer(data) == 400


# Lines and fields that are injected through an API: aiohttp (CVE-2026-34520, CVE-2023-49081),
# undici (CVE-2026-1527), Tornado (CVE-2025-67724), Autobahn (CVE-2020-35678), uvicorn
# (CVE-2020-7695).

INJECTIONS = ["a\r\nX: y", "a\nX: y", "a\rb", "a\0b", "a\u010a", "a\ud800", "\r\n", "a\x7f"]


@pytest.mark.parametrize("text", INJECTIONS)
def test_injection_into_a_request(text: str) -> None:
    uri = parse_uri("ws://example.com/")
    attempts: list[Callable[[], object]] = [
        lambda: Headers([("X", text)]),
        lambda: Headers([(text, "y")]),
        lambda: ClientHandshake(uri, origin=text),
        lambda: ClientHandshake(uri, subprotocols=[text]),
        lambda: ClientHandshake(uri, headers=[("Cookie", text)]),
        lambda: ClientHandshake(uri, headers=[(text, "y")]),
        lambda: parse_uri(f"ws://{text}/"),
    ]
    if text != "a\u010a":  # which is a letter, and percent-encoded
        attempts += [
            lambda: parse_uri(f"ws://example.com/{text}"),
            lambda: parse_uri(f"ws://example.com/?{text}"),
            lambda: parse_uri(f"ws://{text}@example.com/"),
        ]
    else:
        attempts.pop()
    for attempt in attempts:
        with pytest.raises(UsageError):
            attempt()


@pytest.mark.parametrize("text", INJECTIONS)
def test_injection_into_an_answer(text: str) -> None:
    handshake = ServerHandshake(Limits())
    handshake.receive_data(opening(sec_websocket_protocol="a"))
    attempts: list[Callable[[], object]] = [
        lambda: handshake.accept(subprotocol=text),
        lambda: handshake.accept(headers=[("Set-Cookie", text)]),
        lambda: handshake.accept(headers=[(text, "y")]),
        lambda: handshake.respond(Response.text("", content_type=text)),
        lambda: handshake.respond(Response(200, Headers([("X", text)]))),
    ]
    for attempt in attempts:
        with pytest.raises(UsageError):
            attempt()
    assert handshake.state is State.CONNECTING


def test_host_whose_letters_turn_into_others() -> None:
    # IDNA maps FULLWIDTH SOLIDUS and its like to the characters that end a host.
    for char in "\uff0f\uff20\uff1a\uff03\uff1f":
        with pytest.raises(UsageError):
            parse_uri(f"ws://example.com{char}evil.example/")


# Escape sequences in logs: uvicorn (CVE-2020-7694). What an error says may be logged.


@pytest.mark.parametrize(
    "data",
    [
        opening("GET /\x1b[2J HTTP/1.1"),
        opening("GET /\x9b2J HTTP/1.1"),
        opening(host="a\x9b2J"),
        opening(x="\x1b[2J"),
        opening(sec_websocket_key="\x9b2J\x85"),
        opening(sec_websocket_protocol="\x9b2J\x85"),
        opening(sec_websocket_extensions="\x9b2J\x85"),
        opening(upgrade="websocket", connection="\x9b2J\x85"),
        opening(Content_Length="\x9b2J\x85"),
        opening(Transfer_Encoding="\x9b2J\x85"),
        head("GET / HTTP/1.1", ("Host", "a"), ("\x9b", "y")),
    ],
)
def test_messages_of_errors_are_printable(data: bytes) -> None:
    handshake = ServerHandshake(Limits())
    with pytest.raises(HandshakeError) as caught:
        accept(handshake, data)
    assert str(caught.value).isprintable()
    assert str(caught.value).isascii()


def accept(handshake: ServerHandshake, data: bytes) -> None:
    handshake.receive_data(data)
    handshake.accept()


@pytest.mark.parametrize(
    "field",
    ["Sec-WebSocket-Protocol: \x9b2J\x85", "Sec-WebSocket-Extensions: \x9b2J", "X\x9b: y"],
)
def test_messages_of_errors_of_a_client_are_printable(field: str) -> None:
    handshake, key = ask(subprotocols=["a"], extensions=[PermessageDeflate()])
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {key}",
        field,
        "",
        "",
    ]
    with pytest.raises(HandshakeError) as caught:
        handshake.receive_data("\r\n".join(lines).encode("latin-1"))
    categories = {unicodedata.category(char) for char in str(caught.value)}
    assert categories.isdisjoint({"Cc", "Cf", "Zl", "Zp"})


# Tokens that are looked for as parts of a text: aiohttp #12723, Netty (CVE-2026-59898).


@pytest.mark.clause("W063", "W064", "H021")
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"connection": "keep-alive, notupgrade"}, 400),
        ({"connection": "upgrade-insecure"}, 400),
        ({"upgrade": "websocketx"}, 426),
        ({"upgrade": "websocket/13"}, 426),
        ({"upgrade": "h2c, websocket"}, 101),
        ({"upgrade": "WebSocket"}, 101),
        ({"connection": "keep-alive, Upgrade"}, 101),
        ({"connection": ["keep-alive", "uPgRaDe"]}, 101),
        ({"connection": "upgrade"}, 101),
    ],
)
def test_tokens_of_upgrade_and_connection(fields: dict[str, Any], status: int) -> None:
    assert answer(opening(**fields)) == status


# Fields of which two parsers read different ones.


@pytest.mark.clause("W247", "W254", "H004", party="server")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Sec-WebSocket-Key", NONCE),
        ("Sec-WebSocket-Version", "13"),
        ("Host", "example.com"),
        ("Upgrade", "websocket"),
        ("Origin", "http://a.example"),
        ("Content-Length", "0"),
    ],
)
@pytest.mark.parametrize("other", [None, "other"])
def test_field_that_stands_twice(name: str, value: str, other: str | None) -> None:
    fields = [field for field in OPENING if field[0] != name]
    first, second = (name, value), (name.upper(), value if other is None else other)
    for pair in ([first, second], [second, first]):
        assert answer(head("GET / HTTP/1.1", *fields, *pair)) == 400


# Keys that a lenient decoder takes.


@pytest.mark.clause("W065", "W096")
@pytest.mark.parametrize(
    ("key", "status"),
    [
        ("AQIDBAUGBwgJCgsMDQ4PEC==", 101),
        ("AQIDBAUGBwgJCgsMDQ4P", 400),
        ("AQIDBAUGBwgJCgsMDQ4PEBE=", 400),
        ("AQIDBAUGBwgJ!CgsMDQ4PEC==", 400),
        ("AQIDBAUGBwgJ CgsMDQ4PEC==", 400),
        ("AQIDBAUGBwgJCgsMDQ4PEC", 400),
        ("AQIDBAUGBwgJCgsMDQ4PEC=", 400),
        ("====", 400),
        ("AQIDBAUGBwgJCgsMDQ4PEC==AA", 400),
        ("AQIDBAUGBwgJCgsMDQ4PEC\xbd\xbd", 400),
    ],
)
def test_key(key: str, status: int) -> None:
    assert answer(opening(sec_websocket_key=key)) == status


# Expectations that cost memory or hang: Undertow (CVE-2020-10705).


@pytest.mark.clause("H018")
def test_expectations() -> None:
    for value, status in (("100-continue", 101), ("100-CONTINUE", 101), ("x", 417), ("", 417)):
        assert answer(opening(expect=value)) == status
    handshake = ServerHandshake(Limits())
    assert handshake.receive_data(opening(expect="100-continue")) is not None
    assert handshake.data_to_send() == b""


# Other protocols on the same port.


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", 505),
        (opening("GET / HTTP/1.0"), 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n\r\n", 400),
        (b"EHLO mail.example\r\n\r\n", 400),
        (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"\x00\x00\x00\x00\r\n\r\n", 400),
        (head("GET / HTTP/1.1", ("Host", "a")), 426),
        (opening("POST / HTTP/1.1"), 405),
        (opening("GET http://example.com/ HTTP/1.1"), 101),
        (opening("GET * HTTP/1.1"), 400),
        (opening("CONNECT example.com:80 HTTP/1.1"), 400),
        (opening("OPTIONS * HTTP/1.1"), 405),
    ],
)
def test_other_protocols(data: bytes, status: int) -> None:
    assert answer(data) == status


# Data that comes with the handshake, before it, or behind an answer that is cut anywhere.


@pytest.mark.clause("W106")
def test_frames_in_the_segment_of_the_request() -> None:
    frames = peer_frame(SERVER, Opcode.TEXT, b"a") + peer_frame(SERVER, Opcode.TEXT, b"b")
    for chunks in chunkings(opening() + frames):
        handshake = ServerHandshake(Limits())
        requests = [handshake.receive_data(chunk) for chunk in chunks]
        assert sum(isinstance(request, Request) for request in requests) == 1
        handshake.accept()
        assert run([handshake.trailing_data]).events == ["a", "b"]


@pytest.mark.clause("W106")
def test_frames_in_the_segment_of_the_answer() -> None:
    frames = peer_frame(CLIENT, Opcode.TEXT, b"a") + peer_frame(CLIENT, Opcode.TEXT, b"b")
    length = len(switching(ask()[1]))
    for position in range(length + len(frames) + 1):
        handshake, key = ask()
        data = switching(key) + frames
        handshake.receive_data(data[:position])
        late = b"" if position < length else data[position:]
        handshake.receive_data(data[position:])
        assert handshake.state is State.OPEN
        assert run([handshake.trailing_data, late], CLIENT).events == ["a", "b"]


def switching(key: str) -> bytes:
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {key}\r\n\r\n"
    ).encode()


def test_frames_before_the_request() -> None:
    assert answer(peer_frame(SERVER, Opcode.TEXT, b"Hello\r\n") + opening()) == 400


# Answers without end.


def test_refusal_with_a_body_without_end() -> None:
    for framing in ("", "Content-Length: 99999999999999\r\n", "Transfer-Encoding: chunked\r\n"):
        handshake, _ = ask()
        handshake.receive_data(f"HTTP/1.1 401 Unauthorized\r\n{framing}\r\n".encode())
        chunk = b"400\r\n" + bytes(1024) + b"\r\n" if "chunked" in framing else bytes(1024)
        answers = [handshake.receive_data(chunk) for _ in range(200)]
        (response,) = [response for response in answers if response is not None]
        assert (response.status, len(response.body)) == (401, 64 * KiB)
        assert handshake.state is State.CLOSED


def test_interim_answers_without_end() -> None:
    handshake, key = ask()
    handshake.receive_data(b"HTTP/1.1 100 Continue\r\n\r\n" * 4 + switching(key))
    assert handshake.state is State.OPEN
    for chunks in chunkings(b"HTTP/1.1 100 Continue\r\n\r\n" * 5):
        handshake, _ = ask()
        with pytest.raises(HandshakeError, match="interim"):
            feed_chunks(handshake, chunks)


def feed_chunks(handshake: ClientHandshake, chunks: list[bytes]) -> None:
    for chunk in chunks:
        handshake.receive_data(chunk)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 " + b"a" * 9000,
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 9000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200,
        b"HTTP/1.1 200 OK\r\n" + b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 100_000,
    ],
)
def test_head_of_an_answer_without_end(data: bytes) -> None:
    handshake, _ = ask()
    with pytest.raises(HandshakeError) as caught:
        handshake.receive_data(data)
    assert caught.value.status == 0


def test_work_for_the_body_of_a_refusal_is_linear() -> None:
    def work(count: int) -> None:
        handshake, _ = ask(limits=OFF)
        handshake.receive_data(b"HTTP/1.1 401 Unauthorized\r\n\r\n")
        for _ in range(count):
            handshake.receive_data(b"0123456789abcdef")
        response = handshake.receive_eof()
        assert response is not None
        assert len(response.body) == 16 * count

    assert growth(work, 1_000) < LINEAR


def test_end_of_tcp_after_the_answer_is_the_end_of_the_connection() -> None:
    handshake, key = ask()
    handshake.receive_data(switching(key))
    assert handshake.receive_eof() is None
    assert Connection(CLIENT).receive_eof() == [Closed(1006, "", clean=False)]
