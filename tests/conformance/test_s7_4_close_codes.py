"""RFC 6455 §7.4 and §11.7: close codes."""

from __future__ import annotations

import pytest

from rfc6455.close import Close, CloseCode
from rfc6455.connection import Connection, Role
from rfc6455.errors import UsageError
from rfc6455.frames import Frame, Opcode
from tests.helpers import assert_fails, both_roles, deliver, frames_in, peer_frame

VALID = [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3500, 3999, 4000, 4500, 4999]
INVALID = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 9999, 65535]


@pytest.mark.clause("W142", "W147", "W209", "W214", "W217", "W255")
@both_roles
@pytest.mark.parametrize("code", VALID)
def test_s7_4_valid_code_is_taken_and_echoed(role: Role, code: int) -> None:
    outcome = deliver(peer_frame(role, Opcode.CLOSE, code.to_bytes(2, "big") + b"why"), role)
    assert outcome.events == [Close(code, "why")]
    assert outcome.sent == [Frame(Opcode.CLOSE, code.to_bytes(2, "big"))]


@pytest.mark.clause("W208", "W209", "W214", "W217", "W255")
@both_roles
@pytest.mark.parametrize("code", VALID)
def test_s7_4_valid_code_can_be_sent(role: Role, code: int) -> None:
    connection = Connection(role)
    connection.close(code, "why")
    frame = Frame(Opcode.CLOSE, code.to_bytes(2, "big") + b"why")
    assert frames_in(connection.data_to_send()) == [frame]


@pytest.mark.clause("W210", "W211", "W212", "W213", "W217", "W240", "W255")
@both_roles
@pytest.mark.parametrize("code", INVALID)
def test_s7_4_invalid_code_fails_1002(role: Role, code: int) -> None:
    for reason in (b"", b"why"):
        data = peer_frame(role, Opcode.CLOSE, code.to_bytes(2, "big") + reason)
        assert_fails(data, CloseCode.PROTOCOL_ERROR, "7.4", role)


@pytest.mark.clause("W210", "W211", "W212", "W213", "W217", "W255")
@both_roles
@pytest.mark.parametrize("code", INVALID)
def test_s7_4_invalid_code_is_never_sent(role: Role, code: int) -> None:
    connection = Connection(role)
    with pytest.raises(UsageError):
        connection.close(code, "why")
    assert connection.data_to_send() == b""


@pytest.mark.clause("W210")
@both_roles
def test_s7_4_1_1005_stands_for_no_code_on_the_wire(role: Role) -> None:
    connection = Connection(role)
    connection.close(CloseCode.NO_STATUS_RECEIVED)
    assert frames_in(connection.data_to_send()) == [Frame(Opcode.CLOSE, b"")]


@pytest.mark.clause("W215")
def test_s7_4_1_meanings() -> None:
    assert CloseCode(1007) is CloseCode.INVALID_PAYLOAD_DATA
    assert CloseCode(1008) is CloseCode.POLICY_VIOLATION
    assert CloseCode(1009) is CloseCode.MESSAGE_TOO_BIG
    assert CloseCode(1011) is CloseCode.INTERNAL_ERROR
