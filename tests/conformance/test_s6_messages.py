"""RFC 6455 §5.6 and §6: messages, from one side to the other."""

from __future__ import annotations

import pytest

from rfc6455.connection import Connection, Role
from rfc6455.errors import ConnectionClosed
from rfc6455.events import Message
from rfc6455.extensions import Extension
from rfc6455.frames import Frame, Opcode
from rfc6455.state import State
from tests.helpers import CLIENT, SERVER, both_roles, deliver, frames_in, peer_frame

MESSAGES: list[Message] = [
    "",
    "Hello",
    "é€\U0001f600",
    "x" * 70_000,
    b"",
    b"\x00\xff",
    bytes(70_000),
]


class Rot13(Extension):
    """Changes how the data of marked messages is read."""

    name = "x-rot13"
    rsv = 0x20

    def decode(self, payload: bytes, *, final: bool, max_size: int | None) -> bytes:
        return self.encode(payload, final=final)

    def encode(self, payload: bytes, *, final: bool) -> bytes:
        lower = b"abcdefghijklmnopqrstuvwxyz"
        return payload.translate(bytes.maketrans(lower, lower[13:] + lower[:13]))

    def applies_to(self, size: int) -> bool:
        return True


@pytest.mark.clause("W162", "W163", "W167", "W169", "W170", "W171", "W172", "W173", "W175")
@both_roles
def test_s6_what_is_sent_arrives(role: Role) -> None:
    sender = Connection(CLIENT if role is SERVER else SERVER)
    receiver = Connection(role)
    for message in MESSAGES:
        if isinstance(message, str):
            sender.send_text(message)
        else:
            sender.send_binary(message)
    assert receiver.receive_data(sender.data_to_send()) == MESSAGES


@pytest.mark.clause("W167", "W168", "W169", "W170")
@both_roles
def test_s6_1_message_in_one_frame_or_several(role: Role) -> None:
    connection = Connection(role)
    connection.send_text("a")
    connection.send_binary(b"b", final=False)
    connection.send_binary(b"c", final=False)
    connection.send_binary(b"d")
    assert frames_in(connection.data_to_send()) == [
        Frame(Opcode.TEXT, b"a"),
        Frame(Opcode.BINARY, b"b", fin=False),
        Frame(Opcode.CONTINUATION, b"c", fin=False),
        Frame(Opcode.CONTINUATION, b"d"),
    ]


@pytest.mark.clause("W165", "W166")
@both_roles
def test_s6_1_nothing_is_sent_unless_open(role: Role) -> None:
    closing = Connection(role)
    closing.close()
    lost = Connection(role)
    lost.receive_eof()
    for connection in (closing, lost):
        connection.data_to_send()
        with pytest.raises(ConnectionClosed):
            connection.send_text("a")
        assert connection.data_to_send() == b""


@pytest.mark.clause("W002")
@both_roles
def test_s2_1_frames_may_be_written_together(role: Role) -> None:
    connection = Connection(role)
    connection.send_text("a")
    connection.send_text("b")
    frames = frames_in(connection.data_to_send())
    assert [frame.payload for frame in frames] == [b"a", b"b"]


@pytest.mark.clause("W175", "W176")
@both_roles
def test_s6_2_message_has_the_type_of_its_first_frame(role: Role) -> None:
    data = b"".join(
        [
            peer_frame(role, Opcode.BINARY, b"a", fin=False),
            peer_frame(role, Opcode.CONTINUATION, b"b"),
            peer_frame(role, Opcode.TEXT, b"c", fin=False),
            peer_frame(role, Opcode.CONTINUATION, b"d"),
        ]
    )
    assert deliver(data, role).events == [b"ab", "cd"]


@pytest.mark.clause("W163")
@both_roles
def test_s5_6_binary_is_opaque(role: Role) -> None:
    payload = bytes(range(256))
    assert deliver(peer_frame(role, Opcode.BINARY, payload), role).events == [payload]


@pytest.mark.clause("W177", "W118", "W229", "W109", "W110")
@both_roles
def test_s6_2_extension_changes_how_data_is_read(role: Role) -> None:
    sender = Connection(CLIENT if role is SERVER else SERVER, extensions=[Rot13()])
    sender.send_text("hello")
    sender.send_text("hello", compress=False)
    data = sender.data_to_send()
    assert [frame.payload for frame in frames_in(data)] == [b"uryyb", b"hello"]
    with_it, without = Connection(role, extensions=[Rot13()]), Connection(role)
    assert with_it.receive_data(data) == ["hello", "hello"]
    without.receive_data(data)
    assert without.state is State.CLOSE_RECEIVED
    assert without.fault is not None
