"""What fuzzing has found, as tests that say what was wrong."""

from __future__ import annotations

import pytest

from rfc6455 import HandshakeError, Limits, UsageError
from rfc6455.handshake import ServerHandshake
from rfc6455.http import error_response
from rfc6455.uri import parse_uri


@pytest.mark.parametrize(
    "head",
    [
        b"HEAD / HTTP/1.1\r\nHost: @a\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n",
        b"HEAD / HTTP/2.0\r\nHost: a\r\n\r\n",
    ],
)
def test_refused_head_request_is_answered_without_a_body(head: bytes) -> None:
    """Refused before it became a `Request`, it was answered with a body, which h11 forbids."""
    handshake = ServerHandshake(Limits())
    with pytest.raises(HandshakeError) as caught:
        handshake.receive_data(head)
    response = error_response(caught.value)
    answer = handshake.respond(response)
    assert answer.endswith(b"\r\n\r\n")
    assert answer.count(b"\r\n\r\n") == 1
    assert b"\r\ncontent-length: %d\r\n" % len(response.body) in answer.lower()


@pytest.mark.parametrize("uri", ["ws://a%/", "ws://a%2/", "ws://%zz/", "ws://a\u00e2%/"])
def test_percent_sign_in_a_host_stands_before_two_hexadecimal_digits(uri: str) -> None:
    """It was let into the Host field, where our own server refuses it."""
    with pytest.raises(UsageError):
        parse_uri(uri)
