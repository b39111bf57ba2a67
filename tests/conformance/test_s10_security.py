"""RFC 6455 §9, §10.4 and §10.7: limits, validation, and extensions that were not agreed on."""

from __future__ import annotations

import pytest

from rfc6455.close import CloseCode
from rfc6455.connection import Connection, Role
from rfc6455.errors import HandshakeError
from rfc6455.extensions import PermessageDeflate
from rfc6455.frames import Opcode
from rfc6455.handshake import ServerHandshake
from rfc6455.http import error_response
from rfc6455.limits import Limits
from tests.helpers import (
    Failure,
    assert_fails,
    both_roles,
    deliver,
    frames_in,
    head,
    header,
    opening,
    peer_frame,
    run,
)


@pytest.mark.clause("W235", "W236", "W215")
@both_roles
@pytest.mark.parametrize("limit", [0, 1, 125, 126, 65535, 65536])
def test_s10_4_message_over_the_limit_fails_1009_from_its_header(role: Role, limit: int) -> None:
    limits = Limits(max_message_size=limit)
    for size in {0, limit // 2, limit}:
        frame = peer_frame(role, Opcode.BINARY, bytes(size))
        assert run([frame], role, limits=limits).events == [bytes(size)]
    frame = peer_frame(role, Opcode.BINARY, bytes(limit + 1))
    start = frame[: len(frame) - limit - 1]
    assert_fails(start, CloseCode.MESSAGE_TOO_BIG, "", role, limits=limits)
    off = Limits(max_message_size=None)
    assert run([frame], role, limits=off).events == [bytes(limit + 1)]


@pytest.mark.clause("W235", "W236")
@both_roles
def test_s10_4_fragments_count_together(role: Role) -> None:
    limits = Limits(max_message_size=10)
    first = peer_frame(role, Opcode.BINARY, bytes(6), fin=False)
    fits = peer_frame(role, Opcode.CONTINUATION, bytes(4))
    assert deliver(first + fits, role, limits=limits).events == [bytes(10)]
    too_much = header(role, 0x80, b"\x05")
    assert_fails(first + too_much, CloseCode.MESSAGE_TOO_BIG, "", role, limits=limits)


@pytest.mark.clause("W235", "W215")
@both_roles
@pytest.mark.parametrize("limit", [1, 2, 1024])
def test_s10_4_too_many_fragments_fail_1008(role: Role, limit: int) -> None:
    limits = Limits(max_fragments=limit)
    first = peer_frame(role, Opcode.BINARY, fin=False)
    more = peer_frame(role, Opcode.CONTINUATION, fin=False) * (limit - 2)
    last = peer_frame(role, Opcode.CONTINUATION)
    if limit > 1:
        assert run([first + more + last], role, limits=limits).events == [b""]
        data = first + more + peer_frame(role, Opcode.CONTINUATION, fin=False) + last
    else:
        data = first + last
    assert run([data], role, limits=limits).events == [Failure(CloseCode.POLICY_VIOLATION)]
    off = Limits(max_fragments=None)
    assert run([data], role, limits=off).events == [b""]


@pytest.mark.clause("W235")
@both_roles
def test_s10_4_limits_are_on_by_default(role: Role) -> None:
    data = header(role, 0x82, b"\x7f" + (1024 * 1024 + 1).to_bytes(8, "big"))
    assert run([data], role).events == [Failure(CloseCode.MESSAGE_TOO_BIG)]


@pytest.mark.clause("W060", "W240", "W243", party="server")
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", 400),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n", 400),
        (b"EHLO a.example\r\n\r\n", 400),
        (b"\x00\x01\x02\r\n", 400),
        (head("GET /" + "a" * 9000 + " HTTP/1.1"), 414),
        (opening(cookie="a" * 9000), 431),
        (opening(sec_websocket_version="8"), 426),
    ],
)
def test_s10_7_unexpected_handshake_is_answered_with_a_status(data: bytes, status: int) -> None:
    handshake = ServerHandshake(Limits())
    with pytest.raises(HandshakeError) as caught:
        accept(handshake, data)
    answer = handshake.respond(error_response(caught.value))
    assert answer.startswith(b"HTTP/1.1 %d " % status)


def accept(handshake: ServerHandshake, data: bytes) -> None:
    handshake.receive_data(data)
    handshake.accept()


@pytest.mark.clause("W164", "W109", "W118")
@both_roles
def test_s5_8_extensions_are_those_of_the_opening_handshake(role: Role) -> None:
    # A connection gets its extensions when it is made, and there is no way to add one.
    connection = Connection(role)
    assert connection.extensions == ()
    connection.send_text("a" * 10_000, compress=True)
    assert [frame.rsv for frame in frames_in(connection.data_to_send())] == [0]


@pytest.mark.clause("W228", "W220", "W222", "W225", "W226", party="server")
def test_s9_1_order_of_the_request_is_the_clients_preference() -> None:
    offers = "permessage-deflate; server_max_window_bits=9, permessage-deflate"
    handshake = ServerHandshake(Limits())
    handshake.receive_data(opening(sec_websocket_extensions=offers))
    answer, extensions = handshake.accept(extensions=[PermessageDeflate()])
    assert b"server_max_window_bits=9" in answer
    assert len(extensions) == 1
