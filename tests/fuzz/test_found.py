"""What fuzzing has found, as tests that say what was wrong."""

from __future__ import annotations

import pytest

from rfc6455 import HandshakeError, Limits, UsageError
from rfc6455.handshake import ServerHandshake
from rfc6455.http import HeadReader, error_response
from rfc6455.proxy import parse_proxy
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


def feed(limits: Limits, *parts: bytes) -> str:
    """Returns what a reader says of a head: its error, or that there is none."""
    reader = HeadReader(limits)
    try:
        for part in parts:
            reader.feed(part)
    except HandshakeError as error:
        return f"{error.status} {error}"
    return "no error"


@pytest.mark.parametrize(
    ("head", "verdict"),
    [
        (b"GET /1234567 HTTP/1.1\r\n", "no error"),
        (b"GET /12345678 HTTP/1.1\r\n", "414 start line is too long"),
        (b"GET /1234567 HTTP/1.1\rX\n", "414 start line is too long"),
        (b"GET /12345678 HTTP/1.1\n", "414 start line is too long"),
        (b"GET / HTTP/1.1\r\nX: 4567890123456789\r\n", "no error"),
        (b"GET / HTTP/1.1\r\nX: 45678901234567890\r\n", "431 header line is too long"),
        (b"GET / HTTP/1.1\r\nX: 4567890123456789\r\nY: 45678901234\r\n", "431 head is too large"),
        (
            b"GET / HTTP/1.1\r\nX: 456789012345678\r\nY: 45678901234\r\n\r\n",
            "431 head is too large",
        ),
        (
            b"GET / HTTP/1.1\r\nX: 4567890\r\nY: 45678901234567890123456789",
            "431 header line is too long",
        ),
        (
            b"GET / HTTP/1.1\r\nX: 456789012345\r\nY: 45678901234567890123456",
            "431 head is too large",
        ),
        (b"GET / HTTP/1.1\r\nX: 4567890123456\r\nY: 4567890123456\rZ\n", "431 head is too large"),
        (
            b"GET / HTTP/1.1\r\nX: 4567890123\r\nY: 45678901234567890",
            "431 head is too large",
        ),
        (
            b"GET / HTTP/1.1\r\nX: 4567890123\r\nY: 4567890123456789\rZ\n",
            "431 head is too large",
        ),
        (
            b"GET / HTTP/1.1\r\nX: 456789012\r\nY: 4567890123456789\r\n",
            "431 head is too large",
        ),
    ],
)
def test_limits_of_a_head_do_not_depend_on_the_cut(head: bytes, verdict: str) -> None:
    """A line at its limit was too long when a read ended between CR and LF; and of two limits that
    a line breaks, it was the cut that settled which status told of it.
    """
    limits = Limits(max_request_line_size=21, max_header_line_size=19, max_head_size=50)
    assert feed(limits, head) == verdict
    assert feed(limits, *(head[i : i + 1] for i in range(len(head)))) == verdict
    for cut in range(len(head)):
        assert feed(limits, head[:cut], head[cut:]) == verdict


def test_the_password_of_a_proxy_that_should_have_been_encoded_is_not_told() -> None:
    """A number sign in it ended what was taken for credentials, and the rest stood in the error."""
    with pytest.raises(UsageError) as caught:
        parse_proxy("http://user:pass#word@proxy.example")
    assert "word@" not in str(caught.value)
