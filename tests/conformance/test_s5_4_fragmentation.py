"""RFC 6455 §5.4: fragments."""

from __future__ import annotations

import itertools

import pytest

from rfc6455.close import Close, CloseCode
from rfc6455.connection import Connection, Role
from rfc6455.errors import UsageError
from rfc6455.events import Ping, Pong
from rfc6455.frames import Frame, Opcode
from tests.helpers import assert_fails, both_roles, deliver, frames_in, peer_frame

TEXT, BINARY, CONTINUATION = Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION


def fragments(role: Role, opcode: Opcode, *payloads: bytes) -> list[bytes]:
    """The frames of one message, as the peer of ``role`` would send them."""
    opcodes = itertools.chain([opcode], itertools.repeat(CONTINUATION))
    return [
        peer_frame(role, opcode, payload, fin=i == len(payloads))
        for i, (opcode, payload) in enumerate(zip(opcodes, payloads, strict=False), start=1)
    ]


@pytest.mark.clause("W108", "W125", "W133", "W175")
@both_roles
def test_s5_4_unfragmented_message(role: Role) -> None:
    assert deliver(peer_frame(role, TEXT, b"Hello"), role).events == ["Hello"]
    assert deliver(peer_frame(role, BINARY, b"Hello"), role).events == [b"Hello"]


@pytest.mark.clause("W124", "W126", "W129", "W132", "W133", "W138", "W175", "W176")
@both_roles
@pytest.mark.parametrize(
    "payloads",
    [
        [b"Hel", b"lo"],
        [b"H", b"e", b"l", b"l", b"o"],
        [b"", b"Hello"],
        [b"Hello", b""],
        [b"", b"", b"Hel", b"", b"lo", b""],
    ],
)
def test_s5_4_fragmented_message_is_its_fragments_joined(role: Role, payloads: list[bytes]) -> None:
    text = b"".join(fragments(role, TEXT, *payloads))
    binary = b"".join(fragments(role, BINARY, *payloads))
    assert deliver(text, role).events == ["Hello"]
    assert deliver(text + binary + text, role).events == ["Hello", b"Hello", "Hello"]


@pytest.mark.clause("W126", "W132")
@both_roles
def test_s5_4_empty_fragments_make_an_empty_message(role: Role) -> None:
    assert deliver(b"".join(fragments(role, TEXT, b"", b"", b"")), role).events == [""]
    assert deliver(b"".join(fragments(role, BINARY, b"", b"")), role).events == [b""]


@pytest.mark.clause("W127", "W131", "W156", "W174")
@both_roles
def test_s5_4_control_frames_between_fragments(role: Role) -> None:
    first, second, third = fragments(role, TEXT, b"a", b"b", b"c")
    ping, pong = peer_frame(role, Opcode.PING, b"p"), peer_frame(role, Opcode.PONG, b"q")
    outcome = deliver(first + ping + second + pong + ping + third, role)
    assert outcome.events == [Ping(b"p"), Pong(b"q"), Ping(b"p"), "abc"]
    assert outcome.sent == [Frame(Opcode.PONG, b"p")] * 2


@pytest.mark.clause("W127", "W131", "W147")
@both_roles
def test_s5_4_close_between_fragments(role: Role) -> None:
    first, second = fragments(role, TEXT, b"a", b"b")
    close = peer_frame(role, Opcode.CLOSE, b"\x03\xe8")
    outcome = deliver(first + close + second, role)
    assert outcome.events == [Close(1000)]
    assert outcome.sent == [Frame(Opcode.CLOSE, b"\x03\xe8")]


@pytest.mark.clause("W130", "W240")
@both_roles
@pytest.mark.parametrize("fin", [False, True])
@pytest.mark.parametrize("payload", [b"", b"Hello"])
def test_s5_4_continuation_outside_a_message_fails_1002(
    role: Role, fin: bool, payload: bytes
) -> None:
    frame = peer_frame(role, CONTINUATION, payload, fin=fin)
    assert_fails(frame, CloseCode.PROTOCOL_ERROR, "5.4", role)
    message = b"".join(fragments(role, TEXT, b"a", b"b"))
    assert_fails(message + frame, CloseCode.PROTOCOL_ERROR, "5.4", role, after=["ab"])


@pytest.mark.clause("W130", "W138")
@both_roles
@pytest.mark.parametrize("fin", [False, True])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("first", [TEXT, BINARY])
def test_s5_4_new_message_inside_a_message_fails_1002(
    role: Role, first: Opcode, opcode: Opcode, fin: bool
) -> None:
    data = peer_frame(role, first, b"a", fin=False) + peer_frame(role, opcode, b"b", fin=fin)
    assert_fails(data, CloseCode.PROTOCOL_ERROR, "5.4", role)


@pytest.mark.clause("W126", "W129", "W132", "W168", "W169", "W170", "W171")
@both_roles
def test_s5_4_fragments_are_sent_in_order(role: Role) -> None:
    connection = Connection(role)
    connection.send_text("a", final=False)
    connection.send_text("", final=False)
    connection.send_text("b")
    connection.send_binary(b"c", final=False)
    connection.send_binary(b"")
    connection.send_text("d")
    assert frames_in(connection.data_to_send()) == [
        Frame(TEXT, b"a", fin=False),
        Frame(CONTINUATION, b"", fin=False),
        Frame(CONTINUATION, b"b"),
        Frame(BINARY, b"c", fin=False),
        Frame(CONTINUATION, b""),
        Frame(TEXT, b"d"),
    ]


@pytest.mark.clause("W130", "W138")
@both_roles
def test_s5_4_messages_are_never_sent_mixed(role: Role) -> None:
    connection = Connection(role)
    connection.send_text("a", final=False)
    with pytest.raises(UsageError):
        connection.send_binary(b"b")
    with pytest.raises(UsageError):
        connection.send_binary(b"b", final=False)
    connection.send_text("c")
    assert [frame.payload for frame in frames_in(connection.data_to_send())] == [b"a", b"c"]


@pytest.mark.clause("W127", "W128")
@both_roles
def test_s5_4_control_frames_are_sent_between_fragments_and_whole(role: Role) -> None:
    connection = Connection(role)
    connection.send_text("a", final=False)
    connection.send_ping(bytes(125))
    connection.send_pong()
    connection.send_text("b")
    connection.send_binary(b"", final=False)
    connection.close()
    frames = frames_in(connection.data_to_send())
    assert [frame.opcode for frame in frames] == [
        *(TEXT, Opcode.PING, Opcode.PONG, CONTINUATION, BINARY, Opcode.CLOSE)
    ]
    assert all(frame.fin for frame in frames if frame.opcode.is_control)
