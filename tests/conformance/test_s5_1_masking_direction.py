"""RFC 6455 §5.1: who masks, and when data may be sent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rfc6455.close import CloseCode
from rfc6455.connection import Connection, Role
from rfc6455.errors import ConnectionClosed
from rfc6455.frames import Opcode, decode_header
from tests.helpers import CLIENT, SERVER, assert_fails, both_roles, deliver, peer_frame

FRAMES = [
    (Opcode.TEXT, b""),
    (Opcode.TEXT, b"Hello"),
    (Opcode.BINARY, bytes(126)),
    (Opcode.BINARY, bytes(65536)),
    (Opcode.PING, b""),
    (Opcode.PONG, b"Hello"),
    (Opcode.CLOSE, b"\x03\xe8"),
]
EACH_FRAME = pytest.mark.parametrize(
    ("opcode", "payload"), FRAMES, ids=[f"{len(payload)}-byte {o.name}" for o, payload in FRAMES]
)


def everything_sent(role: Role) -> list[bytes]:
    """One of each frame that a connection sends."""
    connection = Connection(role)
    sent = []
    steps: list[Callable[[], object]] = [
        lambda: connection.send_text("Hello"),
        lambda: connection.send_text(""),
        lambda: connection.send_text("a", final=False),
        lambda: connection.send_text("b"),
        lambda: connection.send_binary(bytes(70_000)),
        connection.send_ping,
        connection.send_pong,
        lambda: connection.receive_data(peer_frame(role, Opcode.PING, b"x")),
        connection.close,
    ]
    for step in steps:
        step()
        sent.append(connection.data_to_send())
    return sent


@pytest.mark.clause("W099", "W112", "W119", "W145", "W171", party="client")
def test_s5_1_client_masks_every_frame() -> None:
    for data in everything_sent(CLIENT):
        assert decode_header(data, masked=True) is not None


@pytest.mark.clause("W100", party="client")
def test_s5_1_client_masks_whatever_the_transport_is() -> None:
    # A connection does not know whether TLS is under it: there is nothing to switch masking off.
    assert all(data[1] & 0x80 for data in everything_sent(CLIENT))


@pytest.mark.clause("W103", "W112", party="server")
def test_s5_1_server_masks_no_frame() -> None:
    for data in everything_sent(SERVER):
        assert decode_header(data, masked=False) is not None


@pytest.mark.clause("W101", "W102", party="server")
@EACH_FRAME
def test_s5_1_unmasked_frame_fails_a_server_1002(opcode: Opcode, payload: bytes) -> None:
    assert_fails(peer_frame(CLIENT, opcode, payload)[:200], CloseCode.PROTOCOL_ERROR, "5.1", SERVER)


@pytest.mark.clause("W104", "W105", party="client")
@EACH_FRAME
def test_s5_1_masked_frame_fails_a_client_1002(opcode: Opcode, payload: bytes) -> None:
    assert_fails(peer_frame(SERVER, opcode, payload)[:200], CloseCode.PROTOCOL_ERROR, "5.1", CLIENT)


@pytest.mark.clause("W101", "W104")
@both_roles
def test_s5_1_direction_is_judged_from_the_second_byte(role: Role) -> None:
    second = 0x05 if role is SERVER else 0x85
    assert_fails(bytes([0x81, second]), CloseCode.PROTOCOL_ERROR, "5.1", role)


@pytest.mark.clause("W106", "W165", "W166")
@both_roles
def test_s5_1_data_may_be_sent_until_ones_own_close(role: Role) -> None:
    connection = Connection(role)
    connection.send_text("a")
    connection.receive_data(peer_frame(role, Opcode.CLOSE))
    connection.send_text("b")
    connection.close()
    with pytest.raises(ConnectionClosed):
        connection.send_text("c")


@pytest.mark.clause("W106", "W178")
@both_roles
def test_s5_1_data_is_accepted_from_the_first_byte(role: Role) -> None:
    assert deliver(peer_frame(role, Opcode.TEXT, b"Hello"), role).events == ["Hello"]
