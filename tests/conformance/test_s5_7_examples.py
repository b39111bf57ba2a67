"""RFC 6455: every example of a frame (§5.7) and of a handshake (§1.2, §1.3, §9.1) in it."""

from __future__ import annotations

import pytest

from rfc6455.connection import Role
from rfc6455.events import Ping, Pong
from rfc6455.frames import Frame, Opcode, decode, encode
from rfc6455.handshake import ServerHandshake
from rfc6455.headers import parse_extensions
from rfc6455.limits import Limits
from tests.helpers import CLIENT, KEY, SERVER, deliver


@pytest.mark.clause("W107", "W125", party="client")
def test_s5_7_single_frame_unmasked_text_message() -> None:
    data = bytes.fromhex("81 05 48 65 6c 6c 6f")
    assert encode(Opcode.TEXT, b"Hello") == data
    assert deliver(data, CLIENT).events == ["Hello"]


@pytest.mark.clause("W107", "W123", "W125", party="server")
def test_s5_7_single_frame_masked_text_message() -> None:
    data = bytes.fromhex("81 85 37 fa 21 3d 7f 9f 4d 51 58")
    assert encode(Opcode.TEXT, b"Hello", masking_key=KEY) == data
    assert deliver(data, SERVER).events == ["Hello"]


@pytest.mark.clause("W107", "W126", party="client")
def test_s5_7_fragmented_unmasked_text_message() -> None:
    first, second = bytes.fromhex("01 03 48 65 6c"), bytes.fromhex("80 02 6c 6f")
    assert encode(Opcode.TEXT, b"Hel", fin=False) == first
    assert encode(Opcode.CONTINUATION, b"lo") == second
    assert deliver(first + second, CLIENT).events == ["Hello"]


@pytest.mark.clause("W155", "W156", "W159", party="client")
def test_s5_7_unmasked_ping_request() -> None:
    data = bytes.fromhex("89 05 48 65 6c 6c 6f")
    assert encode(Opcode.PING, b"Hello") == data
    outcome = deliver(data, CLIENT)
    assert outcome.events == [Ping(b"Hello")]
    assert outcome.sent == [Frame(Opcode.PONG, b"Hello")]


@pytest.mark.clause("W159", party="server")
def test_s5_7_masked_ping_response() -> None:
    data = bytes.fromhex("8a 85 37 fa 21 3d 7f 9f 4d 51 58")
    assert encode(Opcode.PONG, b"Hello", masking_key=KEY) == data
    outcome = deliver(data, SERVER)
    assert outcome.events == [Pong(b"Hello")]
    assert outcome.sent == []


@pytest.mark.clause("W107", "W114", "W116", party="client")
@pytest.mark.parametrize(
    ("size", "header"), [(256, "82 7e 01 00"), (65536, "82 7f 00 00 00 00 00 01 00 00")]
)
def test_s5_7_binary_message_in_a_single_unmasked_frame(size: int, header: str) -> None:
    payload = bytes(i % 256 for i in range(size))
    data = bytes.fromhex(header) + payload
    assert encode(Opcode.BINARY, payload) == data
    assert decode(data) == (Frame(Opcode.BINARY, payload), len(data))
    assert deliver(data, CLIENT).events == [payload]


@pytest.mark.clause("W071", "W081", "W090", party="server")
def test_s1_2_opening_handshake() -> None:
    request = (
        b"GET /chat HTTP/1.1\r\n"
        b"Host: server.example.com\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Origin: http://example.com\r\n"
        b"Sec-WebSocket-Protocol: chat, superchat\r\n"
        b"Sec-WebSocket-Version: 13\r\n"
        b"\r\n"
    )
    handshake = ServerHandshake(Limits())
    assert handshake.receive_data(request) is not None
    answer, _ = handshake.accept(subprotocol="chat")
    lines = answer.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 101 Switching Protocols"
    assert set(lines) >= {
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        b"Sec-WebSocket-Protocol: chat",
    }


@pytest.mark.clause("W094", "W224", "W228")
@pytest.mark.parametrize(
    ("lines", "extensions"),
    [
        ([b"foo", b"bar; baz=2"], [("foo", []), ("bar", [("baz", "2")])]),
        ([b"foo, bar; baz=2"], [("foo", []), ("bar", [("baz", "2")])]),
        ([b"deflate-stream"], [("deflate-stream", [])]),
        (
            [b"mux; max-channels=4; flow-control, deflate-stream"],
            [("mux", [("max-channels", "4"), ("flow-control", None)]), ("deflate-stream", [])],
        ),
        ([b"private-extension"], [("private-extension", [])]),
    ],
)
def test_s9_1_extensions(
    lines: list[bytes], extensions: list[tuple[str, list[tuple[str, str | None]]]]
) -> None:
    assert parse_extensions(lines) == extensions


@pytest.mark.clause("W163", "W175")
@pytest.mark.parametrize("role", Role)
def test_s5_6_the_same_payload_as_text_and_as_binary(role: Role) -> None:
    key = KEY if role is Role.SERVER else None
    assert deliver(encode(Opcode.TEXT, b"Hello", masking_key=key), role).events == ["Hello"]
    assert deliver(encode(Opcode.BINARY, b"Hello", masking_key=key), role).events == [b"Hello"]
