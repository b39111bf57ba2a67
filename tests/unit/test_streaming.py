"""Messages in pieces: what a connection receives and sends beside whole messages."""

from __future__ import annotations

from typing import Any

import pytest

from rfc6455.connection import Connection, Role
from rfc6455.errors import UsageError
from rfc6455.events import Event, Fault, Fragment, Ping
from rfc6455.extensions import PermessageDeflate
from rfc6455.frames import Opcode
from rfc6455.limits import Limits
from tests.helpers import both_roles, chunkings, frames_in, peer_frame
from tests.negotiation import open_pair

TEXT, BINARY, CONTINUATION = Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION


def joined(events: list[Event]) -> list[object]:
    """Events with the pieces of each message put together."""
    found: list[object] = []
    parts: list[Any] = []
    for event in events:
        if isinstance(event, Fragment):
            parts.append(event.data)
            if event.final:
                found.append(type(parts[0])().join(parts))
                parts = []
        else:
            found.append(event)
    assert not parts
    return found


# Receiving in pieces


@both_roles
def test_pieces_of_a_message_however_reads_cut_it(role: Role) -> None:
    text = "añ€😀" * 3
    octets = text.encode()
    for message, frames in (
        (text, [(TEXT, octets[:5]), (CONTINUATION, b""), (CONTINUATION, octets[5:])]),
        (octets, [(BINARY, octets[:1]), (CONTINUATION, octets[1:-1]), (CONTINUATION, octets[-1:])]),
        ("", [(TEXT, b"")]),
        (b"", [(BINARY, b""), (CONTINUATION, b"")]),
        (text, [(TEXT, octets)]),
    ):
        data = b""
        for place, (opcode, payload) in enumerate(frames):
            data += peer_frame(role, opcode, payload, fin=place == len(frames) - 1)
        following = peer_frame(role, TEXT, b"whole") + peer_frame(role, BINARY, b"whole")
        for chunks in chunkings(data + following):
            connection = Connection(role)
            assert connection.stream() is None
            events = [event for chunk in chunks for event in connection.receive_data(chunk)]
            assert joined(events) == [message, "whole", b"whole"]
            assert events[-2:] == ["whole", b"whole"]
            assert all(event.data or event.final for event in events[:-2])  # type: ignore[union-attr]


@both_roles
def test_what_is_here_of_a_message_that_has_begun(role: Role) -> None:
    connection = Connection(role)
    connection.receive_data(peer_frame(role, TEXT, "abc€".encode()[:-1], fin=False))
    assert connection.incomplete_size == 5
    assert connection.stream() == Fragment("abc", final=False)
    assert connection.incomplete_size == 2
    assert connection.stream() is None
    rest = connection.receive_data(peer_frame(role, CONTINUATION, b"\xac"))
    assert rest == [Fragment("€", final=True)]
    assert not connection.only_messages
    assert connection.incomplete_size == 0


@both_roles
def test_control_frames_between_pieces(role: Role) -> None:
    connection = Connection(role)
    connection.stream()
    events = connection.receive_data(
        peer_frame(role, TEXT, b"a", fin=False)
        + peer_frame(role, Opcode.PING, b"p")
        + peer_frame(role, CONTINUATION, b"b")
    )
    assert events == [Fragment("a", final=False), Ping(b"p"), Fragment("b", final=True)]


@both_roles
@pytest.mark.parametrize("payload", [b"\xff", "€".encode()[:-1]])
def test_text_in_pieces_is_judged_as_it_comes(role: Role, payload: bytes) -> None:
    connection = Connection(role)
    connection.stream()
    *pieces, fault = connection.receive_data(
        peer_frame(role, TEXT, b"good", fin=False) + peer_frame(role, CONTINUATION, payload)
    )
    assert pieces == [Fragment("good", final=False)]
    assert isinstance(fault, Fault)
    assert fault.error.code == 1007


@both_roles
@pytest.mark.parametrize("size", [9, 10, 11])
def test_limits_hold_for_the_sum_of_the_pieces(role: Role, size: int) -> None:
    connection = Connection(role, limits=Limits(max_message_size=10))
    connection.stream()
    *pieces, last = connection.receive_data(
        peer_frame(role, BINARY, bytes(5), fin=False)
        + peer_frame(role, CONTINUATION, bytes(size - 5))
    )
    assert pieces == [Fragment(bytes(5), final=False)]
    if size <= 10:
        assert last == Fragment(bytes(size - 5), final=True)
    else:
        assert isinstance(last, Fault)
        assert last.error.code == 1009


@pytest.mark.parametrize("size", [0, 1, 5000, 200_000])
def test_compressed_messages_in_pieces(size: int) -> None:
    pair = open_pair(client=[PermessageDeflate(threshold=0)], server=[PermessageDeflate()])
    message = bytes(size)
    pair.client.send_binary(message)
    pair.server.stream()
    data = pair.client.data_to_send()
    events = [
        event
        for start in range(0, len(data), 50)
        for event in pair.server.receive_data(data[start : start + 50])
    ]
    assert joined(events) == [message]


# Sending fragments


@both_roles
def test_fragments_tell_text_from_bytes(role: Role) -> None:
    connection = Connection(role)
    assert not connection.is_mid_message
    connection.send_fragment("a", final=False)
    assert connection.is_mid_message
    connection.send_fragment("b", final=True)
    connection.send_fragment(bytearray(b"c"), final=False)
    with pytest.raises(UsageError, match="unfinished binary"):
        connection.send_fragment("d", final=True)
    with pytest.raises(TypeError, match="str or bytes"):
        connection.send_fragment(1, final=True)
    connection.send_fragment(memoryview(b"e"), final=True)
    assert not connection.is_mid_message
    assert [(f.opcode, f.payload, f.fin) for f in frames_in(connection.data_to_send())] == [
        (TEXT, b"a", False),
        (CONTINUATION, b"b", True),
        (BINARY, b"c", False),
        (CONTINUATION, b"e", True),
    ]
