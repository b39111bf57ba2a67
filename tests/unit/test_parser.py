"""Bytes to events: the same however reads cut them, and nothing stored that is not needed."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

import pytest

from rfc6455.close import Close, CloseCode
from rfc6455.connection import Role
from rfc6455.events import Event, Fault, Message, Ping, Pong
from rfc6455.extensions import PermessageDeflate
from rfc6455.extensions.base import SHARE
from rfc6455.frames import Opcode, encode
from rfc6455.parser import Decoder, take_whole_messages
from tests.helpers import (
    CLIENT,
    KEY,
    SERVER,
    Failure,
    both_roles,
    chunkings,
    comparable,
    header,
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


# The shortcut, and what a transport may read off a decoder


def whole(opcode: Opcode, payload: bytes, masked: bool) -> bytes:
    return encode(opcode, payload, masking_key=KEY if masked else None)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("size", [0, 1, 2, 125, 126, 127, 256, 0xFFFF])
def test_shortcut_takes_whole_messages(size: int, masked: bool) -> None:
    text, data = "a" * size, bytes(range(256)) * (size // 256 + 1)
    run = whole(Opcode.TEXT, text.encode(), masked) + whole(Opcode.BINARY, data[:size], masked)
    events: list[Event] = []
    assert take_whole_messages(b"??" + run, 2, masked, size, events) == 2 + len(run)
    assert events == [text, data[:size]]


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 300])
def test_shortcut_leaves_what_is_not_here_whole(size: int, masked: bool) -> None:
    message = whole(Opcode.BINARY, bytes(size), masked)
    for end in range(len(message)):
        events: list[Event] = []
        data = message + message[:end]
        assert take_whole_messages(data, 0, masked, size, events) == len(message)
        assert events == [bytes(size)]


@pytest.mark.parametrize("masked", [True, False])
def test_shortcut_leaves_what_is_rare_or_wrong(masked: bool) -> None:
    good = whole(Opcode.TEXT, b"good", masked)
    for frame in (
        whole(Opcode.BINARY, bytes(5), masked),
        whole(Opcode.TEXT, b"\xff", masked),
        whole(Opcode.TEXT, b"", not masked),
        whole(Opcode.PING, b"", masked),
        encode(Opcode.TEXT, b"", fin=False, masking_key=KEY if masked else None),
        encode(Opcode.TEXT, b"", rsv=0x40, masking_key=KEY if masked else None),
        # Not in the shortest form; and the form for what is longer than 64 KiB.
        header(SERVER if masked else CLIENT, 0x82, b"\x7e\x00\x03") + bytes(3),
        header(SERVER if masked else CLIENT, 0x82, b"\x7f" + bytes(7) + b"\x03") + bytes(3),
    ):
        events: list[Event] = []
        assert take_whole_messages(good + frame + good, 0, masked, 4, events) == len(good)
        assert events == ["good"]


def reversed_but(refused: bytes) -> Callable[[bytes, bool], str | bytes | None]:
    """An extension's way back: the payload turned round; something is wrong with one of them."""

    def unwrap(payload: bytes, is_text: bool) -> str | bytes | None:
        if payload == refused:
            return None
        return payload[::-1].decode() if is_text else payload[::-1]

    return unwrap


def marked(opcode: Opcode, payload: bytes, masked: bool = True, rsv: int = 0x40) -> bytes:
    return encode(opcode, payload, rsv=rsv, masking_key=KEY if masked else None)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("mark", [0x40, 0x20, 0x10])
@pytest.mark.parametrize("size", [7, 126, 5000])
def test_shortcut_takes_messages_that_the_extension_marked(
    masked: bool, mark: int, size: int
) -> None:
    payload = b"a" * (size - 1) + b"b"
    good = (
        marked(Opcode.TEXT, payload, masked, mark)
        + whole(Opcode.TEXT, payload, masked)
        + marked(Opcode.BINARY, payload, masked, mark)
    )
    for rest in (
        b"",
        marked(Opcode.TEXT, b"refused", masked, mark),
        marked(Opcode.TEXT, payload, masked, mark)[:-1],
        marked(Opcode.TEXT, payload + b"c", masked, mark),
        marked(Opcode.TEXT, payload, masked, mark ^ 0x30),
        marked(Opcode.PING, b"", masked, mark),
    ):
        events: list[Event] = []
        unwrap = reversed_but(b"refused")
        end = take_whole_messages(good + rest, 0, masked, size, events, mark, unwrap)
        assert end == len(good)
        assert events == [payload[::-1].decode(), payload.decode(), payload[::-1]]


@pytest.mark.parametrize(("size", "most"), [(0, 64), (16 * 1024, 32), (SHARE, 1), (2 * SHARE, 1)])
def test_shortcut_stops_where_others_are_to_have_their_turn(size: int, most: int) -> None:
    run = (whole(Opcode.TEXT, b"x", True) + marked(Opcode.BINARY, b"")) * 100
    events: list[Event] = []
    end = take_whole_messages(run, 0, True, 10, events, 0x40, lambda *_: bytes(size))
    assert end == most * len(run) // 100
    assert events == ["x", bytes(size)] * most


def test_shortcut_lets_through_what_an_extension_raises() -> None:
    def broken(payload: bytes, is_text: bool) -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        take_whole_messages(marked(Opcode.BINARY, b""), 0, True, 10, [], 0x40, broken)


@pytest.mark.parametrize(
    ("limits", "whole_limit"),
    [
        ({}, sys.maxsize),
        ({"max_message_size": 0xFFFF + 1}, 0xFFFF + 1),
        ({"max_message_size": 10}, 10),
        ({"max_message_size": 1 << 70}, sys.maxsize),
        ({"max_fragments": 1}, sys.maxsize),
        ({"max_fragments": 0}, -1),
    ],
)
def test_size_of_messages_that_are_taken_whole(limits: dict[str, Any], whole_limit: int) -> None:
    assert Decoder(masked=False, **limits).whole_limit == whole_limit


def test_decoder_tells_where_it_stands() -> None:
    decoder = Decoder(masked=False)
    assert (decoder.at_boundary, decoder.only_messages, decoder.incomplete_size) == (True, True, 0)
    for data, at_boundary, only_messages, incomplete_size in (
        (b"\x81\x01a", True, True, 0),
        (b"\x81", False, True, 0),
        (b"\x02", False, True, 0),
        (b"ab", True, True, 0),
        (b"\x89\x00", True, False, 0),
        (b"\x02\x03abc", False, True, 3),
        (b"\x89\x00", False, False, 3),
        (b"\x80\x02de", True, True, 0),
        (b"\x81\x03ab", False, True, 2),
        (b"c\x88\x00", False, False, 0),
        (b"\x81\x01a", False, True, 0),
    ):
        decoder.receive_data(data)
        assert decoder.at_boundary is at_boundary, data
        assert decoder.only_messages is only_messages, data
        assert decoder.incomplete_size == incomplete_size, data


def test_decoder_after_a_fault_stands_at_no_boundary() -> None:
    decoder = Decoder(masked=False)
    decoder.receive_data(b"\x83")
    assert (decoder.at_boundary, decoder.only_messages) == (False, False)


# What shortcuts are told, and the run that they ask for


@pytest.mark.parametrize(("extensions", "mark"), [(0, 0), (1, 0x40), (2, 0)])
def test_mark_is_the_bit_of_an_extension_that_is_alone(extensions: int, mark: int) -> None:
    in_use = [PermessageDeflate().confirm([]) for _ in range(extensions)]
    for place, extension in enumerate(in_use):
        extension.rsv = 0x40 >> place
    decoder = Decoder(masked=False, extensions=in_use)
    assert decoder.mark == mark
    assert (decoder.unwrap is not None) is (mark != 0)


def test_a_run_ends_at_what_is_wrong_and_none_begins_behind_it() -> None:
    decoder = Decoder(masked=False, extensions=[PermessageDeflate().confirm([])])
    good = encode(Opcode.TEXT, b"Hello")
    packed = encode(Opcode.TEXT, bytes.fromhex("f248cdc9c90700"), rsv=0x40)
    bad = encode(Opcode.TEXT, b"\xff", rsv=0x40)
    data = good + packed + bad + good
    events: list[Event] = []
    position = decoder.take_run(data, 0, events)
    assert (events, position) == (["Hello", "Hello"], len(good + packed))
    assert decoder.take_run(data, position + len(bad), events) == position + len(bad)
    (fault,) = decoder.receive_rest(data, position, [])
    assert isinstance(fault, Fault)
    assert fault.error.code == CloseCode.INVALID_PAYLOAD_DATA
