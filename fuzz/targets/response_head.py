"""`rfc6455.handshake.client`: what a server answers before the WebSocket opens.

The key of the handshake is the one of the RFC's example instead of a random one: otherwise nothing
would get past it.

For every input:

- `ClientHandshake.receive_data` and `receive_eof` return, or raise `HandshakeError`; nothing else.
- However the input is cut, the answer, what follows it, or the error is the same; but for h11's
  limit on what surrounds the chunks of a body.
- It opens only for a 101 that answers our key, and with what we offered: a subprotocol of ours, an
  extension of ours within its offer.
- Never more is retained than the limits allow and the last read brought.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rfc6455 import HandshakeError, Limits, PermessageDeflate, Response, State
from rfc6455.handshake import ClientHandshake
from rfc6455.uri import parse_uri

from ..oracles import digest, pieces, require, retained, unquoted

LIMITS = Limits(
    max_request_line_size=128,
    max_header_line_size=256,
    max_head_size=768,
    max_headers=12,
    max_body_size=64,
)
SUBPROTOCOLS = ("chat", "superchat")
SAMPLE_KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
SAMPLE_ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""RFC 6455 §1.3: what answers it."""

HEAD = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: " + SAMPLE_ACCEPT + b"\r\n"
)


def seeds() -> dict[str, bytes]:
    """Returns the RFC's answer, answers that break a rule each, and refusals."""

    def extra(*fields: bytes) -> bytes:
        return HEAD + b"".join(field + b"\r\n" for field in fields) + b"\r\n"

    def extension(value: bytes) -> bytes:
        return extra(b"Sec-WebSocket-Extensions: " + value)

    bits = (b"0", b"7", b"8", b"15", b"16", b"99", b"-1", b"+9", b"09", b"1_0", b"", b"abc", b"8.0")
    return {
        "rfc-1.2": extra(b"Sec-WebSocket-Protocol: chat"),
        "early-data": extra() + b"\x81\x05Hello",
        "no-reason": extra().replace(b" Switching Protocols", b""),
        "http-1.0": extra().replace(b"HTTP/1.1", b"HTTP/1.0"),
        "http-2.0": extra().replace(b"HTTP/1.1", b"HTTP/2.0"),
        "not-websocket": extra().replace(b"websocket", b"websocketx"),
        "two-upgrades": extra(b"Upgrade: websocket"),
        "not-upgrade": extra().replace(b"Connection: Upgrade", b"Connection: notupgrade"),
        "keep-alive": extra().replace(b"Connection: Upgrade", b"Connection: keep-alive, upgrade"),
        "two-accepts": extra(b"Sec-WebSocket-Accept: " + SAMPLE_ACCEPT),
        "wrong-accept": extra().replace(b"s3pP", b"S3pP"),
        "no-accept": extra().replace(b"-Accept", b"-Accepts"),
        "protocol-unknown": extra(b"Sec-WebSocket-Protocol: v10.stomp"),
        "protocol-list": extra(b"Sec-WebSocket-Protocol: chat, superchat"),
        "two-protocols": extra(b"Sec-WebSocket-Protocol: chat", b"Sec-WebSocket-Protocol: chat"),
        "deflate": extension(b"permessage-deflate"),
        "deflate-all": extension(
            b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
            b"; server_max_window_bits=10; client_max_window_bits=9"
        ),
        "deflate-twice": extension(b"permessage-deflate, permessage-deflate"),
        "deflate-unknown": extension(b"permessage-deflate; x"),
        "extension-unknown": extension(b"x-webkit-deflate-frame"),
        "extension-empty": extension(b""),
        **{
            f"bits-{value.decode()}": extension(
                b"permessage-deflate; server_max_window_bits=" + value
            )
            for value in bits
        },
        "body-with-101": extra(b"Content-Length: 5") + b"Hello",
        "chunked-101": extra(b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
        "continue": b"HTTP/1.1 100 Continue\r\n\r\n" + extra(),
        "storm": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 6 + extra(),
        "refused": b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\nHello, world",
        "refused-eof": b"HTTP/1.1 500 Oops\r\n\r\nuntil the end",
        "refused-chunked": b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nHello\r\n0\r\n\r\n",
        "refused-endless": b"HTTP/1.1 403 No\r\n\r\n" + b"*" * 100,
        "refused-empty": b"HTTP/1.1 204 No Content\r\n\r\n",
        "redirect": b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n",
        "two-lengths": b"HTTP/1.1 400 Bad\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nHello!",
        "both-lengths": b"HTTP/1.1 400 Bad\r\nContent-Length: 5\r\nTransfer-Encoding: chunked"
        b"\r\n\r\n0\r\n\r\n",
        "length-sign": b"HTTP/1.1 400 Bad\r\nContent-Length: +5\r\n\r\nHello",
        "upgrade-required": b"HTTP/1.1 426 No\r\nSec-WebSocket-Version: 13, 8\r\n\r\n",
        "lf": HEAD.replace(b"\r\n", b"\n") + b"\n",
        "folded": extra(b"X: a", b" b"),
        "controls": extra(b"X: a\x00b\x0bc\x85d"),
        "many-fields": HEAD + b"a:b\r\n" * 12,
        "long-line": HEAD + b"X: " + b"y" * 300,
        "frame-first": b"\x81\x05Hello" + extra(),
        "tls": b"\x15\x03\x01\x00\x02\x02\x46",
        "http-0.9": b"<html>Hello</html>\n",
    }


H11_LIMIT = "Receive buffer too long"
"""h11's limit for what surrounds chunks: it counts what is there when it asks for more."""


class Verdict(NamedTuple):
    """What became of a handshake, as values that compare."""

    error: str | None = None
    status: int = 0
    fields: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    subprotocol: str | None = None
    extensions: Sequence[str] = ()
    trailing: bytes = b""


def check(data: bytes) -> None:
    """Checks the invariants for the bytes of one connection."""
    handshake, verdict = receive([data])
    cut, again = receive([bytes(piece) for piece in pieces(data)])
    if H11_LIMIT not in (again.error, verdict.error):
        require(again == verdict, "the cut matters", again, verdict)
    if digest(data) >> 8 & 0b111 == 0:
        require(retained(cut) <= 8192 + 4 * 768 + 2 * len(data), "too much is retained")
    is_open = handshake.state is State.OPEN
    require(is_open == (verdict.status == 101), "open without an answer", handshake.state, verdict)
    if verdict.error is not None:
        require(handshake.state is State.CLOSED, "goes on after an error", handshake.state)
        return
    require(verdict.status == 101 or 200 <= verdict.status <= 999, "not final", verdict)
    require(len(verdict.fields) <= 12 and len(verdict.body) <= 64, "over a limit", verdict)
    if is_open:
        require(SAMPLE_ACCEPT in data, "opened by something else", verdict)
        require(not verdict.body and data.endswith(verdict.trailing), "what follows was changed")
        require(verdict.subprotocol in (None, *SUBPROTOCOLS), "not offered", verdict)
        require(verdict.extensions in ([], ["permessage-deflate"]), "not offered", verdict)


def receive(parts: list[bytes]) -> tuple[ClientHandshake, Verdict]:
    """Feeds a handshake until it has its answer; then TCP ends."""
    handshake = ClientHandshake(
        parse_uri("ws://server.example.com/chat"),
        subprotocols=SUBPROTOCOLS,
        extensions=[PermessageDeflate()],
        limits=LIMITS,
    )
    handshake._key = SAMPLE_KEY
    handshake.request_data()
    response: Response | None = None
    rest = iter(parts)
    try:
        for part in rest:
            response = handshake.receive_data(part)
            if response is not None:
                break
        else:
            response = handshake.receive_eof()
    except HandshakeError as error:
        return handshake, Verdict(error=unquoted(str(error)))
    assert response is not None
    verdict = Verdict(
        status=response.status,
        fields=response.headers.items(),
        body=response.body,
        subprotocol=handshake.subprotocol,
        extensions=[extension.name for extension in handshake.extensions],
    )
    if response.status == 101:
        # A transport goes on with what it reads next.
        verdict = verdict._replace(trailing=handshake.trailing_data + b"".join(rest))
    return handshake, verdict
