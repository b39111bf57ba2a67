"""RFC 6455 §4.1: what a client asks, and how it judges the answer."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import h11
import pytest

from rfc6455.errors import HandshakeError, UsageError
from rfc6455.extensions import PermessageDeflate
from rfc6455.handshake import ClientHandshake, accept_key
from rfc6455.http import Response
from rfc6455.state import State
from rfc6455.uri import parse_uri
from tests.helpers import chunkings

URI = "ws://example.com/chat?a=b"


def request(uri: str = URI, **options: Any) -> h11.Request:
    """The request, read by a server that knows nothing of us."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(ClientHandshake(parse_uri(uri), **options).request_data())
    event = server.next_event()
    assert isinstance(event, h11.Request)
    assert isinstance(server.next_event(), h11.EndOfMessage)
    return event


def values(request: h11.Request, name: str) -> list[str]:
    return [value.decode() for field, value in request.headers if field == name.lower().encode()]


Fields = Sequence[tuple[str, str]]
ACCEPT = "?" * 28
OPENING: Fields = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Accept", "{accept}"),
]


def without(name: str) -> Fields:
    return [field for field in OPENING if field[0] != name]


def judge(
    fields: Fields, *, status: str = "HTTP/1.1 101 Switching Protocols", **options: Any
) -> ClientHandshake:
    """Gives an answer to a handshake, cut in every way: it opens with each, or fails with each."""
    lines = [status, *map(": ".join, fields), "", ""]
    template = "\r\n".join(lines).replace("{accept}", ACCEPT).encode("latin-1")
    for chunks in chunkings(template):
        handshake = ClientHandshake(parse_uri(URI), **options)
        accept = accept_key(key_in(handshake.request_data()))
        data = template.replace(ACCEPT.encode(), accept.encode())
        for chunk in chunks[:-1]:
            assert handshake.receive_data(data[: len(chunk)]) is None
            data = data[len(chunk) :]
        answer = handshake.receive_data(data + b"trailing")
        assert isinstance(answer, Response)
        assert answer.status == 101
        assert handshake.state is State.OPEN
        assert handshake.trailing_data == b"trailing"
    return handshake


def key_in(request: bytes) -> bytes:
    _, _, rest = request.partition(b"\r\nSec-WebSocket-Key: ")
    return rest.partition(b"\r\n")[0]


def refuse(fields: Fields, **options: Any) -> None:
    with pytest.raises(HandshakeError) as caught:
        judge(fields, **options)
    assert caught.value.status == 101


# The request


@pytest.mark.clause("W010", "W026", "W027", "W028", "W029", "W030")
def test_s4_1_request_is_a_get_of_the_resource_name_in_http_1_1() -> None:
    asked = request()
    assert (asked.method, asked.target, asked.http_version) == (b"GET", b"/chat?a=b", b"1.1")


@pytest.mark.clause("W031")
@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("ws://example.com/", "example.com"),
        ("ws://example.com:80/", "example.com"),
        ("wss://example.com:443/", "example.com"),
        ("ws://example.com:443/", "example.com:443"),
        ("wss://example.com:80/", "example.com:80"),
        ("ws://[::1]:9/", "[::1]:9"),
    ],
)
def test_s4_1_host_names_the_port_unless_it_is_the_default(uri: str, host: str) -> None:
    assert values(request(uri), "Host") == [host]


@pytest.mark.clause("W032", "W033")
def test_s4_1_upgrade_is_websocket() -> None:
    assert values(request(), "Upgrade") == ["websocket"]


@pytest.mark.clause("W034", "W035")
def test_s4_1_connection_is_upgrade() -> None:
    assert values(request(), "Connection") == ["Upgrade"]


@pytest.mark.clause("W036", "W037", "W096", "W247", party="client")
def test_s4_1_key_is_sixteen_bytes_in_base64() -> None:
    (key,) = values(request(), "Sec-WebSocket-Key")
    assert len(base64.b64decode(key, validate=True)) == 16


@pytest.mark.clause("W038")
def test_s4_1_key_is_random_for_each_connection() -> None:
    assert len({values(request(), "Sec-WebSocket-Key")[0] for _ in range(100)}) == 100


@pytest.mark.clause("W040")
def test_s4_1_origin_may_be_sent() -> None:
    assert values(request(), "Origin") == []
    assert values(request(origin="http://a.example"), "Origin") == ["http://a.example"]


@pytest.mark.clause("W041", "W042", "W095", "W254", party="client")
def test_s4_1_version_is_13() -> None:
    assert values(request(), "Sec-WebSocket-Version") == ["13"]


@pytest.mark.clause("W043")
def test_s4_1_subprotocols_stand_in_order_of_preference() -> None:
    assert values(request(), "Sec-WebSocket-Protocol") == []
    asked = request(subprotocols=["chat.v2", "chat.v1"])
    assert values(asked, "Sec-WebSocket-Protocol") == ["chat.v2, chat.v1"]


@pytest.mark.clause("W044")
@pytest.mark.parametrize("subprotocol", ["", "a b", "a,b", "é", "a\x7f", "a/b", '"a"', "(a)"])
def test_s4_1_subprotocol_is_a_token(subprotocol: str) -> None:
    with pytest.raises(UsageError):
        request(subprotocols=[subprotocol])


@pytest.mark.clause("W045")
def test_s4_1_subprotocols_are_unique() -> None:
    with pytest.raises(UsageError):
        request(subprotocols=["a", "b", "a"])


@pytest.mark.clause("W046", "W219")
def test_s4_1_extensions_may_be_offered() -> None:
    assert values(request(), "Sec-WebSocket-Extensions") == []
    (offers,) = values(request(extensions=[PermessageDeflate()]), "Sec-WebSocket-Extensions")
    assert offers.startswith("permessage-deflate")


@pytest.mark.clause("W047")
def test_s4_1_other_fields_may_be_sent() -> None:
    asked = request(headers=[("Cookie", "a=b"), ("Authorization", "Basic eDp5")])
    assert values(asked, "Cookie") == ["a=b"]
    assert values(asked, "Authorization") == ["Basic eDp5"]


@pytest.mark.clause("W048")
def test_s4_1_nothing_follows_the_request_before_the_answer() -> None:
    handshake = ClientHandshake(parse_uri(URI))
    assert handshake.request_data().endswith(b"\r\n\r\n")
    assert handshake.state is State.CONNECTING


# The answer


@pytest.mark.clause("W010", "W049", "W058")
def test_s4_1_answer_that_opens() -> None:
    handshake = judge(OPENING)
    assert handshake.subprotocol is None
    assert handshake.extensions == []


@pytest.mark.clause("W050")
@pytest.mark.parametrize("status", [200, 301, 302, 307, 401, 403, 404, 426, 500, 503])
def test_s4_1_other_status_is_for_http(status: int) -> None:
    data = f"HTTP/1.1 {status} x\r\nContent-Length: 2\r\nX: y\r\n\r\nno".encode()
    for chunks in chunkings(data):
        handshake = ClientHandshake(parse_uri(URI))
        handshake.request_data()
        answers = [handshake.receive_data(chunk) for chunk in chunks]
        assert answers[:-1] == [None] * (len(chunks) - 1)
        assert answers[-1] is not None
        assert (answers[-1].status, answers[-1].body) == (status, b"no")
        assert handshake.state is State.CLOSED


@pytest.mark.clause("W051", "W003")
@pytest.mark.parametrize("value", ["websocket", "WebSocket", "WEBSOCKET"])
def test_s4_1_upgrade_is_compared_without_case(value: str) -> None:
    judge([*without("Upgrade"), ("Upgrade", value)])


@pytest.mark.clause("W051")
@pytest.mark.parametrize(
    "value", [None, "", "h2c", "websocketx", "websocket, h2c", "web socket", "web\xc5\xbfocket"]
)
def test_s4_1_upgrade_must_be_websocket(value: str | None) -> None:
    refuse([*without("Upgrade"), *([] if value is None else [("Upgrade", value)])])


@pytest.mark.clause("W052", "W003", "H021")
@pytest.mark.parametrize(
    "value", ["Upgrade", "upgrade", "UPGRADE", "keep-alive, Upgrade", ",upgrade"]
)
def test_s4_1_connection_includes_the_token_upgrade(value: str) -> None:
    judge([*without("Connection"), ("Connection", value)])
    judge([*without("Connection"), ("Connection", "x"), ("Connection", value)])


@pytest.mark.clause("W052", "H021")
@pytest.mark.parametrize("value", [None, "", "keep-alive", "notupgrade", "upgradex", "up grade"])
def test_s4_1_connection_must_include_the_token_upgrade(value: str | None) -> None:
    refuse([*without("Connection"), *([] if value is None else [("Connection", value)])])


@pytest.mark.clause("W053")
@pytest.mark.parametrize("value", ["{accept}", " {accept}", "\t{accept}  \t"])
def test_s4_1_white_space_around_accept_does_not_count(value: str) -> None:
    judge([*without("Sec-WebSocket-Accept"), ("Sec-WebSocket-Accept", value)])


@pytest.mark.clause("W053", "W096")
@pytest.mark.parametrize(
    "value", [None, "", "{accept}=", "x{accept}", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "{accept},"]
)
def test_s4_1_accept_must_answer_the_key(value: str | None) -> None:
    name = "Sec-WebSocket-Accept"
    refuse([*without(name), *([] if value is None else [(name, value)])])


@pytest.mark.clause("W053")
def test_s4_1_accept_is_compared_with_case() -> None:
    data = "\r\n".join(["HTTP/1.1 101 x", *map(": ".join, OPENING), "", ""])
    handshake = ClientHandshake(parse_uri(URI))
    accept = accept_key(key_in(handshake.request_data()))
    with pytest.raises(HandshakeError):
        handshake.receive_data(data.replace("{accept}", accept.swapcase()).encode())


@pytest.mark.clause("W054", "W223", "W227")
@pytest.mark.parametrize(
    "value",
    [
        "permessage-bzip2",
        "x-other, permessage-deflate",
        "permessage-deflate, x-other",
        "permessage-deflate; unknown",
        "permessage-deflate;",
        "",
        ",",
    ],
)
def test_s4_1_extension_that_was_not_offered(value: str) -> None:
    field = ("Sec-WebSocket-Extensions", value)
    refuse([*OPENING, field], extensions=[PermessageDeflate()])
    refuse([*OPENING, field])


@pytest.mark.clause("W054", "W058", "W227")
def test_s4_1_extension_that_was_offered() -> None:
    field = ("Sec-WebSocket-Extensions", "permessage-deflate")
    handshake = judge([*OPENING, field], extensions=[PermessageDeflate()])
    assert [extension.name for extension in handshake.extensions] == ["permessage-deflate"]
    refuse([*OPENING, field])


@pytest.mark.clause("W055", "W058")
def test_s4_1_subprotocol_that_was_offered() -> None:
    field = ("Sec-WebSocket-Protocol", "b")
    assert judge([*OPENING, field], subprotocols=["a", "b"]).subprotocol == "b"
    assert judge(OPENING, subprotocols=["a", "b"]).subprotocol is None


@pytest.mark.clause("W055")
@pytest.mark.parametrize("value", ["c", "B", "a, b", "", "a b"])
def test_s4_1_subprotocol_that_was_not_offered(value: str) -> None:
    field = ("Sec-WebSocket-Protocol", value)
    refuse([*OPENING, field], subprotocols=["a", "b"])
    refuse([*OPENING, field])


@pytest.mark.clause("W056")
def test_s4_1_answer_is_of_http_1_1() -> None:
    refuse(OPENING, status="HTTP/1.0 101 Switching Protocols")


@pytest.mark.clause("W056", "W249", "W250", "W252", party="client")
@pytest.mark.parametrize(
    "fields",
    [
        [("Upgrade", "websocket")],
        [("Sec-WebSocket-Accept", "{accept}")],
        [("Sec-WebSocket-Protocol", "a")] * 2,
        [("Sec-WebSocket-Extensions", "permessage-deflate")] * 2,
    ],
)
def test_s11_3_field_stands_at_most_once_in_an_answer(fields: Fields) -> None:
    refuse([*OPENING, *fields], subprotocols=["a"], extensions=[PermessageDeflate()])


@pytest.mark.clause("W057", party="client")
def test_s4_1_names_of_fields_are_case_insensitive() -> None:
    for change in (str.lower, str.upper):
        judge([(change(name), value) for name, value in OPENING])


@pytest.mark.clause("W200")
def test_s4_1_connection_lost_before_the_answer() -> None:
    handshake = ClientHandshake(parse_uri(URI))
    handshake.request_data()
    handshake.receive_data(b"HTTP/1.1 101")
    with pytest.raises(HandshakeError):
        handshake.receive_eof()
    assert handshake.state is State.CLOSED
