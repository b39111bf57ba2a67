"""RFC 9110 and RFC 9112: what HTTP demands of a server that is asked to switch protocols."""

from __future__ import annotations

from typing import Any

import pytest

from rfc6455.errors import HandshakeError
from rfc6455.handshake import ServerHandshake
from rfc6455.http import Request
from rfc6455.limits import Limits
from tests.helpers import OPENING, chunkings, head, opening

SMUGGLED = b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"


def receive(chunks: list[bytes]) -> Request | None:
    handshake = ServerHandshake(Limits())
    request = None
    for chunk in chunks:
        request = handshake.receive_data(chunk) or request
    return request


def accepted(data: bytes) -> Request:
    requests = [receive(chunks) for chunks in chunkings(data)]
    assert all(request == requests[0] for request in requests)
    assert requests[0] is not None
    return requests[0]


def refused(data: bytes) -> int:
    """The status of the refusal, which is one however reads cut the data."""
    statuses = set()
    for chunks in [*chunkings(data), [data + SMUGGLED]]:
        with pytest.raises(HandshakeError) as caught:
            receive(chunks)
        statuses.add(caught.value.status)
    assert len(statuses) == 1
    return statuses.pop()


@pytest.mark.clause("H001")
@pytest.mark.parametrize("end", [b"\n", b"\r\r\n", b"\rX: y\r\n", b"\nX: y\r\n"])
@pytest.mark.parametrize("line", ["GET / HTTP/1.1", "Host: example.com", "Upgrade: websocket"])
def test_9112_s2_2_line_ends_with_crlf(end: bytes, line: str) -> None:
    assert refused(opening().replace(line.encode() + b"\r\n", line.encode() + end)) == 400


@pytest.mark.clause("H002")
def test_9112_s2_2_empty_line_before_the_request_is_ignored() -> None:
    assert accepted(b"\r\n" + opening()) == accepted(opening())


@pytest.mark.clause("H003")
@pytest.mark.parametrize(
    "line",
    [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET / HTTP/1.1\t",
        "GET /\x0bHTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /",
        "GET",
        "GET / HTTP/1.1.1",
        "GET / HTTP/1",
        "GET / HTTPS/1.1",
    ],
)
def test_9112_s3_request_line(line: str) -> None:
    assert refused(opening(line)) == 400


@pytest.mark.clause("H005")
def test_9112_s3_2_2_absolute_form_counts_instead_of_host() -> None:
    request = accepted(opening("GET http://other.example/a?b HTTP/1.1", host="any thing"))
    assert (request.path, request.query) == ("/a", "b")
    assert refused(opening("GET http://a b/ HTTP/1.1")) == 400
    assert refused(opening("GET http://a:b/ HTTP/1.1")) == 400


@pytest.mark.clause("H006")
@pytest.mark.parametrize("name", ["X ", "X\t", " X"])
def test_9112_s5_1_white_space_around_a_name(name: str) -> None:
    assert refused(head("GET / HTTP/1.1", *OPENING, (name, "y"))) == 400


@pytest.mark.clause("H007")
@pytest.mark.parametrize("fold", ["\r\n y", "\r\n\ty", "\r\n "])
def test_9112_s5_2_folded_line(fold: str) -> None:
    assert refused(opening(x=f"a{fold}")) == 400


@pytest.mark.clause("H008", party="server")
@pytest.mark.parametrize("name", ["", "a b", "a(", 'a"', "a/b", "\xe9", "a\x7f", "[a]", "a@b"])
def test_9110_s5_1_name_is_a_token(name: str) -> None:
    assert refused(head("GET / HTTP/1.1", *OPENING, (name, "y"))) == 400


@pytest.mark.clause("H009", party="server")
@pytest.mark.parametrize("octet", [*range(0x20), 0x7F])
def test_9110_s5_5_control_characters_are_refused_but_for_the_tab(octet: int) -> None:
    data = opening(x=f"a{chr(octet)}b")
    if octet == 0x09:
        assert accepted(data).headers["X"] == "a\tb"
    else:
        assert refused(data) == 400


@pytest.mark.clause("H009", party="server")
def test_9110_s5_5_octets_beyond_ascii_are_opaque() -> None:
    value = bytes(range(0x80, 0x100)).decode("latin-1")
    assert accepted(opening(x=value)).headers["X"] == value


@pytest.mark.clause("H010")
@pytest.mark.parametrize("coding", ["chunked", "gzip, chunked", "identity"])
def test_9112_s6_1_transfer_encoding_with_content_length(coding: str) -> None:
    fields = [("Host", "a"), ("Content-Length", "5"), ("Transfer-Encoding", coding)]
    for order in (fields, fields[::-1]):
        assert refused(head("POST / HTTP/1.1", *order)) in (400, 501)


@pytest.mark.clause("H011")
@pytest.mark.parametrize(
    "length",
    ["+5", "-5", "5_0", "0x5", "5 5", "5.0", "", "x", "5, 6", "5, 5", ["5", "5"], ["5", "6"]],
)
def test_9112_s6_3_malformed_or_ambiguous_content_length(length: Any) -> None:
    assert refused(opening("POST / HTTP/1.1", upgrade=None, Content_Length=length)) == 400


@pytest.mark.clause("H012", "H010")
@pytest.mark.parametrize(
    "framing",
    [
        {"Content_Length": str(len(SMUGGLED))},
        {"Transfer_Encoding": "chunked"},
        {"Content_Length": "1", "sec_websocket_key": None},
    ],
)
def test_9112_s6_request_for_an_upgrade_has_no_body(framing: Any) -> None:
    assert refused(opening(**framing)) == 400


@pytest.mark.clause("H018")
def test_9110_s10_1_1_expectations() -> None:
    handshake = ServerHandshake(Limits())
    fields = [("Host", "a"), ("Content-Length", "1"), ("Expect", "100-continue")]
    assert handshake.receive_data(head("POST / HTTP/1.1", *fields)) is None
    assert handshake.data_to_send().startswith(b"HTTP/1.1 100 Continue\r\n")
    assert refused(opening(expect="x")) == 417
    assert refused(opening(expect=["100-continue", "x"])) == 417


@pytest.mark.clause("H016", "H018")
def test_9110_s15_2_no_interim_answer_to_http_1_0() -> None:
    handshake = ServerHandshake(Limits())
    fields = [("Host", "a"), ("Content-Length", "1"), ("Expect", "100-continue")]
    assert handshake.receive_data(head("POST / HTTP/1.0", *fields)) is None
    assert handshake.data_to_send() == b""


@pytest.mark.clause("H018")
def test_9110_s10_1_1_expectation_of_a_request_that_opens_is_answered_by_the_101() -> None:
    handshake = ServerHandshake(Limits())
    assert handshake.receive_data(opening(expect="100-continue")) is not None
    assert handshake.data_to_send() == b""
    assert handshake.accept()[0].startswith(b"HTTP/1.1 101 ")
