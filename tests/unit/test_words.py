"""The words of every refusal: a peer reads them in a Close or in an answer, a person in a log.

That these things are refused, and with which code, is proven where their rules are; here is what
is said of them.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from typing import Any

import pytest

from rfc6455 import Close, Headers, Limits, PermessageDeflate, Response, UsageError
from rfc6455.codec import Decoder
from rfc6455.errors import HandshakeError
from rfc6455.events import Fault
from rfc6455.extensions import Extension, ExtensionFactory, Parameters
from rfc6455.handshake import ClientHandshake, ServerHandshake, accept_key
from rfc6455.headers import basic_credentials, parse_extensions, parse_tokens
from rfc6455.uri import parse_uri
from tests.helpers import NONCE, head, opening
from tests.negotiation import judge_answer


def exactly(words: str) -> str:
    return rf"^{re.escape(words)}\Z"


def deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.mark.parametrize(
    ("data", "code", "section", "reason"),
    [
        (b"\xa1", 1002, "5.2", "reserved bit set without an extension that defines it"),
        (b"\x83", 1002, "5.2", "unknown opcode 0x3"),
        (b"\x8f", 1002, "5.2", "unknown opcode 0xf"),
        (b"\x09", 1002, "5.5", "fragmented control frame"),
        (b"\x81\x80", 1002, "5.1", "frame is masked"),
        (b"\x89\x7e", 1002, "5.5", "control frame payload is longer than 125 bytes"),
        (b"\x82\x7f\x80", 1002, "5.2", "most significant bit of the 64-bit length is set"),
        (b"\x82\x7e\x00\x7d", 1002, "5.2", "payload length is not in its shortest form"),
        (b"\x01\x00\xc0\x00", 1002, "5.2", "reserved bit set on a frame that starts no message"),
        (b"\x80\x00", 1002, "5.4", "continuation frame without a message to continue"),
        (b"\x01\x00\x81\x00", 1002, "5.4", "new message inside a fragmented message"),
        (b"\x81\x01\xff", 1007, "8.1", "text message is not valid UTF-8"),
        (b"\x01\x01\xff", 1007, "8.1", "text message is not valid UTF-8"),
        (b"\x88\x03\x03\xe8\xff", 1007, "8.1", "close reason is not valid UTF-8"),
        (b"\x88\x01\x03", 1002, "7.4", "a Close payload of one byte has no room for a code"),
        (b"\x88\x02\x03\xed", 1002, "7.4", "close code 1005 must not travel"),
        (b"\x01\x00\x00\x00\x00\x00", 1008, "", "too many fragments in a message"),
        (b"\x82\x7e\x07\xd1", 1009, "", "message is larger than 2000 bytes"),
        (b"\xc2\x00", 1007, "", "compressed message without a block"),
        (b"\xc2\x01\xff", 1007, "", "compressed message is not valid DEFLATE data"),
        (
            b"\xc2" + bytes([len(deflate(bytes(2001)))]) + deflate(bytes(2001)),
            *(1009, "", "message is too large when inflated"),
        ),
        (b"\xc2\x7e\x08\x02" + b"\x03\x00" * 1025, 1008, "", "too many final blocks"),
    ],
)
def test_faults_of_frames(data: bytes, code: int, section: str, reason: str) -> None:
    extension = PermessageDeflate().confirm([])
    decoder = Decoder(masked=False, max_message_size=2000, max_fragments=2, extensions=[extension])
    (event,) = decoder.receive_data(data)
    assert isinstance(event, Fault)
    error = event.error
    assert (error.code, error.section, error.reason) == (code, section, reason)
    assert str(error) == (f"{reason} (RFC 6455 §{section})" if section else reason)


def test_fault_of_a_frame_that_is_not_masked() -> None:
    (event,) = Decoder(masked=True).receive_data(b"\x81\x00")
    assert isinstance(event, Fault)
    assert event.error.reason == "frame is not masked"


@pytest.mark.parametrize(
    ("close", "words"),
    [
        (Close(1006), "a Close frame must not carry code 1006"),
        (Close(1000, "é" * 62), "the close reason is 124 bytes long; 123 is the most"),
    ],
)
def test_close_that_cannot_be_sent(close: Close, words: str) -> None:
    with pytest.raises(ValueError, match=exactly(words)):
        close.payload()


# Header fields


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"a b", "expected ',' at offset 2"),
        (b"a,,b", "malformed at offset 2"),
        (b"", "malformed at offset 0"),
    ],
)
def test_list_of_tokens(value: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=exactly(words)):
        parse_tokens([value])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b'a; b="c d"', "quoted parameter value is not a token"),
        (b'a; b="c', "malformed at offset 5"),
        (b"a; ", "malformed at offset 3"),
        (b"a; b; c d", "expected ',' at offset 8"),
    ],
)
def test_list_of_extensions(value: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=exactly(words)):
        parse_extensions([value])


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("a b", "c", "not a header name: 'a b'"),
        ("", "c", "not a header name: ''"),
        ("a", "b\nc", r"not a value for header a: 'b\nc'"),
        ("a", " b", "not a value for header a: ' b'"),
    ],
)
def test_header_field_that_cannot_be_sent(name: str, value: str, words: str) -> None:
    with pytest.raises(UsageError, match=exactly(words)):
        Headers([(name, value)])


@pytest.mark.parametrize(("name", "value"), [("é", "a"), ("a", "€")])
def test_header_field_that_cannot_be_encoded(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=r"^header field cannot be encoded: '(ascii|latin-1)' "):
        Headers([(name, value)])


def test_credentials_that_cannot_be_encoded() -> None:
    with pytest.raises(UsageError, match=exactly("Basic credentials cannot be encoded")):
        basic_credentials("user", "\ud800")


def test_field_that_is_missing() -> None:
    with pytest.raises(KeyError, match=exactly("'Missing'")):
        Headers()["Missing"]


# The opening handshake, on a server

SMALL = Limits(
    max_request_line_size=60, max_header_line_size=100, max_head_size=400, max_headers=6,
    max_body_size=3,
)  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        (b"GET / HTTP/1.1\n", 400, "line ends without CRLF"),
        (b"GET /" + b"a" * 60, 414, "start line is too long"),
        (head("GET / HTTP/1.1", ("a", "b" * 100)), 431, "header line is too long"),
        (head("GET / HTTP/1.1", *[("a", "b" * 90)] * 5), 431, "head is too large"),
        (head("GET / HTTP/1.1", ("a", "b\0")), 400, "control character in the head"),
        (b"GET / HTTP/1.1\r\na: b\r\n c\r\n", 400, "line starts with white space"),
        (head("GET / HTTP/1.1", *[("a", "b")] * 7), 431, "too many header fields"),
        (head("GET  / HTTP/1.1"), 400, "malformed request line"),
        (head("GET / HTTP/2.0"), 505, "only HTTP/1.1 is spoken here"),
        (head("GET / HTTP/1.1", ("X y", "z")), 400, "malformed header field"),
        (head("GET / HTTP/1.1"), 400, "missing Host"),
        (head("GET a HTTP/1.1", ("Host", "a")), 400, "malformed request target"),
        (head("GET / HTTP/1.1", ("Host", "a b")), 400, "malformed Host"),
        (head("GET / HTTP/1.1", ("a", "b")), 400, "missing Host"),
        (head("GET / HTTP/1.1", ("Host", "a"), ("Host", "a")), 400, "repeated Host"),
        (opening(content_length="1"), 400, "an upgrade request has no body"),
        (
            head(
                "POST / HTTP/1.1",
                *(("Host", "a"), ("Transfer-Encoding", "chunked"), ("Content-Length", "1")),
            ),
            *(400, "Transfer-Encoding and Content-Length exclude each other"),
        ),
        (
            head("POST / HTTP/1.1", ("Host", "a"), *[("Content-Length", "1")] * 2),
            *(400, "repeated Content-Length"),
        ),
        (head("GET / HTTP/1.1", ("Host", "a"), ("Expect", "b")), 417, "unknown expectation"),
        (
            head("POST / HTTP/1.1", ("Host", "a"), ("Content-Length", "4")) + b"four",
            *(413, "request body is too large"),
        ),
        (
            head("POST / HTTP/1.1", ("Host", "a"), ("Transfer-Encoding", "chunked")) + b"x\r\n",
            *(400, "malformed body"),
        ),
        (
            head("POST / HTTP/1.1", ("Host", "a"), ("Transfer-Encoding", "chunked"))
            + b"1;"
            + b"x" * 400,
            *(431, "what surrounds the body is too large"),
        ),
    ],
)
def test_server_reads_no_request(request_: bytes, status: int, words: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        ServerHandshake(SMALL).receive_data(request_)
    assert (caught.value.status, str(caught.value)) == (status, words)


@pytest.mark.parametrize(
    ("line", "changes", "status", "words"),
    [
        ("GET / HTTP/1.0", {}, 505, "WebSocket needs HTTP/1.1"),
        ("HEAD / HTTP/1.1", {}, 405, "a WebSocket opens with GET"),
        ("GET / HTTP/1.1", {"upgrade": None}, 426, "this is a WebSocket endpoint"),
        ("GET / HTTP/1.1", {"upgrade": ["websocket", "a"]}, 400, "repeated Upgrade"),
        ("GET / HTTP/1.1", {"connection": "close"}, 400, "Connection does not say Upgrade"),
        ("GET / HTTP/1.1", {"connection": None}, 400, "Connection does not say Upgrade"),
        (
            *("GET / HTTP/1.1", {"connection": "a b"}, 400),
            "malformed Connection: expected ',' at offset 2",
        ),
        ("GET / HTTP/1.1", {"sec_websocket_key": None}, 400, "missing Sec-WebSocket-Key"),
        (
            *("GET / HTTP/1.1", {"sec_websocket_key": "a"}, 400),
            "Sec-WebSocket-Key is not 16 bytes in base64",
        ),
        ("GET / HTTP/1.1", {"sec_websocket_version": None}, 400, "missing Sec-WebSocket-Version"),
        (
            *("GET / HTTP/1.1", {"sec_websocket_version": "8"}, 426),
            "only WebSocket version 13 is spoken here",
        ),
        ("GET / HTTP/1.1", {"origin": ["null", "null"]}, 400, "repeated Origin"),
        (
            *("GET / HTTP/1.1", {"sec_websocket_protocol": "a, a"}, 400),
            "a subprotocol is offered twice",
        ),
        (
            *("GET / HTTP/1.1", {"sec_websocket_protocol": "a,"}, 400),
            "malformed Sec-WebSocket-Protocol: malformed at offset 2",
        ),
        (
            *("GET / HTTP/1.1", {"sec_websocket_extensions": ";"}, 400),
            "malformed Sec-WebSocket-Extensions: malformed at offset 0",
        ),
    ],
)
def test_server_refuses_an_opening(
    line: str, changes: dict[str, Any], status: int, words: str
) -> None:
    handshake = ServerHandshake(Limits())
    assert handshake.receive_data(opening(line, **changes)) is not None
    with pytest.raises(HandshakeError) as caught:
        handshake.accept()
    assert (caught.value.status, str(caught.value)) == (status, words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"subprotocol": "b"}, "the client did not offer subprotocol 'b'"),
        ({"headers": [("upgrade", "a")]}, "Upgrade is ours to set"),
        ({"headers": [("Sec-WebSocket-Accept", "a")]}, "Sec-WebSocket-Accept is ours to set"),
    ],
)
def test_answer_that_does_not_open(options: dict[str, Any], words: str) -> None:
    handshake = ServerHandshake(Limits())
    assert handshake.receive_data(opening(sec_websocket_protocol="a")) is not None
    with pytest.raises(UsageError, match=exactly(words)):
        handshake.accept(**options)


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (Response(199), "not the status of a final answer: 199"),
        (Response(1000), "not the status of a final answer: 1000"),
        (Response(204, body=b"a"), "an answer with status 204 has no body"),
        (
            Response(headers=Headers([("transfer-encoding", "chunked")])),
            "Transfer-Encoding is ours to set",
        ),
        (
            Response(headers=Headers([("content-length", "2")]), body=b"a"),
            "the body has 1 bytes, and Content-Length says something else",
        ),
    ],
)
def test_plain_answer_that_cannot_be_sent(response: Response, words: str) -> None:
    handshake = ServerHandshake(Limits())
    assert handshake.receive_data(head("GET / HTTP/1.1", ("Host", "a"))) is not None
    with pytest.raises(UsageError, match=exactly(words)):
        handshake.respond(response)


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"upgrade": None}, [("Upgrade", "websocket"), ("Connection", "Upgrade, close")]),
        (
            {"sec_websocket_version": "8"},
            [
                ("Sec-WebSocket-Version", "13"),
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade, close"),
            ],
        ),
    ],
)
def test_fields_of_a_refusal(changes: dict[str, Any], fields: list[tuple[str, str]]) -> None:
    handshake = ServerHandshake(Limits())
    assert handshake.receive_data(opening(**changes)) is not None
    with pytest.raises(HandshakeError) as caught:
        handshake.accept()
    assert list(caught.value.headers) == fields


# The opening handshake, on a client


class OnRsv1(ExtensionFactory):
    """Uses the reserved bit that permessage-deflate uses."""

    name = "x-rival"
    rsv = 0x40

    def offers(self) -> Sequence[Parameters]:
        return [[]]

    def accept(self, offer: Parameters) -> tuple[Parameters, Extension] | None:
        raise NotImplementedError

    def confirm(self, answer: Parameters) -> Extension:
        return PermessageDeflate().confirm(answer)


def switching(*fields: tuple[str, str], version: str = "1.1", **changes: str | None) -> bytes:
    ours: dict[str, str | None] = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": accept_key(NONCE.encode()),
    }
    ours |= {name.replace("_", "-"): value for name, value in changes.items()}
    kept = [(name, value) for name, value in ours.items() if value is not None]
    return head(f"HTTP/{version} 101 Switching Protocols", *kept, *fields)


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (switching(version="1.0"), 101, "the answer is not HTTP/1.1"),
        (switching(Upgrade="a"), 101, "Upgrade does not say websocket"),
        (switching(Upgrade=None), 101, "missing Upgrade"),
        (switching(("upgrade", "websocket")), 101, "repeated Upgrade"),
        (switching(Connection="a"), 101, "Connection does not say Upgrade"),
        (switching(Connection="a b"), 101, "malformed Connection: expected ',' at offset 2"),
        (switching(Sec_WebSocket_Accept=None), 101, "missing Sec-WebSocket-Accept"),
        (
            switching(Sec_WebSocket_Accept="a"),
            *(101, "Sec-WebSocket-Accept does not answer our key"),
        ),
        (
            switching(("Sec-WebSocket-Protocol", "b")),
            *(101, "subprotocol was not offered: 'b'"),
        ),
        (
            switching(*[("Sec-WebSocket-Protocol", "a")] * 2),
            *(101, "repeated Sec-WebSocket-Protocol"),
        ),
        (
            switching(*[("Sec-WebSocket-Extensions", "a")] * 2),
            *(101, "repeated Sec-WebSocket-Extensions"),
        ),
        (
            switching(("Sec-WebSocket-Extensions", "x-a")),
            *(101, "Sec-WebSocket-Extensions: x-a was not offered"),
        ),
        (
            switching(("Sec-WebSocket-Extensions", ";")),
            *(101, "Sec-WebSocket-Extensions: malformed at offset 0"),
        ),
        (
            switching(("Sec-WebSocket-Extensions", "permessage-deflate, x-rival")),
            *(101, "Sec-WebSocket-Extensions: x-rival uses a reserved bit that is taken"),
        ),
        (b"HTTP/1.1 103 Early\r\n\r\n" * 5, 0, "too many interim responses"),
        (b"HTTP/1.1 101 A\n", 0, "line ends without CRLF"),
    ],
)
def test_client_refuses_an_answer(
    answer: bytes, status: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rfc6455.handshake.client.new_key", NONCE.encode)
    handshake = ClientHandshake(
        parse_uri("ws://a"), subprotocols=["a"], extensions=[PermessageDeflate(), OnRsv1()]
    )
    handshake.request_data()
    with pytest.raises(HandshakeError) as caught:
        handshake.receive_data(answer)
    assert (caught.value.status, str(caught.value)) == (status, words)


def test_client_gets_no_answer() -> None:
    handshake = ClientHandshake(parse_uri("ws://a"))
    handshake.request_data()
    with pytest.raises(HandshakeError, match=exactly("connection closed before an answer came")):
        handshake.receive_eof()


@pytest.mark.parametrize(
    ("uri", "options", "words"),
    [
        ("ws://a", {"subprotocols": ["a b"]}, "a subprotocol is an HTTP token"),
        ("ws://a", {"subprotocols": ["a", "a"]}, "a subprotocol is named twice"),
        ("ws://a", {"extensions": [OnRsv1(), OnRsv1()]}, "an extension is named twice"),
        ("ws://a", {"headers": [("host", "a")]}, "Host is ours to set"),
        ("ws://a", {"origin": "a", "headers": [("Origin", "a")]}, "Origin is ours to set"),
        (
            *("ws://u:p@a", {"headers": [("Authorization", "a")]}),
            "credentials are given twice: in the URI and as Authorization",
        ),
        ("ws://u%3a@a", {}, "a user name in Basic credentials has no colon"),
        ("ws://u:%0a@a", {}, "Basic credentials have no control characters"),
    ],
)
def test_request_that_cannot_be_sent(uri: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=exactly(words)):
        ClientHandshake(parse_uri(uri), **options)


# permessage-deflate


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("client_no_context_takeover", "the server keeps its context, against our offer"),
        ("server_no_context_takeover=1", "server_no_context_takeover takes no value"),
        ("client_max_window_bits", "client_max_window_bits is an integer from 8 to 15"),
        ("server_max_window_bits=16", "server_max_window_bits is an integer from 8 to 15"),
        (
            "server_max_window_bits=9; server_max_window_bits=9",
            "server_max_window_bits stands twice",
        ),
        ("a", "unknown parameter a"),
    ],
)
def test_answer_to_permessage_deflate(answer: str, words: str) -> None:
    extension = PermessageDeflate(peer_context_takeover=False)
    with pytest.raises(HandshakeError, match=exactly(f"Sec-WebSocket-Extensions: {words}")):
        judge_answer(f"permessage-deflate; {answer}", extensions=[extension])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"window_bits": 7}, "window bits are 8 to 15, not 7"),
        ({"peer_window_bits": 16}, "window bits are 8 to 15, not 16"),
        ({"level": 10}, "zlib knows no level 10 with memory level 5"),
        ({"memory_level": 0}, "zlib knows no level 1 with memory level 0"),
    ],
)
def test_settings_of_permessage_deflate(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=exactly(words)):
        PermessageDeflate(**settings)
