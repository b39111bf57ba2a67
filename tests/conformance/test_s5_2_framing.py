"""RFC 6455 §5.2: the frame."""

from __future__ import annotations

import pytest

from rfc6455.close import CloseCode
from rfc6455.connection import Connection, Role
from rfc6455.frames import Opcode
from rfc6455.limits import Limits
from tests.helpers import (
    Failure,
    assert_fails,
    both_roles,
    deliver,
    frames_in,
    header,
    peer_frame,
    run,
)

OFF = Limits(max_message_size=None)
WIDTHS = {0: 1, 1: 1, 125: 1, 126: 3, 127: 3, 65535: 3, 65536: 9, 65537: 9}
"""Payload lengths, and the bytes that their shortest form takes."""


@pytest.mark.clause("W107", "W108", "W114", "W116", "W125", "W173", "W178")
@both_roles
@pytest.mark.parametrize("length", WIDTHS)
def test_s5_2_length_in_its_shortest_form_is_read(role: Role, length: int) -> None:
    payload = bytes(i % 251 for i in range(length))
    assert deliver(peer_frame(role, Opcode.BINARY, payload), role).events == [payload]


@pytest.mark.clause("W107", "W114", "W115", "W116", "W167", "W172")
@both_roles
@pytest.mark.parametrize(("length", "width"), WIDTHS.items())
def test_s5_2_length_is_written_in_its_shortest_form(role: Role, length: int, width: int) -> None:
    connection = Connection(role)
    connection.send_binary(bytes(length))
    data = connection.data_to_send()
    assert len(data) == 1 + width + (4 if role is Role.CLIENT else 0) + length
    (frame,) = frames_in(data)
    assert (frame.fin, frame.rsv, frame.opcode) == (True, 0, Opcode.BINARY)
    assert frame.payload == bytes(length)


@pytest.mark.clause("W115", "W240")
@both_roles
@pytest.mark.parametrize(
    "length",
    [
        "7e 0000",
        "7e 0005",
        "7e 007d",
        "7f 0000000000000000",
        "7f 000000000000007e",
        "7f 000000000000ffff",
    ],
)
def test_s5_2_length_in_a_longer_form_fails_1002(role: Role, length: str) -> None:
    data = header(role, 0x82, bytes.fromhex(length))
    assert_fails(data, CloseCode.PROTOCOL_ERROR, "5.2", role)


@pytest.mark.clause("W113")
@both_roles
@pytest.mark.parametrize("length", ["7f 8000000000000000", "7f ffffffffffffffff", "7f 80"])
def test_s5_2_highest_bit_of_a_64_bit_length_fails_1002(role: Role, length: str) -> None:
    data = header(role, 0x82, bytes.fromhex(length))
    assert_fails(data, CloseCode.PROTOCOL_ERROR, "5.2", role, limits=OFF)


@pytest.mark.clause("W113", "W235")
@both_roles
def test_s5_2_largest_length_is_legal(role: Role) -> None:
    data = header(role, 0x82, bytes.fromhex("7f 7fffffffffffffff"))
    assert run([data], role, limits=OFF).events == []
    assert run([data], role).events == [Failure(CloseCode.MESSAGE_TOO_BIG)]


@pytest.mark.clause("W110", "W240")
@both_roles
@pytest.mark.parametrize("fin", [0x00, 0x80])
@pytest.mark.parametrize("rsv", [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70])
@pytest.mark.parametrize("opcode", [0, 1, 2, 8, 9, 10])
def test_s5_2_reserved_bit_without_an_extension_fails_1002(
    role: Role, fin: int, rsv: int, opcode: int
) -> None:
    data = header(role, fin | rsv | opcode, b"\x00")
    assert_fails(data, CloseCode.PROTOCOL_ERROR, "5.2", role)


@pytest.mark.clause("W109")
@both_roles
def test_s5_2_reserved_bits_are_sent_as_zero(role: Role) -> None:
    connection = Connection(role)
    connection.send_text("a" * 2000, compress=True)
    connection.send_ping()
    connection.send_pong()
    connection.close()
    assert [frame.rsv for frame in frames_in(connection.data_to_send())] == [0, 0, 0, 0]


@pytest.mark.clause("W111")
@both_roles
@pytest.mark.parametrize("fin", [0x00, 0x80])
@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_s5_2_unknown_opcode_fails_1002(role: Role, fin: int, opcode: int) -> None:
    data = header(role, fin | opcode, b"\x00")
    assert_fails(data, CloseCode.PROTOCOL_ERROR, "5.2", role)


@pytest.mark.clause("W107")
@both_roles
@pytest.mark.parametrize("first", [0xFF, 0xC1, 0x83, 0x08, 0x8B, 0x0F])
def test_s5_2_first_byte_alone_fails(role: Role, first: int) -> None:
    assert isinstance(run([bytes([first])], role).events[0], Failure)


@pytest.mark.clause("W112", "W116")
@both_roles
def test_s5_2_masking_key_is_there_when_mask_is_set(role: Role) -> None:
    data = peer_frame(role, Opcode.BINARY, b"ab")
    assert len(data) == (8 if role is Role.SERVER else 4)
    assert deliver(data, role).events == [b"ab"]
