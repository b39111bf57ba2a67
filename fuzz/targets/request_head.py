"""`rfc6455.handshake.server`: what a client sends before the WebSocket opens.

For every input:

- `ServerHandshake.receive_data` returns, or raises `HandshakeError` with a status that is an error;
  nothing else. `validate` and `accept` do the same.
- However the input is cut, the request, what follows it, or the error is the same; but for h11's
  limit on what surrounds the chunks of a body.
- A request holds no control characters, one Host (HTTP/1.1), and as many fields as allowed.
- Each input gets at most one answer, and that is one well-formed HTTP response, whatever the client
  wrote: what it says cannot end a line of ours.
- Never more is retained than the limits allow and the last read brought.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import h11

from rfc6455 import HandshakeError, Limits, PermessageDeflate, Request
from rfc6455.handshake import ServerHandshake, validate
from rfc6455.handshake.nonce import accept_key
from rfc6455.handshake.server import TOO_LARGE_AROUND
from rfc6455.http import error_response

from ..oracles import digest, pieces, require, retained, unquoted

LIMITS = Limits(
    max_request_line_size=128,
    max_header_line_size=256,
    max_head_size=768,
    max_headers=12,
    max_body_size=64,
)

FORBIDDEN = {*range(0x20), 0x7F} - {0x09}

HEAD = (
    b"GET /chat?room=1 HTTP/1.1\r\n"
    b"Host: server.example.com\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
)

Verdict: TypeAlias = tuple[Request | None, tuple[int, str, Any] | None, bytes]
"""The request, the error as values that compare, and what followed the request."""

H11_LIMIT = "Receive buffer too long"
"""h11's limit for what surrounds chunks: it counts what is there when it asks for more."""


def seeds() -> dict[str, bytes]:
    """Returns the RFC's request, requests of browsers, plain ones, and ambiguous ones."""
    plain = b"Host: a\r\n"

    def changed(old: bytes, new: bytes) -> bytes:
        return HEAD.replace(old, new) + b"\r\n"

    def extra(*fields: bytes) -> bytes:
        return HEAD + b"".join(field + b"\r\n" for field in fields) + b"\r\n"

    return {
        "rfc-1.2": extra(b"Origin: http://example.com", b"Sec-WebSocket-Protocol: chat, superchat"),
        "deflate": extra(b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"),
        "deflate-bits": extra(
            b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=8, x",
            b'Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits="10"',
        ),
        "firefox": changed(b"Connection: Upgrade", b"Connection: keep-alive, Upgrade"),
        "early-data": extra() + bytes.fromhex("818537fa213d7f9f4d5158"),
        "key-not-canonical": changed(b"dGhlIHNhbXBsZSBub25jZQ==", b"AQIDBAUGBwgJCgsMDQ4PEC=="),
        "key-short": changed(b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhlIHNhbXBsZSBub25jZQ=="[:20]),
        "key-junk": changed(b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhlIHNhbXBsZSBub25j!!=="),
        "version-8": changed(b"Version: 13", b"Version: 8"),
        "version-list": changed(b"Version: 13", b"Version: 13, 8"),
        "not-upgrade": changed(b"Connection: Upgrade", b"Connection: notupgrade"),
        "websocketx": changed(b"websocket", b"websocketx"),
        "upgrade-list": changed(b"websocket", b"h2c, websocket/13"),
        "two-keys": extra(b"Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC=="),
        "two-hosts": extra(b"Host: evil.example"),
        "two-origins": extra(b"Origin: a", b"Origin: b"),
        "http-1.0": changed(b"HTTP/1.1", b"HTTP/1.0"),
        "http-2.0": changed(b"HTTP/1.1", b"HTTP/2.0"),
        "preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
        "post": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nHelloGET",
        "chunked": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nHello\r\n0\r\n\r\n",
        "chunk-extension": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0005;a=b\r\nHello\r\n0\r\nTrailer: x\r\n\r\n",
        "chunk-ending": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nHelloXX0\r\n\r\n",
        "continue": b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
        b"Expect: 100-continue\r\n\r\nHi",
        "expect": extra(b"Expect: 100-continue"),
        "expect-unknown": b"GET / HTTP/1.1\r\n" + plain + b"Expect: miracles\r\n\r\n",
        "head": b"HEAD /healthz HTTP/1.1\r\n" + plain + b"\r\n",
        "options": b"OPTIONS * HTTP/1.1\r\n" + plain + b"\r\n",
        "absolute": b"GET http://b:80/path?query HTTP/1.1\r\n" + plain + b"\r\n",
        "connect": b"CONNECT a:443 HTTP/1.1\r\n" + plain + b"\r\n",
        "pipelined": b"GET / HTTP/1.1\r\n" + plain + b"\r\nGET /2 HTTP/1.1\r\n" + plain + b"\r\n",
        "upgrade-with-body": extra(b"Content-Length: 38")
        + b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n",
        "both-lengths": extra(b"Content-Length: 3", b"Transfer-Encoding: chunked"),
        "length-sign": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nHello",
        "length-list": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nHello",
        "length-huge": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (1 << 64),
        "xchunked": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "lf": HEAD.replace(b"\r\n", b"\n") + b"\n",
        "cr": HEAD.replace(b"\r\n", b"\r") + b"\r",
        "folded": extra(b"X: a", b" b"),
        "space-before-colon": extra(b"X : a"),
        "empty-lines-first": b"\r\n\r\n" + HEAD + b"\r\n",
        "line-ends": extra(b"X: a\x0bb\x0cc\x1cd\x1de\x1ef\x85g"),
        "nul": extra(b"X: a\x00b"),
        "many-fields": HEAD + b"a:b\r\n" * 12,
        "long-line": HEAD + b"X: " + b"y" * 300,
        "long-target": b"GET /" + b"y" * 200,
        "empty-name": extra(b": x"),
        "target-crlf": b"GET /a%0d%0ab HTTP/1.1\r\n" + plain + b"\r\n",
        "protocol-empty": extra(b"Sec-WebSocket-Protocol: a,,b"),
        "protocol-twice": extra(b"Sec-WebSocket-Protocol: a, a"),
        "protocol-spaces": extra(b"Sec-WebSocket-Protocol: a" + b" " * 200 + b"b"),
        "extension-unclosed": extra(b'Sec-WebSocket-Extensions: a; b="' + b"\\c" * 80),
    }


def check(data: bytes) -> None:
    """Checks the invariants for the bytes of one connection."""
    handshake = ServerHandshake(LIMITS, server_header="fuzz")
    verdict = receive(handshake, [data])
    cut = ServerHandshake(LIMITS, server_header="fuzz")
    parts = [bytes(piece) for piece in pieces(data)]
    again = receive(cut, parts)
    if TOO_LARGE_AROUND not in f"{again[1]}{verdict[1]}":
        require(comparable(again) == comparable(verdict), "the cut matters", again, verdict)
    if digest(data) >> 8 & 0b111 == 0:
        most = max(map(len, parts), default=0)
        # The head in its three forms (bytes, h11's, ours), the body, and what follows.
        require(retained(cut) <= 4096 + 3 * 768 + 2 * 64 + len(data) + most, "too much is retained")
    request, error, trailing = verdict
    if error is not None:
        _check_answer(handshake, error, is_head=data.lstrip(b"\r\n").startswith(b"HEAD "))
    elif request is not None:
        _check_request(request)
        require(data.endswith(trailing), "what follows the head was changed", trailing)
        _check_opening(handshake, request)


def receive(handshake: ServerHandshake, parts: list[bytes]) -> Verdict:
    """Feeds a handshake until it fails."""
    request: Request | None = None
    for part in parts:
        try:
            found = handshake.receive_data(part)
        except HandshakeError as error:
            require(400 <= error.status <= 505, "not the status of an error", error.status)
            return None, (error.status, str(error), error.headers), b""
        require(request is None or found is None, "a second request", request, found)
        request = request or found
    # What follows another request is nobody's: the connection closes.
    opens = request is not None and request.wants_websocket
    return request, None, handshake.trailing_data if opens else b""


def comparable(verdict: Verdict) -> Verdict:
    """Returns the verdict without what depends on the cut by right."""
    request, error, trailing = verdict
    if error is not None:
        status, message, headers = error
        error = status, unquoted(message), headers
    return request, error, trailing


def _check_request(request: Request) -> None:
    for text in (request.method, request.target, request.path):
        require(text.isascii() and text.isprintable() and " " not in text, "not a word", request)
    require(request.query.isascii() and request.query.isprintable(), "not a query", request)
    require(len(request.headers) <= 12, "too many fields", request)
    for name, value in request.headers:
        octets = value.encode("latin-1")
        require(not FORBIDDEN & set(octets), "a control", name, value)
        require(value == value.strip(" \t"), "space around a value", name, value)
    if request.http_version == "1.1":
        require(len(request.headers.raw("Host")) == 1, "not one Host", request)
    require(len(request.body) <= 64, "too large a body", request)


def _check_opening(handshake: ServerHandshake, request: Request) -> None:
    try:
        key, offered, _ = offer = validate(request)
        require(request.method == "GET" and not request.body, "not a request to open", request)
        require(len(key) == 24, "not a key", key)
        subprotocol = offered[-1] if offered else None
        answer, extensions = handshake.accept(
            subprotocol=subprotocol, extensions=[PermessageDeflate()], offer=offer
        )
    except HandshakeError as error:
        require(400 <= error.status <= 505, "not the status of an error", error.status)
        values = error.status, str(error), error.headers
        _check_answer(handshake, values, is_head=request.method == "HEAD")
        return
    response, rest = parse_response(answer)
    fields = dict(response.headers)
    require(response.status_code == 101 and not rest, "not one answer", answer)
    require(fields[b"sec-websocket-accept"] == accept_key(key).encode(), "not our answer", answer)
    require(fields.get(b"sec-websocket-protocol", b"").decode() == (subprotocol or ""), "protocol")
    require(len(extensions) == (b"sec-websocket-extensions" in fields), "extensions", answer)


def _check_answer(
    handshake: ServerHandshake, error: tuple[int, str, Any], *, is_head: bool
) -> None:
    status, message, headers = error
    answer = handshake.respond(error_response(HandshakeError(message, status, headers)))
    parsed, body = parse_response(answer)
    require(parsed.status_code == status, "another status", answer)
    fields = dict(parsed.headers)
    require(b"close" in fields[b"connection"].lower(), "does not close", answer)
    expected = message.encode() + b"\n"
    require(int(fields[b"content-length"]) == len(expected), "a length of something else", answer)
    require(body == expected or (is_head and not body), "another body", answer)


def parse_response(answer: bytes) -> tuple[h11.Response | h11.InformationalResponse, bytes]:
    """Reads an answer as h11 reads it, which is not how it was written: head, and what follows."""
    client = h11.Connection(h11.CLIENT)
    client.send(
        h11.Request(method="GET", target="/", headers=[("Host", "a"), ("Upgrade", "websocket")])
    )
    head, empty_line, body = answer.partition(b"\r\n\r\n")
    require(empty_line, "an answer without an end", answer)
    require(b"\n" not in head.replace(b"\r\n", b""), "a lone line feed", answer)
    client.receive_data(head + empty_line)
    event = client.next_event()
    if not isinstance(event, h11.Response | h11.InformationalResponse):
        raise TypeError(f"not an answer: {answer!r}")
    require(len(event.headers) == head.count(b"\r\n"), "a line that is no field", answer)
    return event, body
