"""Bytes to events: the same however reads cut them, and nothing stored that is not needed."""

from __future__ import annotations

import gc
from types import FunctionType, ModuleType
from typing import Any

import pytest

from rfc6455.close import Close
from rfc6455.connection import Role
from rfc6455.events import Fault, Message, Ping, Pong
from rfc6455.frames import Opcode
from rfc6455.parser import Decoder
from tests.helpers import (
    CLIENT,
    SERVER,
    Failure,
    both_roles,
    chunkings,
    comparable,
    peer_frame,
    split,
)


def decoder(role: Role, **options: Any) -> Decoder:
    return Decoder(masked=role is SERVER, **options)


def decode(data: bytes, role: Role, **options: Any) -> list[object]:
    """The events of ``data``, which are the same however reads cut it."""
    expected = comparable(decoder(role, **options).receive_data(data))
    for chunks in chunkings(data):
        cut = decoder(role, **options)
        events = [event for chunk in chunks for event in cut.receive_data(chunk)]
        assert comparable(events) == expected
    return list(expected)


# Both ways through the code: the run of whole messages, and the frame by frame path, which a Ping
# or a fragment takes.


@both_roles
@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 125, 126, 127, 65534, 65535, 65536, 65537])
def test_whole_messages(role: Role, size: int) -> None:
    text = "x" * size
    data = peer_frame(role, Opcode.TEXT, text.encode()) + peer_frame(
        role, Opcode.BINARY, bytes(size)
    )
    assert decode(data, role) == [text, bytes(size)]


@both_roles
def test_runs_of_messages_between_other_frames(role: Role) -> None:
    data = b"".join(
        [
            peer_frame(role, Opcode.TEXT, "é".encode()),
            peer_frame(role, Opcode.BINARY, bytes(200)),
            peer_frame(role, Opcode.PING, b"p"),
            peer_frame(role, Opcode.TEXT, b"a"),
            peer_frame(role, Opcode.TEXT, b"b", fin=False),
            peer_frame(role, Opcode.PONG, b"q"),
            peer_frame(role, Opcode.CONTINUATION, b"c"),
            peer_frame(role, Opcode.TEXT, b"d"),
            peer_frame(role, Opcode.CLOSE, b"\x03\xe8"),
            peer_frame(role, Opcode.TEXT, b"e"),
        ]
    )
    assert decode(data, role) == [
        *("é", bytes(200), Ping(b"p"), "a", Pong(b"q"), "bc", "d", Close(1000))
    ]


@both_roles
@pytest.mark.parametrize("size", [0, 1, 5, 125, 126, 1000, 65535, 65536])
def test_max_message_size(role: Role, size: int) -> None:
    data = peer_frame(role, Opcode.BINARY, bytes(size))
    assert decode(data, role, max_message_size=size) == [bytes(size)]
    if size:
        assert decode(data, role, max_message_size=size - 1) == [Failure(1009)]
        header = data[:-size]
        assert decode(header, role, max_message_size=size - 1) == [Failure(1009)]


@both_roles
def test_max_fragments(role: Role) -> None:
    whole = peer_frame(role, Opcode.TEXT, b"a")
    parts = peer_frame(role, Opcode.TEXT, b"a", fin=False) + peer_frame(
        role, Opcode.CONTINUATION, b"b"
    )
    assert decode(whole + parts, role, max_fragments=2) == ["a", "ab"]
    assert decode(whole + parts, role, max_fragments=1) == ["a", Failure(1008)]
    assert decode(whole, role, max_fragments=0) == [Failure(1008)]


@both_roles
def test_messages_before_a_fault_keep_their_place(role: Role) -> None:
    good = peer_frame(role, Opcode.TEXT, b"good")
    bad = peer_frame(role, Opcode.TEXT, b"\xff")
    assert decode(good + bad + good, role) == ["good", Failure(1007, "8.1")]


@both_roles
@pytest.mark.parametrize(
    "payload_length", [b"\x7e\x00\x7d", b"\x7e\x00\x00", b"\x7f" + bytes(7) + b"\x7e"]
)
def test_length_that_is_not_in_its_shortest_form(role: Role, payload_length: bytes) -> None:
    mask = 0x80 if role is SERVER else 0
    data = bytes([0x82, mask | payload_length[0]]) + payload_length[1:] + bytes(300)
    assert decode(data, role) == [Failure(1002, "5.2")]


def test_wrong_direction() -> None:
    for role, other in ((SERVER, CLIENT), (CLIENT, SERVER)):
        for payload in (b"", b"Hello", bytes(200)):
            data = peer_frame(other, Opcode.BINARY, payload)
            assert decode(data, role) == [Failure(1002, "5.1")]


@both_roles
def test_nothing_is_read_after_the_end(role: Role) -> None:
    for last in (b"\x88\x00" if role is CLIENT else b"\x88\x80????", b"\xff"):
        ended = decoder(role)
        assert len(ended.receive_data(last)) == 1
        assert ended.receive_data(peer_frame(role, Opcode.TEXT, b"more")) == []
        assert ended.receive_data(b"\xff") == []


@both_roles
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_taken_and_copied(
    role: Role, kind: type[bytes | bytearray | memoryview]
) -> None:
    message = peer_frame(role, Opcode.BINARY, b"Hello")
    for chunks in ([message], split(message, 1), split(message, len(message) - 2)):
        decoding = decoder(role)
        buffers = [bytearray(chunk) for chunk in chunks]
        events = []
        for buffer in buffers:
            events += decoding.receive_data(kind(buffer))
            buffer[:] = bytes(len(buffer))
        assert events == [b"Hello"]
        assert type(events[0]) is bytes


@both_roles
def test_masking_goes_on_where_the_last_read_stopped(role: Role) -> None:
    payload = bytes(range(256)) * 4
    data = peer_frame(role, Opcode.BINARY, payload)
    for first in range(len(data) - len(payload), len(data) - len(payload) + 6):
        for second in range(first, first + 6):
            decoding = decoder(role)
            events: list[Message | object] = []
            for chunk in split(data, first, second):
                events += decoding.receive_data(chunk)
            assert events == [payload]


def test_faults_are_exceptions_that_can_be_raised() -> None:
    (event,) = decoder(SERVER).receive_data(b"\xff")
    assert isinstance(event, Fault)
    assert str(event.error).endswith("(RFC 6455 §5.2)")


def kept(value: object, seen: set[int] | None = None) -> int:
    """Bytes of all texts and buffers that can be reached from ``value``."""
    seen = set() if seen is None else seen
    if id(value) in seen or isinstance(value, type | ModuleType | FunctionType):
        return 0
    seen.add(id(value))
    if isinstance(value, str | bytes | bytearray):
        return len(value)
    return sum(kept(referent, seen) for referent in gc.get_referents(value))


@both_roles
@pytest.mark.parametrize("fin", [True, False])
def test_after_a_fault_nothing_of_the_message_is_kept(role: Role, fin: bool) -> None:
    under_test = decoder(role)
    size = 500_000
    begun = peer_frame(role, Opcode.TEXT, b"x" * size, fin=False)
    assert under_test.receive_data(begun) == []
    assert kept(under_test) > size
    bad = peer_frame(role, Opcode.CONTINUATION, b"x" * size + b"\xff", fin=fin)
    events = under_test.receive_data(bad)
    assert comparable(events) == [Failure(1007, "8.1")]
    assert kept(under_test) < 10_000
    assert kept(events) < 10_000
