"""The client's half of the opening handshake: what the numbered steps of §4.1 do not say.

The steps themselves are proven in ``tests/conformance/test_s4_1_client_handshake.py``; here are
arguments, refusals with their bodies, interim answers and limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from rfc6455.errors import HandshakeError, UsageError
from rfc6455.extensions import Extension, ExtensionFactory, Parameters, PermessageDeflate
from rfc6455.handshake import ClientHandshake, accept_key
from rfc6455.http import Response
from rfc6455.limits import Limits
from rfc6455.state import State
from rfc6455.uri import parse_uri
from rfc6455.version import USER_AGENT
from tests.helpers import NONCE, chunkings, head

URI = parse_uri("ws://example.com/chat?a=b")


def start(**options: Any) -> tuple[ClientHandshake, dict[str, str]]:
    """A handshake whose request was sent, and the fields of that request by lower-case name."""
    handshake = ClientHandshake(URI, **options)
    line, *fields = handshake.request_data().decode("latin-1").split("\r\n")[:-2]
    assert line == "GET /chat?a=b HTTP/1.1"
    pairs = [field.partition(": ") for field in fields]
    return handshake, {name.lower(): value for name, _, value in pairs}


def switching(key: str, *fields: str) -> bytes:
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(key.encode())}",
        *fields,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def feed(handshake: ClientHandshake, chunks: list[bytes]) -> Response | None:
    answer = None
    for chunk in chunks:
        answer = handshake.receive_data(chunk) or answer
    return answer


def receive(data: bytes, *, eof: bool = False, **options: Any) -> Response:
    """The server's answer, which is the same however reads cut ``data``."""
    answers = []
    for chunks in chunkings(data):
        handshake, _ = start(**options)
        answer = feed(handshake, chunks)
        if eof:
            assert answer is None
            answer = handshake.receive_eof()
        assert handshake.state is State.CLOSED
        assert handshake.receive_eof() is None
        answers.append(answer)
    assert answers[0] is not None
    assert all(answer == answers[0] for answer in answers)
    return answers[0]


def refused(data: bytes, **options: Any) -> HandshakeError:
    errors = []
    for chunks in chunkings(data):
        handshake, _ = start(**options)
        with pytest.raises(HandshakeError) as caught:
            feed(handshake, chunks)
        assert handshake.state is State.CLOSED
        assert handshake.receive_data(b"x") is None
        errors.append(caught.value)
    assert len({(str(error), error.status) for error in errors}) == 1
    return errors[0]


class Factory(ExtensionFactory):
    def __init__(self, name: str, rsv: int) -> None:
        self.name = name
        self.rsv = rsv

    def offers(self) -> Sequence[Parameters]:
        return [[("wish", "1")], []]

    def accept(self, offer: Parameters) -> tuple[Parameters, Extension] | None:
        raise NotImplementedError

    def confirm(self, answer: Parameters) -> Extension:
        if answer:
            raise ValueError("no such parameter")
        return InUse(self.name, self.rsv)


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


# The request


def test_request() -> None:
    _, fields = start()
    assert {**fields, "sec-websocket-key": "?"} == {
        "host": "example.com",
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-key": "?",
        "sec-websocket-version": "13",
        "user-agent": USER_AGENT,
    }


def test_request_is_written_as_in_the_rfc(monkeypatch: pytest.MonkeyPatch) -> None:
    # The fields of §1.2, in its spelling: names are case-insensitive, and not every server knows.
    monkeypatch.setattr("rfc6455.handshake.client.new_key", NONCE.encode)
    handshake = ClientHandshake(
        parse_uri("ws://user@server.example.com/chat"),
        origin="http://example.com",
        subprotocols=["chat", "superchat"],
        extensions=[PermessageDeflate(window_bits=15, peer_window_bits=15)],
        headers=[("Cookie", "a=b")],
        user_agent="mine/1",
    )
    assert handshake.trailing_data == b""
    assert handshake.request_data() == head(
        "GET /chat HTTP/1.1",
        ("Host", "server.example.com"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", NONCE),
        ("Sec-WebSocket-Version", "13"),
        ("Origin", "http://example.com"),
        ("Sec-WebSocket-Protocol", "chat, superchat"),
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
        ("User-Agent", "mine/1"),
        ("Authorization", "Basic dXNlcjo="),
        ("Cookie", "a=b"),
    )


def test_fields_of_the_application_take_the_place_of_ours() -> None:
    handshake = ClientHandshake(URI, headers=[("user-agent", "mine/1"), ("Origin", "http://a")])
    sent = handshake.request_data().decode().lower()
    assert sent.count("user-agent: ") == 1
    assert "user-agent: mine/1\r\n" in sent
    assert "origin: http://a\r\n" in sent


def test_third_extension_must_not_use_the_bit_of_the_first() -> None:
    factories = [Factory("a", 0x40), Factory("b", 0x20), Factory("c", 0x40)]
    handshake, fields = start(extensions=factories)
    answer = switching(fields["sec-websocket-key"], "Sec-WebSocket-Extensions: a, b, c")
    with pytest.raises(HandshakeError, match="c uses a reserved bit that is taken"):
        handshake.receive_data(answer)


@pytest.mark.parametrize(
    ("options", "user_agent"),
    [
        ({"user_agent": "mine/1"}, "mine/1"),
        ({"user_agent": None}, None),
        ({"headers": [("user-agent", "theirs")]}, "theirs"),
    ],
)
def test_request_names_who_asks(options: dict[str, Any], user_agent: str | None) -> None:
    _, fields = start(**options)
    assert fields.get("user-agent") == user_agent


def with_userinfo(userinfo: str, **options: Any) -> str:
    handshake = ClientHandshake(parse_uri(f"ws://{userinfo}@h/"), **options)
    head = handshake.request_data().decode()
    assert head.count("\r\nAuthorization: ") == 1
    return head.partition("\r\nAuthorization: ")[2].partition("\r\n")[0]


@pytest.mark.parametrize(
    ("userinfo", "credentials"),
    [
        # RFC 7617 §2 and §2.1
        ("Aladdin:open%20sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("test:123%C2%A3", "Basic dGVzdDoxMjPCow=="),
        ("a:b:c", "Basic YTpiOmM="),
        ("a", "Basic YTo="),
        ("", "Basic Og=="),
    ],
)
def test_credentials_of_the_uri(userinfo: str, credentials: str) -> None:
    assert with_userinfo(userinfo) == credentials


@pytest.mark.parametrize("userinfo", ["a%3Ab:c", "a%0D%0A:b", "a:b%00", "a:%7F"])
def test_credentials_that_basic_cannot_carry(userinfo: str) -> None:
    with pytest.raises(UsageError, match="Basic"):
        with_userinfo(userinfo)


def test_credentials_from_two_places() -> None:
    with pytest.raises(UsageError, match="twice"):
        with_userinfo("a:b", headers=[("authorization", "Bearer x")])


def test_request_with_everything() -> None:
    _, fields = start(
        origin="http://example.com",
        subprotocols=["a", "b"],
        extensions=[Factory("x", 0x40)],
        headers=[("Cookie", "c=d")],
    )
    assert fields["origin"] == "http://example.com"
    assert fields["sec-websocket-protocol"] == "a, b"
    assert fields["sec-websocket-extensions"] == "x; wish=1, x"
    assert fields["cookie"] == "c=d"


@pytest.mark.parametrize(
    "options",
    [
        {"subprotocols": ["a b"]},
        {"subprotocols": [""]},
        {"subprotocols": ["a\r\nX: y"]},
        {"subprotocols": ["a", "b", "a"]},
        {"origin": "http://a\r\nX: y"},
        {"headers": [("X", "a\nb")]},
        {"headers": [("X\r\n", "a")]},
        {"headers": [("host", "other")]},
        {"headers": [("Upgrade", "h2c")]},
        {"headers": [("Connection", "close")]},
        {"headers": [("Sec-WebSocket-Key", "a")]},
        {"headers": [("Sec-WebSocket-Version", "8")]},
        {"headers": [("Origin", "b")], "origin": "a"},
    ],
)
def test_arguments_that_may_not_stand_in_a_request(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        start(**options)


@pytest.mark.parametrize("name", ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"])
def test_fields_with_arguments_of_their_own_are_not_given_as_headers(name: str) -> None:
    with pytest.raises(UsageError):
        start(headers=[(name, "a")])


@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding"])
def test_request_has_no_body(name: str) -> None:
    with pytest.raises(UsageError):
        start(headers=[(name, "5")])


# The answer that opens


def test_open() -> None:
    handshake, fields = start(subprotocols=["a", "b"], extensions=[Factory("x", 0x40)])
    answer = handshake.receive_data(
        switching(
            fields["sec-websocket-key"],
            "Sec-WebSocket-Protocol: b",
            "Sec-WebSocket-Extensions: x",
        )
        + b"\x81\x00"
    )
    assert answer is not None
    assert answer.status == 101
    assert handshake.state is State.OPEN
    assert handshake.subprotocol == "b"
    assert [extension.name for extension in handshake.extensions] == ["x"]
    assert handshake.trailing_data == b"\x81\x00"
    assert handshake.receive_data(b"more") is None
    assert handshake.receive_eof() is None


def test_open_however_reads_cut_the_answer() -> None:
    length = len(switching("?" * 24))
    for position in range(length + 1):
        handshake, fields = start()
        data = switching(fields["sec-websocket-key"]) + b"!"
        first = handshake.receive_data(data[:position])
        second = handshake.receive_data(data[position:])
        assert (first or second) is not None
        assert handshake.state is State.OPEN
        assert handshake.trailing_data == (b"!" if position <= length - 1 else b"")


def test_extensions_that_want_the_same_bit() -> None:
    handshake, fields = start(extensions=[Factory("x", 0x40), Factory("y", 0x40)])
    with pytest.raises(HandshakeError, match="bit"):
        handshake.receive_data(
            switching(fields["sec-websocket-key"], "Sec-WebSocket-Extensions: x, y")
        )
    assert handshake.state is State.CLOSED


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("HTTP/1.1", "HTTP/1.0"), "not HTTP/1.1"),
        (("Upgrade: websocket\r\n", ""), "missing Upgrade"),
        (("Upgrade: websocket", "Upgrade: h2c"), "Upgrade does not say"),
        (("Connection: Upgrade\r\n", ""), "Connection does not say"),
        (("Connection: Upgrade", "Connection: a b"), "malformed Connection"),
        (("Sec-WebSocket-Accept", "X"), "missing Sec-WebSocket-Accept"),
        (("Accept: ", "Accept: x"), "does not answer our key"),
        (("\r\n\r\n", "\r\nSec-WebSocket-Protocol: c\r\n\r\n"), "was not offered"),
        (("\r\n\r\n", "\r\nSec-WebSocket-Extensions: z\r\n\r\n"), "was not offered"),
        (("\r\n\r\n", "\r\nSec-WebSocket-Extensions: x; y\r\n\r\n"), "no such parameter"),
        (("\r\n\r\n", "\r\nSec-WebSocket-Extensions: x;\r\n\r\n"), "malformed"),
    ],
)
def test_answer_that_does_not_open(change: tuple[str, str], reason: str) -> None:
    handshake, fields = start(subprotocols=["a"], extensions=[Factory("x", 0x40)])
    data = switching(fields["sec-websocket-key"]).decode().replace(*change).encode()
    with pytest.raises(HandshakeError, match=reason) as caught:
        handshake.receive_data(data)
    assert caught.value.status == 101
    assert handshake.state is State.CLOSED


# Other answers


def test_refusal_with_a_body() -> None:
    answer = receive(b"HTTP/1.1 401 Unauthorized\r\nX: y\r\nContent-Length: 5\r\n\r\nHello")
    assert (answer.status, answer.headers["X"], answer.body) == (401, "y", b"Hello")


def test_refusal_with_chunks() -> None:
    answer = receive(
        b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nHel\r\n2\r\nlo\r\n0\r\n\r\n"
    )
    assert answer.body == b"Hello"


def test_refusal_without_a_body() -> None:
    assert receive(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").body == b""


def test_refusal_that_ends_with_tcp() -> None:
    assert receive(b"HTTP/1.1 500 Oh\r\n\r\nHello", eof=True).body == b"Hello"


def test_refusal_that_ends_too_early() -> None:
    data = b"HTTP/1.1 500 Oh\r\nContent-Length: 10\r\n\r\nHello"
    assert receive(data, eof=True).body == b"Hello"


def test_refusal_is_kept_up_to_the_limit() -> None:
    data = b"HTTP/1.1 500 Oh\r\nContent-Length: 10\r\n\r\n0123456789"
    for limit, kept in [(9, 9), (10, 10), (None, 10)]:
        answer = receive(data, limits=Limits(max_body_size=limit))
        assert answer.body == b"0123456789"[:kept]


def test_redirect_is_the_transports() -> None:
    answer = receive(b"HTTP/1.1 302 Found\r\nLocation: ws://b/\r\nContent-Length: 0\r\n\r\n")
    assert (answer.status, answer.headers["Location"]) == (302, "ws://b/")


def test_interim_answers_are_passed_over() -> None:
    for count in range(5):
        handshake, fields = start()
        data = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * count
        handshake.receive_data(data + switching(fields["sec-websocket-key"]))
        assert handshake.state is State.OPEN


def test_five_interim_answers_are_too_many() -> None:
    assert refused(b"HTTP/1.1 100 Continue\r\n\r\n" * 5).status == 0


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 2 OK\r\n\r\n",
        b"HTTP/1.1 200\nX: y\n\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: \x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n",
        b"HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    ],
)
def test_answer_that_is_not_http(data: bytes) -> None:
    assert refused(data).status == 0


@pytest.mark.parametrize(
    ("limits", "data"),
    [
        (Limits(max_request_line_size=50), b"HTTP/1.1 200 " + b"K" * 50),
        (Limits(max_header_line_size=50), b"HTTP/1.1 200 OK\r\nX: " + b"y" * 50),
        (Limits(max_headers=2), b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 3),
        (Limits(max_head_size=50), b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10),
    ],
)
def test_limits_of_the_head(limits: Limits, data: bytes) -> None:
    assert refused(data, limits=limits).status == 0


def test_connection_closed_before_the_answer() -> None:
    for data in (b"", b"HTTP/1.1 101 Switching"):
        handshake, _ = start()
        handshake.receive_data(data)
        with pytest.raises(HandshakeError, match="closed"):
            handshake.receive_eof()
        assert handshake.state is State.CLOSED
        assert handshake.receive_eof() is None


def test_an_extension_is_named_once() -> None:
    # One of them would be offered, and the other would judge the answer.
    with pytest.raises(UsageError, match="named twice"):
        ClientHandshake(parse_uri("ws://a/"), extensions=[PermessageDeflate()] * 2)
