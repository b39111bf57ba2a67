"""RFC 6455 §5.5: control frames."""

from __future__ import annotations

import pytest

from rfc6455.close import Close, CloseCode
from rfc6455.connection import Connection, Role
from rfc6455.errors import ConnectionClosed, UsageError
from rfc6455.events import Ping, Pong
from rfc6455.frames import Frame, Opcode
from rfc6455.state import State
from tests.helpers import assert_fails, both_roles, deliver, frames_in, header, peer_frame, run

CONTROL = pytest.mark.parametrize("opcode", [Opcode.CLOSE, Opcode.PING, Opcode.PONG])


# 5.5: all of them


@pytest.mark.clause("W139")
@both_roles
@CONTROL
@pytest.mark.parametrize("length", ["7e 007e", "7e ffff", "7f 0000000000010000", "7e", "7f"])
def test_s5_5_control_frame_over_125_bytes_fails_1002(
    role: Role, opcode: Opcode, length: str
) -> None:
    data = header(role, 0x80 | opcode, bytes.fromhex(length))
    assert_fails(data, CloseCode.PROTOCOL_ERROR, "5.5", role)
    assert_fails(data[:2], CloseCode.PROTOCOL_ERROR, "5.5", role)


@pytest.mark.clause("W139", "W155", "W159")
@both_roles
@pytest.mark.parametrize("size", [0, 1, 124, 125])
def test_s5_5_control_frame_of_up_to_125_bytes(role: Role, size: int) -> None:
    payload = bytes(range(size))
    assert deliver(peer_frame(role, Opcode.PONG, payload), role).events == [Pong(payload)]
    outcome = deliver(peer_frame(role, Opcode.PING, payload), role)
    assert outcome.events == [Ping(payload)]
    assert outcome.sent == [Frame(Opcode.PONG, payload)]


@pytest.mark.clause("W128", "W140")
@both_roles
@CONTROL
def test_s5_5_fragmented_control_frame_fails_1002(role: Role, opcode: Opcode) -> None:
    data = peer_frame(role, opcode, b"", fin=False)
    assert_fails(data, CloseCode.PROTOCOL_ERROR, "5.5", role)
    first = peer_frame(role, Opcode.TEXT, b"a", fin=False)
    assert_fails(first + data, CloseCode.PROTOCOL_ERROR, "5.5", role)


@pytest.mark.clause("W139")
@both_roles
def test_s5_5_control_frame_over_125_bytes_is_never_sent(role: Role) -> None:
    connection = Connection(role)
    for send in (connection.send_ping, connection.send_pong):
        with pytest.raises(UsageError):
            send(bytes(126))
    with pytest.raises(UsageError):
        connection.close(1000, "x" * 124)
    assert connection.data_to_send() == b""


# 5.5.1: Close


@pytest.mark.clause("W141", "W142", "W143", "W147", "W148")
@both_roles
@pytest.mark.parametrize(
    ("payload", "close"),
    [
        (b"", Close(1005)),
        (b"\x03\xe8", Close(1000)),
        (b"\x0f\xa0", Close(4000)),
        (b"\x03\xe9bye", Close(1001, "bye")),
        (b"\x03\xe8" + "é".encode() * 61 + b"e", Close(1000, "é" * 61 + "e")),
    ],
)
def test_s5_5_1_close_is_answered_with_its_code(role: Role, payload: bytes, close: Close) -> None:
    outcome = deliver(peer_frame(role, Opcode.CLOSE, payload), role)
    assert outcome.events == [close]
    assert outcome.sent == [Frame(Opcode.CLOSE, payload[:2])]
    assert outcome.state is State.CLOSE_EXCHANGED


@pytest.mark.clause("W142")
@both_roles
@pytest.mark.parametrize("payload", [b"\x00", b"\x03", b"\xff"])
def test_s5_5_1_close_with_one_byte_fails_1002(role: Role, payload: bytes) -> None:
    data = peer_frame(role, Opcode.CLOSE, payload)
    assert_fails(data, CloseCode.PROTOCOL_ERROR, "7.4", role)


@pytest.mark.clause("W143", "W218")
@both_roles
@pytest.mark.parametrize("reason", [b"\xff", b"a\x80", b"\xe2\x82", b"\xed\xa0\x80", b"\xc0\x80"])
def test_s5_5_1_reason_that_is_not_utf8_fails_1007(role: Role, reason: bytes) -> None:
    data = peer_frame(role, Opcode.CLOSE, b"\x03\xe8" + reason)
    assert_fails(data, CloseCode.INVALID_PAYLOAD_DATA, "8.1", role)


@pytest.mark.clause("W144", party="client")
def test_s5_5_1_reason_is_kept_apart_from_what_is_shown() -> None:
    # The reason comes escaped in messages of errors: what is logged cannot forge a line.
    connection = Connection(Role.CLIENT)
    connection.receive_data(peer_frame(Role.CLIENT, Opcode.CLOSE, b"\x03\xe8a\nb"))
    connection.answer_close()
    with pytest.raises(ConnectionClosed) as caught:
        connection.send_ping()
    assert caught.value.reason == "a\nb"
    assert "\n" not in str(caught.value)


@pytest.mark.clause("W146", "W165")
@both_roles
def test_s5_5_1_no_data_after_our_close(role: Role) -> None:
    connection = Connection(role)
    connection.close()
    connection.data_to_send()
    for send in (connection.send_binary, connection.send_ping, connection.send_pong):
        with pytest.raises(ConnectionClosed):
            send(b"a")
    with pytest.raises(ConnectionClosed):
        connection.send_text("a")
    assert connection.data_to_send() == b""


@pytest.mark.clause("W146", "W166")
@both_roles
def test_s5_5_1_close_ends_a_message_that_is_being_sent(role: Role) -> None:
    connection = Connection(role)
    connection.send_text("a", final=False)
    connection.close()
    with pytest.raises(ConnectionClosed):
        connection.send_text("b")
    frames = frames_in(connection.data_to_send())
    assert [frame.opcode for frame in frames] == [Opcode.TEXT, Opcode.CLOSE]


@pytest.mark.clause("W149")
@both_roles
def test_s5_5_1_answer_may_wait_for_the_end_of_a_message(role: Role) -> None:
    connection = Connection(role)
    connection.send_text("a", final=False)
    connection.receive_data(peer_frame(role, Opcode.CLOSE))
    connection.send_text("b")
    connection.answer_close()
    frames = frames_in(connection.data_to_send())
    assert [frame.opcode for frame in frames] == [Opcode.TEXT, Opcode.CONTINUATION, Opcode.CLOSE]


@pytest.mark.clause("W147", "W189", "W190")
@both_roles
def test_s5_5_1_nothing_after_the_peers_close_counts(role: Role) -> None:
    close = peer_frame(role, Opcode.CLOSE, b"\x03\xe8first")
    other = peer_frame(role, Opcode.CLOSE, b"\x03\xe9second")
    for more in (other, peer_frame(role, Opcode.TEXT, b"a"), b"\xff"):
        outcome = deliver(close + more, role)
        assert outcome.events == [Close(1000, "first")]
        assert outcome.sent == [Frame(Opcode.CLOSE, b"\x03\xe8")]


# 5.5.2: Ping


@pytest.mark.clause("W156", "W157", "W159", "W174")
@both_roles
def test_s5_5_2_ping_is_answered_at_once_with_its_payload(role: Role) -> None:
    payloads = [b"", b"a", b"\xff\x00", bytes(125)]
    pings = [peer_frame(role, Opcode.PING, payload) for payload in payloads]
    outcome = deliver(b"".join(pings), role)
    assert outcome.events == [Ping(payload) for payload in payloads]
    assert outcome.sent == [Frame(Opcode.PONG, payload) for payload in payloads]


@pytest.mark.clause("W156")
@both_roles
def test_s5_5_2_ping_is_answered_after_our_close_and_before_the_peers(role: Role) -> None:
    ping, close = peer_frame(role, Opcode.PING, b"p"), peer_frame(role, Opcode.CLOSE)
    outcome = deliver(ping, role, prepare=Connection.close)
    assert [frame.opcode for frame in outcome.sent] == [Opcode.CLOSE, Opcode.PONG]
    outcome = deliver(close + ping, role)
    assert [frame.opcode for frame in outcome.sent] == [Opcode.CLOSE]


@pytest.mark.clause("W155", "W158")
@both_roles
def test_s5_5_2_ping_may_be_sent_while_open(role: Role) -> None:
    connection = Connection(role)
    connection.send_ping()
    connection.send_ping(b"Hello")
    assert frames_in(connection.data_to_send()) == [
        Frame(Opcode.PING, b""),
        Frame(Opcode.PING, b"Hello"),
    ]


# 5.5.3: Pong


@pytest.mark.clause("W160")
@both_roles
def test_s5_5_3_latest_ping_alone_may_be_answered(role: Role) -> None:
    connection = Connection(role)
    connection.send_text("held up")
    for payload in (b"a", b"b", b"c"):
        connection.receive_data(peer_frame(role, Opcode.PING, payload))
    frames = frames_in(connection.data_to_send())
    assert frames == [Frame(Opcode.TEXT, b"held up"), Frame(Opcode.PONG, b"c")]


@pytest.mark.clause("W161")
@both_roles
def test_s5_5_3_unsolicited_pong_is_sent_and_not_answered(role: Role) -> None:
    connection = Connection(role)
    connection.send_pong(b"a")
    assert frames_in(connection.data_to_send()) == [Frame(Opcode.PONG, b"a")]
    outcome = deliver(peer_frame(role, Opcode.PONG, b"b"), role)
    assert outcome.events == [Pong(b"b")]
    assert outcome.sent == []


@pytest.mark.clause("W131", "W139")
@both_roles
def test_s5_5_control_frames_do_not_count_as_data(role: Role) -> None:
    data = peer_frame(role, Opcode.PING, b"\xff") + peer_frame(role, Opcode.TEXT, b"a")
    assert run([data], role).events == [Ping(b"\xff"), "a"]
