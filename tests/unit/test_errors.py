"""The errors: one root, who is to blame, and what the peer is told."""

from __future__ import annotations

import pytest

from rfc6455.close import Close, CloseCode
from rfc6455.errors import (
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    HandshakeError,
    ProtocolError,
    UsageError,
    WebSocketError,
    connection_closed,
)


@pytest.mark.parametrize(
    "error", [UsageError, ProtocolError, HandshakeError, ConnectionClosedOK, ConnectionClosedError]
)
def test_one_root(error: type[Exception]) -> None:
    assert issubclass(error, WebSocketError)


def test_misuse_is_a_value_error() -> None:
    assert issubclass(UsageError, ValueError)


def test_protocol_error_tells_code_reason_and_section() -> None:
    error = ProtocolError(CloseCode.PROTOCOL_ERROR, "frame is masked", "5.1")
    assert str(error) == "frame is masked (RFC 6455 §5.1)"
    assert (error.code, error.reason, error.section) == (1002, "frame is masked", "5.1")


def test_breach_of_a_limit_has_no_section() -> None:
    error = ProtocolError(CloseCode.POLICY_VIOLATION, "too many fragments")
    assert str(error) == "too many fragments"
    assert error.section == ""


def test_handshake_error_tells_status_and_headers() -> None:
    error = HandshakeError("no", 405, [("Allow", "GET")])
    assert (str(error), error.status, error.headers) == ("no", 405, (("Allow", "GET"),))
    assert (HandshakeError("no").status, HandshakeError("no").headers) == (0, ())


@pytest.mark.parametrize("code", [1000, 1001, 1005])
def test_closed_as_agreed(code: int) -> None:
    error = connection_closed(Close(code), Close(code))
    assert isinstance(error, ConnectionClosedOK)
    assert (error.code, error.reason) == (code, "")


@pytest.mark.parametrize("code", [1002, 1007, 1011, 1012, 3000, 4999])
def test_closed_with_another_code(code: int) -> None:
    error = connection_closed(Close(code, "why"), None)
    assert isinstance(error, ConnectionClosedError)
    assert (error.code, error.reason) == (code, "why")


def test_lost_without_a_close_is_1006() -> None:
    error = connection_closed(None, Close(1000))
    assert isinstance(error, ConnectionClosedError)
    assert (error.code, error.reason) == (1006, "")
    assert (error.received, error.sent) == (None, Close(1000))


def test_messages_of_closed_connections() -> None:
    assert str(ConnectionClosed(Close(1000), Close(1000))) == (
        "received 1000 normal closure; sent 1000 normal closure"
    )
    assert str(ConnectionClosed(None, None)) == "no Close received; sent None"
