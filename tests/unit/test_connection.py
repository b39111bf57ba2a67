"""`Connection`: what is answered to what, the closing handshake, and the timers on a fake clock."""

from __future__ import annotations

import array
from typing import Any

import pytest

from rfc6455.close import Close, CloseCode
from rfc6455.connection import Connection, Role, TransportAction
from rfc6455.errors import (
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    UsageError,
)
from rfc6455.events import Closed, Event, Fault, Ping, Pong
from rfc6455.extensions import Extension, PermessageDeflate
from rfc6455.frames import Frame, Opcode
from rfc6455.limits import Limits
from rfc6455.state import State
from tests.helpers import (
    CLIENT,
    SERVER,
    Failure,
    both_roles,
    chunkings,
    comparable,
    frames_in,
    peer_frame,
)

TEXT, BINARY, CONTINUATION = Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION
CLOSE, PING, PONG = Opcode.CLOSE, Opcode.PING, Opcode.PONG

BAD = b"\xff"
"""A first byte that no frame has: the fault with close code 1002."""


def close_frame(role: Role, code: int = 1000, reason: str = "") -> bytes:
    return peer_frame(role, CLOSE, Close(code, reason).payload())


def sent(connection: Connection) -> list[Frame]:
    return frames_in(connection.data_to_send())


def close_sent(connection: Connection) -> Close:
    """The Close that is the only frame to be sent."""
    (frame,) = sent(connection)
    assert frame.opcode is CLOSE
    return Close.parse(frame.payload)


class Reverse(Extension):
    """Marks messages from ``smallest`` bytes up, and turns each of their fragments round."""

    name = "reverse"
    rsv = 0x40

    def __init__(self, smallest: int) -> None:
        self._smallest = smallest

    def decode(self, payload: bytes, *, final: bool, max_size: int | None) -> bytes:
        return payload[::-1]

    def encode(self, payload: bytes, *, final: bool) -> bytes:
        return payload[::-1]

    def applies_to(self, size: int) -> bool:
        return size >= self._smallest


@both_roles
def test_new_connection(role: Role) -> None:
    limits = Limits(max_message_size=5)
    extension = Reverse(0)
    connection = Connection(role, limits=limits, extensions=[extension])
    assert connection.role is role
    assert connection.state is State.OPEN
    assert connection.limits is limits
    assert connection.extensions == (extension,)
    assert connection.close_received is None
    assert connection.close_sent is None
    assert connection.fault is None
    assert connection.transport_action is TransportAction.KEEP
    assert connection.data_to_send() == b""


# Sending


@both_roles
def test_send_messages(role: Role) -> None:
    connection = Connection(role)
    connection.send_text("Hellö")
    connection.send_binary(b"\x00")
    connection.send_binary(bytearray(b"\x01"))
    connection.send_binary(memoryview(b"\x02"))
    assert sent(connection) == [
        Frame(TEXT, "Hellö".encode()),
        Frame(BINARY, b"\x00"),
        Frame(BINARY, b"\x01"),
        Frame(BINARY, b"\x02"),
    ]
    assert connection.data_to_send() == b""


@both_roles
def test_send_tells_text_from_bytes(role: Role) -> None:
    connection = Connection(role)
    messages: list[Any] = ["Hellö", b"\x00" * 70_000, bytearray(b"\x01"), memoryview(b"\x02"), ""]
    for message in messages:
        connection.send(message)
    connection.send_text("unfinished", final=False)
    connection.send("text")
    assert [(frame.opcode, frame.payload) for frame in sent(connection)] == [
        (TEXT, "Hellö".encode()),
        (BINARY, b"\x00" * 70_000),
        (BINARY, b"\x01"),
        (BINARY, b"\x02"),
        (TEXT, b""),
        (TEXT, b"unfinished"),
        (CONTINUATION, b"text"),
    ]


@both_roles
@pytest.mark.parametrize("message", [None, 1, ["a"], object()])
def test_send_takes_text_and_bytes_alone(role: Role, message: Any) -> None:
    connection = Connection(role)
    with pytest.raises(TypeError, match="str or bytes"):
        connection.send(message)
    assert connection.data_to_send() == b""


@both_roles
def test_send_asks_the_extensions(role: Role) -> None:
    connection = Connection(role, extensions=[Reverse(3)])
    connection.send("ab")
    connection.send("abc")
    connection.send(b"abc", compress=False)
    assert [(frame.rsv, frame.payload) for frame in sent(connection)] == [
        (0, b"ab"),
        (0x40, b"cba"),
        (0, b"abc"),
    ]


@both_roles
def test_send_one_message(role: Role) -> None:
    connection = Connection(role)
    connection.send_text("")
    assert sent(connection) == [Frame(TEXT, b"")]


def test_only_a_client_masks() -> None:
    for role, mask in ((SERVER, 0), (CLIENT, 0x80)):
        connection = Connection(role)
        connection.send_binary(b"Hello")
        message = connection.data_to_send()
        connection.send_ping()
        ping = connection.data_to_send()
        connection.close()
        close = connection.data_to_send()
        assert [data[1] for data in (message, ping, close)] == [mask | 5, mask, mask | 2]


@both_roles
def test_payload_is_copied(role: Role) -> None:
    connection = Connection(role)
    payload = bytearray(b"Hello")
    connection.send_binary(payload)
    payload[:] = b"_____"
    assert sent(connection) == [Frame(BINARY, b"Hello")]


@both_roles
def test_send_fragments(role: Role) -> None:
    connection = Connection(role)
    connection.send_text("a", final=False)
    connection.send_ping(b"p")
    connection.send_text("", final=False)
    connection.send_pong(b"q")
    connection.send_text("c")
    connection.send_binary(b"d", final=False)
    connection.send_binary(b"e")
    connection.send_text("f")
    assert sent(connection) == [
        Frame(TEXT, b"a", fin=False),
        Frame(PING, b"p"),
        Frame(CONTINUATION, b"", fin=False),
        Frame(PONG, b"q"),
        Frame(CONTINUATION, b"c"),
        Frame(BINARY, b"d", fin=False),
        Frame(CONTINUATION, b"e"),
        Frame(TEXT, b"f"),
    ]


@both_roles
def test_messages_are_not_interleaved(role: Role) -> None:
    connection = Connection(role)
    connection.send_text("a", final=False)
    with pytest.raises(UsageError, match="unfinished text message"):
        connection.send_binary(b"b")
    connection.send_text("c")
    connection.send_binary(b"d", final=False)
    with pytest.raises(UsageError, match="unfinished binary message"):
        connection.send_text("e", final=False)
    assert [frame.payload for frame in sent(connection)] == [b"a", b"c", b"d"]


@both_roles
def test_text_that_is_not_unicode(role: Role) -> None:
    connection = Connection(role)
    for send in (connection.send_text, connection.send):
        with pytest.raises(UsageError, match="surrogates"):
            send("a\ud800")
    assert connection.data_to_send() == b""


@pytest.mark.parametrize(
    "send", [Connection.send_binary, Connection.send_ping, Connection.send_pong]
)
@pytest.mark.parametrize("payload", [5, "text", None, [1, 2]])
def test_payload_that_is_no_buffer(send: Any, payload: Any) -> None:
    connection = Connection(SERVER)
    with pytest.raises(TypeError):
        send(connection, payload)
    assert connection.data_to_send() == b""


@both_roles
def test_control_payload_is_at_most_125_bytes(role: Role) -> None:
    connection = Connection(role)
    connection.send_ping(bytes(125))
    connection.send_pong(bytes(125))
    for payload in (bytes(126), memoryview(array.array("I", bytes(128)))):
        for send in (connection.send_ping, connection.send_pong):
            with pytest.raises(UsageError, match="125"):
                send(payload)  # type: ignore[arg-type]
    assert sent(connection) == [Frame(PING, bytes(125)), Frame(PONG, bytes(125))]


@both_roles
def test_extension_transforms_what_it_applies_to(role: Role) -> None:
    connection = Connection(role, extensions=[Reverse(3)])
    connection.send_text("ab")
    connection.send_text("abc")
    connection.send_text("ab", compress=True)
    connection.send_text("abc", compress=False)
    connection.send_text("abc", final=False)
    connection.send_text("de")
    connection.send_ping(b"abc")
    assert sent(connection) == [
        Frame(TEXT, b"ab"),
        Frame(TEXT, b"cba", rsv=0x40),
        Frame(TEXT, b"ba", rsv=0x40),
        Frame(TEXT, b"abc"),
        Frame(TEXT, b"cba", fin=False, rsv=0x40),
        Frame(CONTINUATION, b"ed"),
        Frame(PING, b"abc"),
    ]


@both_roles
def test_extension_transforms_what_is_marked(role: Role) -> None:
    connection = Connection(role, extensions=[Reverse(0)])
    data = peer_frame(role, TEXT, b"abc", rsv=0x40) + peer_frame(role, TEXT, b"abc")
    assert connection.receive_data(data) == ["cba", "abc"]


# Pings


@both_roles
def test_ping_is_answered(role: Role) -> None:
    connection = Connection(role)
    assert connection.receive_data(peer_frame(role, PING, b"Hello")) == [Ping(b"Hello")]
    assert sent(connection) == [Frame(PONG, b"Hello")]


@both_roles
def test_pong_is_told_and_not_answered(role: Role) -> None:
    connection = Connection(role)
    assert connection.receive_data(peer_frame(role, PONG, b"Hello")) == [Pong(b"Hello")]
    assert connection.data_to_send() == b""


@both_roles
def test_pings_of_one_read_are_all_answered(role: Role) -> None:
    connection = Connection(role)
    connection.receive_data(b"".join(peer_frame(role, PING, bytes([i])) for i in range(3)))
    assert sent(connection) == [Frame(PONG, bytes([i])) for i in range(3)]


@both_roles
def test_while_writing_is_held_up_the_latest_ping_alone_is_answered(role: Role) -> None:
    connection = Connection(role)
    connection.send_text("waits")
    for i in range(100):
        connection.receive_data(peer_frame(role, PING, bytes([i])))
    assert sent(connection) == [Frame(TEXT, b"waits"), Frame(PONG, b"\x63")]
    assert connection.data_to_send() == b""


@both_roles
def test_pending_pong_goes_before_our_close(role: Role) -> None:
    connection = Connection(role)
    connection.send_text("waits")
    connection.receive_data(peer_frame(role, PING, b"p"))
    connection.close()
    assert [frame.opcode for frame in sent(connection)] == [TEXT, PONG, CLOSE]


@both_roles
def test_ping_is_answered_until_the_peers_close(role: Role) -> None:
    connection = Connection(role)
    connection.close()
    assert connection.receive_data(peer_frame(role, PING, b"p")) == [Ping(b"p")]
    assert [frame.opcode for frame in sent(connection)] == [CLOSE, PONG]
    connection.receive_data(close_frame(role) + peer_frame(role, PING, b"q"))
    assert connection.data_to_send() == b""


# The closing handshake


@both_roles
def test_peer_closes(role: Role) -> None:
    connection = Connection(role)
    assert connection.receive_data(close_frame(role, 1001, "bye")) == [Close(1001, "bye")]
    assert connection.state is State.CLOSE_RECEIVED
    assert connection.transport_action is TransportAction.KEEP
    assert connection.close_received == Close(1001, "bye")
    assert connection.data_to_send() == b""

    connection.send_text("one more")
    connection.send_ping()
    connection.answer_close()
    assert connection.state is State.CLOSE_EXCHANGED
    assert connection.close_sent == Close(1001)
    assert sent(connection) == [
        Frame(TEXT, b"one more"),
        Frame(PING, b""),
        Frame(CLOSE, b"\x03\xe9"),
    ]
    assert connection.transport_action is (
        TransportAction.CLOSE if role is SERVER else TransportAction.KEEP
    )

    assert connection.receive_eof() == [Closed(1001, "bye", clean=True)]
    assert connection.state is State.CLOSED
    assert connection.transport_action is TransportAction.ABORT
    assert connection.receive_eof() == []


@both_roles
def test_we_close(role: Role) -> None:
    connection = Connection(role)
    connection.close(4000, "bye")
    assert connection.state is State.CLOSE_SENT
    assert connection.close_sent == Close(4000, "bye")
    assert close_sent(connection) == Close(4000, "bye")
    assert connection.transport_action is TransportAction.KEEP

    assert connection.receive_data(peer_frame(role, TEXT, b"late")) == ["late"]
    assert connection.receive_data(close_frame(role, 4001)) == [Close(4001)]
    assert connection.state is State.CLOSE_EXCHANGED
    connection.answer_close()
    assert connection.data_to_send() == b""
    assert connection.receive_eof() == [Closed(4001, "", clean=True)]


@both_roles
def test_close_without_a_code(role: Role) -> None:
    connection = Connection(role)
    connection.receive_data(peer_frame(role, CLOSE))
    connection.answer_close()
    assert sent(connection) == [Frame(CLOSE, b"")]
    assert connection.receive_eof() == [Closed(1005, "", clean=True)]

    connection = Connection(role)
    connection.close(CloseCode.NO_STATUS_RECEIVED)
    assert sent(connection) == [Frame(CLOSE, b"")]


@both_roles
def test_close_answers_the_peers_close(role: Role) -> None:
    connection = Connection(role)
    connection.receive_data(close_frame(role, 1001))
    connection.close(4000)
    assert close_sent(connection) == Close(1001)


@both_roles
def test_close_again_does_nothing(role: Role) -> None:
    connection = Connection(role)
    connection.close(1001)
    connection.close(4000)
    connection.receive_data(close_frame(role))
    connection.close(4000)
    connection.receive_eof()
    connection.close(4000)
    assert connection.close_sent == Close(1001)


@both_roles
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (999, ""),
        (1004, ""),
        (1005, "x"),
        (1006, ""),
        (1015, ""),
        (2999, ""),
        (5000, ""),
        (1000, "\ud800"),
    ],
)
def test_close_refuses_what_must_not_travel(role: Role, code: int, reason: str) -> None:
    connection = Connection(role)
    with pytest.raises(UsageError):
        connection.close(code, reason)
    with pytest.raises(UsageError, match="124 bytes"):
        connection.close(1000, "x" * 124)
    assert connection.state is State.OPEN
    assert connection.data_to_send() == b""
    connection.close(1000, "x" * 123)
    assert connection.state is State.CLOSE_SENT


@both_roles
def test_answer_close_does_nothing_while_open(role: Role) -> None:
    connection = Connection(role)
    connection.answer_close()
    assert connection.state is State.OPEN
    assert connection.data_to_send() == b""


def assert_cannot_send(connection: Connection, error: type[ConnectionClosed]) -> None:
    for send in (connection.send_binary, connection.send_ping, connection.send_pong):
        with pytest.raises(error):
            send(b"a")
    for send_message in (connection.send_text, connection.send):
        with pytest.raises(error):
            send_message("a")


@both_roles
def test_nothing_is_sent_after_our_close(role: Role) -> None:
    connection = Connection(role)
    connection.close()
    connection.data_to_send()
    assert_cannot_send(connection, ConnectionClosedError)
    connection.receive_data(close_frame(role, 1000, "bye"))
    assert_cannot_send(connection, ConnectionClosedOK)
    connection.receive_eof()
    assert_cannot_send(connection, ConnectionClosedOK)
    assert connection.data_to_send() == b""


# Faults


@both_roles
def test_fault(role: Role) -> None:
    connection = Connection(role)
    good = peer_frame(role, TEXT, b"good")
    events = connection.receive_data(good + BAD + good)
    assert comparable(events) == ["good", (1002, "5.2")]
    assert connection.state is State.CLOSE_RECEIVED
    assert connection.data_to_send() == b""
    assert connection.receive_data(good) == []

    connection.send_text("reply")
    connection.answer_close()
    reply, close = sent(connection)
    assert reply == Frame(TEXT, b"reply")
    assert close.opcode is CLOSE
    assert Close.parse(close.payload).code == 1002
    assert connection.state is State.CLOSE_EXCHANGED
    assert connection.transport_action is TransportAction.HALF_CLOSE
    assert connection.fault is not None
    assert connection.fault.code == 1002

    assert connection.receive_eof() == [Closed(1006, "", clean=False)]


@both_roles
def test_fault_after_our_close(role: Role) -> None:
    connection = Connection(role)
    connection.close()
    connection.data_to_send()
    (fault,) = connection.receive_data(BAD)
    assert isinstance(fault, Fault)
    assert connection.state is State.CLOSE_EXCHANGED
    assert connection.transport_action is TransportAction.HALF_CLOSE
    assert connection.data_to_send() == b""
    assert connection.receive_eof() == [Closed(1006, "", clean=False)]


@both_roles
def test_limits_reach_the_decoder(role: Role) -> None:
    connection = Connection(role, limits=Limits(max_message_size=4))
    (fault,) = connection.receive_data(peer_frame(role, TEXT, b"Hello"))
    assert isinstance(fault, Fault)
    assert fault.error.code == 1009
    connection = Connection(role, limits=Limits(max_fragments=1))
    data = peer_frame(role, TEXT, fin=False) + peer_frame(role, CONTINUATION)
    (fault,) = connection.receive_data(data)
    assert isinstance(fault, Fault)
    assert fault.error.code == 1008


# The end of TCP


@both_roles
def test_lost(role: Role) -> None:
    connection = Connection(role)
    connection.send_text("waits")
    connection.receive_data(peer_frame(role, PING))
    assert connection.receive_eof() == [Closed(1006, "", clean=False)]
    assert connection.state is State.CLOSED
    assert connection.data_to_send() == b""
    assert connection.receive_data(peer_frame(role, TEXT)) == []
    assert connection.next_deadline() is None


@both_roles
def test_lost_before_we_answered(role: Role) -> None:
    connection = Connection(role)
    connection.receive_data(close_frame(role, 1001, "bye"))
    assert connection.receive_eof() == [Closed(1001, "bye", clean=False)]


@both_roles
def test_lost_before_the_peer_answered(role: Role) -> None:
    connection = Connection(role)
    connection.close()
    assert connection.receive_eof() == [Closed(1006, "", clean=False)]


# What comes after the end is thrown away, up to a limit


@both_roles
@pytest.mark.parametrize("limit", [0, 9, 10, None])
def test_discarding(role: Role, limit: int | None) -> None:
    connection = Connection(role, limits=Limits(max_discarded_size=limit))
    connection.receive_data(close_frame(role))
    connection.answer_close()
    connection.data_to_send()
    assert connection.receive_data(b"") == []
    events = connection.receive_data(bytes(5)) + connection.receive_data(bytes(5))
    if limit in (0, 9):
        assert events == [Closed(1000, "", clean=True)]
        assert connection.transport_action is TransportAction.ABORT
    else:
        assert events == []
        assert connection.state is State.CLOSE_EXCHANGED
        assert bool(connection.receive_data(b"x")) is (limit == 10)


@both_roles
@pytest.mark.parametrize("limit", [0, 9, 10, 11, None])
def test_a_flood_after_our_close(role: Role, limit: int | None) -> None:
    frame = peer_frame(role, Opcode.TEXT, b"a")
    data = (frame * 4)[:10]
    connection = Connection(role, limits=Limits(max_closing_size=limit))
    connection.close(1000)
    events = connection.receive_data(data[:1]) + connection.receive_data(data[1:])
    if limit in (0, 9):
        assert events == [Closed(1006, "", clean=False)]
        assert connection.transport_action is TransportAction.ABORT
    else:
        assert events == ["a"] * (10 // len(frame))
        assert connection.state is State.CLOSE_SENT


@both_roles
def test_what_came_after_our_close_is_not_counted_after_the_peers(role: Role) -> None:
    connection = Connection(role, limits=Limits(max_discarded_size=10))
    connection.close(1000)
    connection.receive_data(peer_frame(role, Opcode.TEXT, bytes(20)))
    connection.receive_data(close_frame(role))
    assert connection.receive_data(bytes(10)) == []
    assert connection.receive_data(b"x") == [Closed(1000, "", clean=True)]


@both_roles
def test_what_extensions_make_of_a_flood_counts(role: Role) -> None:
    class Swell(Reverse):
        def decode(self, payload: bytes, *, final: bool, max_size: int | None) -> bytes:
            return payload * 501

    connection = Connection(role, limits=Limits(max_closing_size=1000), extensions=[Swell(0)])
    connection.close(1000)
    data = peer_frame(role, Opcode.BINARY, b"x", rsv=Swell.rsv)
    assert connection.receive_data(data) == [b"x" * 501]
    assert connection.receive_data(data) == [Closed(1006, "", clean=False)]
    assert not connection.only_messages


# How many frames have come


def counts(connection: Connection, *reads: bytes) -> list[int]:
    """How many frames each read has begun."""
    return [connection.count_frames(connection.receive_data(data)) for data in reads]


@both_roles
def test_frames_are_counted_however_reads_cut_them(role: Role) -> None:
    accepted = [
        peer_frame(role, TEXT, b"a"),
        peer_frame(role, BINARY, b""),
        peer_frame(role, TEXT, b"", rsv=0x40, fin=False),
        peer_frame(role, PING, b"p"),
        peer_frame(role, CONTINUATION, b"\x00"),
        peer_frame(role, TEXT, b"\x00", rsv=0x40),
        peer_frame(role, BINARY, bytes(200)),
    ]
    for refused in (b"\xff\x00", peer_frame(role, CONTINUATION, b"")):
        for chunks in chunkings(b"".join(accepted) + refused + accepted[0]):
            connection = Connection(role, extensions=[PermessageDeflate().confirm([])])
            assert sum(counts(connection, *chunks)) == len(accepted)


@both_roles
def test_a_frame_is_counted_when_its_header_is_here(role: Role) -> None:
    data = peer_frame(role, BINARY, bytes(200))
    size = len(data) - 200
    connection = Connection(role)
    reads = data[: size - 1], data[size - 1 : size], data[size:], b"", data * 3
    assert counts(connection, *reads) == [0, 1, 0, 0, 3]
    assert counts(connection, data + close_frame(role) + data, data) == [2, 0]


@both_roles
def test_frames_behind_a_shortcut_are_counted_with_those_it_has_taken(role: Role) -> None:
    connection = Connection(role)
    run = peer_frame(role, TEXT, b"a") * 3
    for data, frames in ((run, 3), (run + peer_frame(role, PING), 4), (run + run[:1], 3)):
        events: list[Event] = []
        position = connection.take_run(data, 0, events)
        assert position == len(run)
        events = connection.receive_rest(data, position, events, 0.0)
        assert connection.count_frames(events) == frames


@both_roles
def test_frames_are_counted_that_a_flood_has_had(role: Role) -> None:
    run = peer_frame(role, PING) * 5
    flooded = Connection(role, limits=Limits(control_rate=1, control_burst=2))
    assert counts(flooded, run, run) == [5, 0]
    for data in (run, peer_frame(role, TEXT, b"a") * 5):
        closing = Connection(role, limits=Limits(max_closing_size=0))
        closing.close(1000)
        assert counts(closing, data, data) == [5, 0]


# Time


@both_roles
def test_keepalive(role: Role) -> None:
    limits = Limits(ping_interval=20, ping_timeout=10, close_grace=1, close_timeout=5)
    connection = Connection(role, limits=limits, now=100)
    assert connection.next_deadline() == 120
    assert connection.handle_deadline(119.9) == []
    assert connection.data_to_send() == b""

    assert connection.handle_deadline(120) == []
    assert sent(connection) == [Frame(PING, b"")]
    assert connection.next_deadline() == 130

    # Any byte is a sign of life.
    connection.receive_data(peer_frame(role, TEXT, b"x")[:1], 129)
    assert connection.next_deadline() == 149
    assert connection.handle_deadline(150) == []
    assert connection.next_deadline() == 160

    (fault,) = connection.handle_deadline(160)
    assert isinstance(fault, Fault)
    assert fault.error.code == 1011
    assert connection.fault is fault.error
    assert connection.state is State.CLOSE_RECEIVED
    assert connection.next_deadline() == 161
    assert [frame.opcode for frame in sent(connection)] == [PING]

    assert connection.handle_deadline(161) == []
    assert close_sent(connection).code == 1011
    assert connection.next_deadline() == 166
    assert connection.handle_deadline(166) == [Closed(1006, "", clean=False)]
    assert connection.next_deadline() is None
    assert connection.handle_deadline(1000) == []


@both_roles
def test_extensions_are_told_when_the_peer_is_silent(role: Role) -> None:
    class Resting(Reverse):
        rests = 0

        def rest(self) -> None:
            self.rests += 1

    extension = Resting(0)
    connection = Connection(role, limits=Limits(ping_interval=20), extensions=[extension])
    connection.handle_deadline(19)
    assert extension.rests == 0
    connection.handle_deadline(20)
    assert extension.rests == 1


@both_roles
def test_keepalive_switched_off(role: Role) -> None:
    connection = Connection(role, limits=Limits(ping_interval=None))
    assert connection.next_deadline() is None
    assert connection.handle_deadline(1e9) == []

    connection = Connection(role, limits=Limits(ping_interval=20, ping_timeout=None))
    connection.handle_deadline(20)
    assert sent(connection) == [Frame(PING, b"")]
    assert connection.next_deadline() is None


@both_roles
def test_clock_of_the_keepalive_stops_while_we_do_not_read(role: Role) -> None:
    connection = Connection(role, limits=Limits(ping_interval=20, ping_timeout=10))
    connection.pause_reading()
    assert connection.next_deadline() is None
    assert connection.handle_deadline(1000) == []
    connection.resume_reading(1000)
    assert connection.next_deadline() == 1020

    connection.handle_deadline(1020)
    connection.pause_reading()
    assert connection.next_deadline() is None
    connection.resume_reading(2000)
    assert connection.next_deadline() == 2010


@both_roles
def test_our_close_waits_for_the_peers(role: Role) -> None:
    connection = Connection(role, limits=Limits(close_timeout=5))
    connection.close(now=10)
    assert connection.next_deadline() == 15
    connection.receive_data(close_frame(role), 12)
    # A client waits for the server to end TCP.
    assert connection.next_deadline() == 17
    assert connection.handle_deadline(16) == []
    assert connection.handle_deadline(17) == [Closed(1000, "", clean=True)]
    assert connection.transport_action is TransportAction.ABORT


@both_roles
def test_peer_that_never_answers_our_close(role: Role) -> None:
    connection = Connection(role, limits=Limits(close_timeout=5))
    connection.close(now=10)
    assert connection.handle_deadline(15) == [Closed(1006, "", clean=False)]


@both_roles
def test_answer_to_the_peers_close_goes_out_after_a_grace(role: Role) -> None:
    connection = Connection(role, limits=Limits(close_grace=1))
    connection.receive_data(close_frame(role), 10)
    assert connection.next_deadline() == 11
    assert connection.handle_deadline(11) == []
    assert close_sent(connection) == Close(1000)


@both_roles
def test_timeouts_of_closing_switched_off(role: Role) -> None:
    limits = Limits(close_grace=None, close_timeout=None)
    connection = Connection(role, limits=limits)
    connection.receive_data(close_frame(role))
    assert connection.next_deadline() is None
    connection.answer_close()
    assert connection.next_deadline() is None


# Control frames of the peer's


def control(role: Role, *opcodes: Opcode) -> bytes:
    return b"".join(peer_frame(role, opcode) for opcode in opcodes)


@both_roles
@pytest.mark.parametrize("excess", [0, 1])
def test_more_control_frames_than_the_burst_fail_with_1008(role: Role, excess: int) -> None:
    connection = Connection(role, limits=Limits(control_rate=10, control_burst=3))
    frames = control(role, PING, Opcode.PONG, PING) + excess * control(role, Opcode.PONG)
    events = connection.receive_data(frames + peer_frame(role, Opcode.TEXT, b"later"))
    if not excess:
        assert events == [Ping(b""), Pong(b""), Ping(b""), "later"]
        return
    assert comparable(events) == [Ping(b""), Pong(b""), Ping(b""), Failure(1008)]
    assert connection.state is State.CLOSE_RECEIVED
    connection.answer_close()
    assert [frame.opcode for frame in sent(connection)] == [PONG, PONG, CLOSE]
    assert connection.close_sent == Close(1008, "too many control frames")


@both_roles
def test_the_burst_comes_back_at_the_rate_and_no_further(role: Role) -> None:
    limits = Limits(control_rate=10, control_burst=2)
    connection = Connection(role, limits=limits, now=100)
    connection.receive_data(control(role, PING, PING), 100)
    assert connection.receive_data(control(role, PING), 100.125) == [Ping(b"")]
    # However long it is silent, no more than the burst may come at once.
    assert connection.receive_data(control(role, PING, PING), 200) == [Ping(b""), Ping(b"")]
    assert comparable(connection.receive_data(control(role, PING), 200.0625)) == [Failure(1008)]


@both_roles
@pytest.mark.parametrize("off", [{}, {"control_rate": 1, "control_burst": None}])
def test_control_frames_without_a_limit(role: Role, off: dict[str, Any]) -> None:
    connection = Connection(role, limits=Limits(**off))
    assert connection.receive_data(control(role, PING) * 1000) == [Ping(b"")] * 1000


# A limit that changes


@both_roles
def test_largest_message_may_change_from_the_next_frame_on(role: Role) -> None:
    connection = Connection(role, limits=Limits(max_message_size=4))
    assert connection.receive_data(peer_frame(role, Opcode.TEXT, b"1234")) == ["1234"]
    connection.set_max_message_size(6)
    assert connection.limits.max_message_size == 6
    assert connection.receive_data(peer_frame(role, Opcode.TEXT, b"123456")) == ["123456"]
    assert comparable(connection.receive_data(peer_frame(role, Opcode.TEXT, b"1234567"))) == [
        Failure(1009)
    ]


@both_roles
def test_largest_message_may_become_unlimited(role: Role) -> None:
    connection = Connection(role, limits=Limits(max_message_size=0, max_fragments=0))
    connection.set_max_message_size(None)
    # The other limits stay.
    frame = peer_frame(role, Opcode.TEXT, b"1")
    assert comparable(connection.receive_data(frame)) == [Failure(1008)]


# What shortcuts of transports look at


@both_roles
def test_when_a_shortcut_may_take_messages(role: Role) -> None:
    connection = Connection(role, limits=Limits(max_message_size=1000))
    assert connection.at_boundary
    assert connection.whole_limit == 1000
    connection.set_max_message_size(None)
    assert connection.whole_limit > 1 << 32
    whole = peer_frame(role, TEXT, b"abc")
    for cut in range(1, len(whole)):
        connection.receive_data(whole[:cut])
        assert not connection.at_boundary
        connection.receive_data(whole[cut:])
        assert connection.at_boundary
    connection.receive_data(peer_frame(role, TEXT, b"a", fin=False))
    assert not connection.at_boundary
    connection.receive_data(peer_frame(role, CONTINUATION, b"b"))
    assert connection.at_boundary
    connection.stream()
    assert not connection.at_boundary
    connection.receive_data(BAD)
    assert not connection.at_boundary


@both_roles
def test_messages_of_an_extension_that_a_shortcut_takes(role: Role) -> None:
    plain, one, two = (
        Connection(role, extensions=extensions, limits=Limits(max_message_size=5))
        for extensions in ([], [Reverse(3)], [Reverse(3), Reverse(3)])
    )
    assert (plain.mark, plain.unwrap) == (two.mark, two.unwrap) == (0, None)
    assert one.mark == 0x40
    assert one.unwrap is not None
    assert one.unwrap(b"abc", True) == "cba"
    assert one.unwrap(b"\xff\x00", False) == b"\x00\xff"
    assert one.unwrap(b"\xff", True) is None
    # What is wrong is told in its place.
    frames = peer_frame(role, TEXT, b"abc", rsv=0x40) + peer_frame(role, TEXT, b"\xff", rsv=0x40)
    assert comparable(one.receive_data(frames[-3:])) == [Failure(1007, "8.1")]


@both_roles
def test_run_that_a_shortcut_takes(role: Role) -> None:
    connection = Connection(role, extensions=[Reverse(3)])
    good = peer_frame(role, TEXT, b"abc", rsv=0x40) + peer_frame(role, TEXT, b"d")
    bad = peer_frame(role, TEXT, b"\xff", rsv=0x40)
    data = good + bad + good
    events: list[Event] = []
    assert connection.take_run(good[:3], 0, events) == 0
    assert connection.take_run(data, 0, events) == len(good)
    assert connection.take_run(data, len(good), events) == len(good)
    assert events == ["cba", "d"]
    assert connection.receive_rest(data[: len(good)], len(good), events, 1.0) is events
    assert events == ["cba", "d"]
    assert comparable(connection.receive_data(data[len(good) :])) == [Failure(1007, "8.1")]
    assert connection.take_run(data, 0, events) == 0
    assert len(events) == 2
    within = Connection(role)
    within.receive_data(good[:1])
    assert within.take_run(good[1:] + good, 0, events) == 0


@both_roles
def test_what_a_shortcut_takes_is_a_sign_of_life(role: Role) -> None:
    connection = Connection(role, limits=Limits(ping_interval=20, ping_timeout=10))
    connection.handle_deadline(20.0)
    assert connection.next_deadline() == 30
    data = peer_frame(role, TEXT, b"a")
    assert connection.take_run(data, 0, []) == len(data)
    connection.show_life(25.0)
    assert connection.next_deadline() == 45


@both_roles
def test_message_that_a_shortcut_sends_through_an_extension(role: Role) -> None:
    connection = Connection(role, extensions=[Reverse(3)])
    assert connection.wrap(b"ab") is None
    assert connection.wrap(b"abc") == b"cba"


@both_roles
def test_which_messages_a_shortcut_may_send(role: Role) -> None:
    small, large = Reverse(3), Reverse(3)
    small.threshold, large.threshold = 10, 20
    assert Connection(role).plain_below > 1 << 32
    assert Connection(role, extensions=[large, small]).plain_below == 10
    connection = Connection(role)
    outbox = connection.outbox
    connection.send("a")
    assert len(outbox) == 1
    connection.data_to_send()
    assert outbox == []
    assert connection.outbox is outbox


@both_roles
def test_the_rest_behind_what_a_shortcut_has_taken(role: Role) -> None:
    connection = Connection(role)
    first, second = peer_frame(role, TEXT, b"a"), peer_frame(role, TEXT, b"b")
    rest = second + peer_frame(role, PING, b"p")
    events = connection.receive_rest(first + rest, len(first), ["a"], 30.0)
    assert events == ["a", "b", Ping(b"p")]
    assert not connection.only_messages
    assert connection.next_deadline() == 50.0
    assert connection.receive_rest(first, len(first), ["a"], 31.0) == ["a"]
    assert connection.only_messages
    assert connection.receive_rest(first + second, 0, [], 32.0) == ["a", "b"]


def test_an_unfinished_message_comes_back_from_a_shortcut() -> None:
    connection = Connection(Role.CLIENT)
    connection.take_back(b"\x81\x03ab")
    assert (connection.incomplete_size, connection.at_boundary) == (2, False)
    assert connection.receive_data(b"c\x81\x01d") == ["abc", "d"]
    connection.receive_data(b"\x88\x00")
    connection.take_back(b"\x81\x03ab")
    assert connection.incomplete_size == 0
