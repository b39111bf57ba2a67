"""RFC 6455 §7.1 to §7.3: how connections end."""

from __future__ import annotations

import pytest

from rfc6455.close import Close, CloseCode
from rfc6455.connection import Connection, Role, TransportAction
from rfc6455.errors import ConnectionClosed, ConnectionClosedError, connection_closed
from rfc6455.events import Closed, Event
from rfc6455.frames import Frame, Opcode
from rfc6455.limits import Limits
from rfc6455.state import TRANSITIONS, State, Trigger
from tests.helpers import (
    CLIENT,
    SERVER,
    Failure,
    assert_fails,
    both_roles,
    deliver,
    frames_in,
    header,
    peer_frame,
    run,
)


def close_frame(role: Role, code: int = 1000, reason: str = "") -> bytes:
    return peer_frame(role, Opcode.CLOSE, Close(code, reason).payload())


def closed_by_peer(role: Role, payload: bytes) -> list[Event]:
    connection = Connection(role)
    connection.receive_data(peer_frame(role, Opcode.CLOSE, payload))
    connection.answer_close()
    return connection.receive_eof()


# 7.1.1: TCP


@pytest.mark.clause("W150", "W151", "W181", "W183", "W186", party="server")
@pytest.mark.parametrize("we_start", [True, False])
def test_s7_1_1_server_ends_tcp_at_once_after_both_closes(we_start: bool) -> None:
    prepare = Connection.close if we_start else None
    outcome = deliver(close_frame(SERVER), SERVER, prepare=prepare)
    assert outcome.state is State.CLOSE_EXCHANGED
    assert outcome.action is TransportAction.CLOSE


@pytest.mark.clause("W150", "W152", "W184", "W186", party="client")
@pytest.mark.parametrize("we_start", [True, False])
def test_s7_1_1_client_waits_for_the_server_to_end_tcp(we_start: bool) -> None:
    prepare = Connection.close if we_start else None
    outcome = deliver(close_frame(CLIENT), CLIENT, prepare=prepare)
    assert outcome.state is State.CLOSE_EXCHANGED
    assert outcome.action is TransportAction.KEEP


@pytest.mark.clause("W153", "W182", party="client")
def test_s7_1_1_client_ends_tcp_when_the_server_takes_too_long() -> None:
    connection = Connection(CLIENT, limits=Limits(close_timeout=5))
    connection.receive_data(close_frame(CLIENT), 10)
    connection.answer_close(10)
    assert connection.next_deadline() == 15
    assert connection.handle_deadline(15) == [Closed(1000, "", clean=True)]
    assert connection.transport_action is TransportAction.ABORT


@pytest.mark.clause("W179")
@both_roles
def test_s7_1_1_trailing_bytes_are_thrown_away(role: Role) -> None:
    connection = Connection(role)
    connection.receive_data(close_frame(role))
    connection.answer_close()
    for _ in range(10):
        assert connection.receive_data(peer_frame(role, Opcode.TEXT, bytes(100))) == []
    assert connection.state is State.CLOSE_EXCHANGED


@pytest.mark.clause("W180", "W241")
@both_roles
def test_s7_1_1_tcp_is_dropped_under_attack(role: Role) -> None:
    connection = Connection(role, limits=Limits(max_discarded_size=1000))
    connection.receive_data(b"\xff")
    connection.answer_close()
    assert connection.receive_data(bytes(1001)) == [Closed(1006, "", clean=False)]
    assert connection.transport_action is TransportAction.ABORT


# 7.1.2 to 7.1.4: the closing handshake


@pytest.mark.clause("W185", "W187", "W206", "W208")
@both_roles
@pytest.mark.parametrize(
    ("close", "payload"),
    [
        (Close(1000), b"\x03\xe8"),
        (Close(1001, "bye"), b"\x03\xe9bye"),
        (Close(4999, "é"), b"\x13\x87\xc3\xa9"),
        (Close(1005), b""),
    ],
)
def test_s7_1_2_closing_handshake_starts_with_a_close(
    role: Role, close: Close, payload: bytes
) -> None:
    connection = Connection(role)
    connection.close(close.code, close.reason)
    assert connection.state is State.CLOSE_SENT
    assert frames_in(connection.data_to_send()) == [Frame(Opcode.CLOSE, payload)]


@pytest.mark.clause("W154", "W150")
@both_roles
def test_s7_1_2_both_sides_close_at_the_same_time(role: Role) -> None:
    outcome = deliver(close_frame(role, 1001), role, prepare=Connection.close)
    assert outcome.events == [Close(1001)]
    assert outcome.sent == [Frame(Opcode.CLOSE, b"\x03\xe8")]
    assert outcome.state is State.CLOSE_EXCHANGED


@pytest.mark.clause("W187")
def test_s7_1_3_close_sent_or_received_starts_the_closing_handshake() -> None:
    after = {TRANSITIONS[State.OPEN][t] for t in (Trigger.SEND_CLOSE, Trigger.RECEIVE_CLOSE)}
    assert after == {State.CLOSE_SENT, State.CLOSE_RECEIVED}
    for state in after:
        assert State.OPEN not in TRANSITIONS[state].values()


@pytest.mark.clause("W188")
@both_roles
def test_s7_1_4_clean_if_the_closing_handshake_was_completed(role: Role) -> None:
    def end(*steps: str) -> Closed:
        connection = Connection(role)
        for step in steps:
            if step == "send":
                connection.close()
            elif step == "receive":
                connection.receive_data(close_frame(role))
            else:
                connection.receive_data(b"\xff")
        (closed,) = connection.receive_eof()
        assert isinstance(closed, Closed)
        assert connection.state is State.CLOSED
        return closed

    assert end("send", "receive").clean
    assert end("receive", "send").clean
    assert not end().clean
    assert not end("send").clean
    assert not end("receive").clean
    assert not end("fault", "send").clean
    assert not end("send", "fault").clean


# 7.1.5 and 7.1.6: how it ended


@pytest.mark.clause("W189", "W190")
@both_roles
def test_s7_1_5_code_and_reason_are_those_of_the_peers_close(role: Role) -> None:
    assert closed_by_peer(role, b"\x03\xe9bye") == [Closed(1001, "bye", clean=True)]
    assert closed_by_peer(role, b"\x0f\xa0") == [Closed(4000, "", clean=True)]


@pytest.mark.clause("W189", "W190", "W210")
@both_roles
def test_s7_1_5_close_without_a_code_is_1005(role: Role) -> None:
    assert closed_by_peer(role, b"") == [Closed(1005, "", clean=True)]


@pytest.mark.clause("W189", "W190", "W211", "W200")
@both_roles
@pytest.mark.parametrize("received", [b"", b"\x81", b"\xff"])
def test_s7_1_5_no_close_is_1006(role: Role, received: bytes) -> None:
    for we_close in (False, True):
        connection = Connection(role)
        if we_close:
            connection.close(1000, "bye")
        connection.receive_data(received)
        assert connection.receive_eof() == [Closed(1006, "", clean=False)]
        error = connection_closed(connection.close_received, connection.close_sent)
        assert isinstance(error, ConnectionClosedError)
        assert (error.code, error.reason) == (1006, "")


# 7.1.7: failing


@pytest.mark.clause("W191", "W193", "W195", "W199", "W242")
@both_roles
@pytest.mark.parametrize(
    ("first", "payload", "code", "section"),
    [
        (0xC1, b"", 1002, "5.2"),
        (0x83, b"", 1002, "5.2"),
        (0x80, b"", 1002, "5.4"),
        (0x09, b"", 1002, "5.5"),
        (0x81, b"\xff", 1007, "8.1"),
        (0x88, b"\x03\xed", 1002, "7.4"),
        (0x82, bytes(11), 1009, ""),
        (0x01, b"", 1008, ""),
    ],
)
def test_s7_1_7_failing_sends_a_close_with_a_fitting_code(
    role: Role, first: int, payload: bytes, code: CloseCode, section: str
) -> None:
    # With a zero masking key the payload reads the same for either role.
    data = header(role, first, bytes([len(payload)])) + payload
    limits = Limits(max_message_size=10, max_fragments=0 if code == 1008 else 1)
    assert_fails(data, CloseCode(code), section, role, limits=limits)


@pytest.mark.clause("W197")
@both_roles
def test_s7_1_7_nothing_is_processed_after_a_fault(role: Role) -> None:
    more = [
        peer_frame(role, Opcode.TEXT, b"a"),
        peer_frame(role, Opcode.PING, b"b"),
        close_frame(role, 4000),
        b"\xff",
    ]
    for chunks in ([b"\xff" + b"".join(more)], [b"\xff", *more]):
        outcome = run(chunks, role)
        assert outcome.events == [Failure(1002, "5.2")]
        assert [frame.opcode for frame in outcome.sent] == [Opcode.CLOSE]
        connection = Connection(role)
        for chunk in chunks:
            connection.receive_data(chunk)
        connection.answer_close()
        assert connection.close_received is None
        assert connection.receive_eof() == [Closed(1006, "", clean=False)]


@pytest.mark.clause("W195", "W197")
@both_roles
def test_s7_1_7_good_messages_before_a_fault_are_answered_first(role: Role) -> None:
    connection = Connection(role)
    good = peer_frame(role, Opcode.TEXT, b"good")
    events = connection.receive_data(good + good + b"\xff" + good)
    assert events[:2] == ["good", "good"]
    assert len(events) == 3
    connection.send_text("reply")
    connection.answer_close()
    frames = frames_in(connection.data_to_send())
    assert [frame.opcode for frame in frames] == [Opcode.TEXT, Opcode.CLOSE]


@pytest.mark.clause("W196")
@both_roles
def test_s7_1_7_no_close_follows_our_own(role: Role) -> None:
    outcome = deliver(b"\xff", role, prepare=Connection.close)
    assert outcome.events == [Failure(1002, "5.2")]
    assert [frame.opcode for frame in outcome.sent] == [Opcode.CLOSE]
    assert outcome.action is TransportAction.HALF_CLOSE


@pytest.mark.clause("W191", "W193")
@both_roles
def test_s7_1_7_failing_ends_tcp_in_time(role: Role) -> None:
    connection = Connection(role, limits=Limits(close_grace=1, close_timeout=5))
    connection.receive_data(b"\xff", 10)
    assert connection.handle_deadline(11) == []
    assert connection.transport_action is TransportAction.HALF_CLOSE
    assert connection.handle_deadline(16) == [Closed(1006, "", clean=False)]
    assert connection.transport_action is TransportAction.ABORT


@pytest.mark.clause("W192", party="client")
def test_s7_1_7_application_is_told() -> None:
    connection = Connection(CLIENT)
    connection.receive_data(b"\xff")
    connection.answer_close()
    assert (
        str(connection.fault)
        == "reserved bit set without an extension that defines it (RFC 6455 §5.2)"
    )
    with pytest.raises(ConnectionClosed, match="sent 1002 protocol error"):
        connection.send_text("a")


@pytest.mark.clause("W198", party="client")
def test_s7_1_7_client_does_not_close_without_a_reason() -> None:
    connection = Connection(CLIENT, limits=Limits(ping_interval=20, ping_timeout=20))
    for now in range(0, 1000, 10):
        connection.handle_deadline(now)
        connection.receive_data(peer_frame(CLIENT, Opcode.PONG), now)
    assert connection.state is State.OPEN
    assert Opcode.CLOSE not in {frame.opcode for frame in frames_in(connection.data_to_send())}


@pytest.mark.clause("W200", party="client")
def test_s7_2_1_lost_tcp_fails_the_connection() -> None:
    connection = Connection(CLIENT)
    assert connection.receive_eof() == [Closed(1006, "", clean=False)]
    with pytest.raises(ConnectionClosedError):
        connection.send_text("a")
