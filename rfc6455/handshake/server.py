"""RFC 6455 §4.2: the server's half of the opening handshake.

What lives here: from the octets of a request to those of its answer, by the numbered steps of
§4.2.2, behind `http.HeadReader`; `offer` judges the request. Bodies of plain requests, and the
answers to them, are left to h11; a handshake has neither. This file does no I/O and does not know
what happens afterwards.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Iterable, Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

import h11

from ..errors import HandshakeError, UsageError
from ..extensions.base import Extension, ExtensionFactory
from ..headers import (
    Headers,
    HeadersLike,
    build_extensions,
    is_host,
)
from ..http import (
    HeadReader,
    Request,
    Response,
    exceeds,
    max_incomplete_size,
)
from ..limits import Limits
from ..state import CONNECTING, State, Trigger, transition
from . import codec
from .nonce import accept_key
from .offer import Offer, offered_subprotocols, validate

__all__ = ["Offer", "ServerHandshake", "offered_subprotocols", "validate"]

REQUEST_LINE: Final = re.compile(
    rb"(?P<method>[!#$%&'*+\-.^_`|~0-9A-Za-z]+) (?P<target>[\x21-\x7e]+)"
    rb" HTTP/(?P<version>[0-9]\.[0-9])"
)
ABSOLUTE_FORM: Final = re.compile(
    rb"https?://(?P<host>[^/?#]*)(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?", re.I
)
CONTENT_LENGTH: Final = re.compile(rb"\r\ncontent-length:([^\r]*)", re.I)
SWITCHING: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: "
)
TOO_LARGE_AROUND: Final = "what surrounds the body is too large"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
RESERVED: Final = (
    "Content-Length",
    "Transfer-Encoding",
    "Upgrade",
    "Connection",
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
)
"""Fields of the answer that opens which are ours, or which RFC 9110 §8.6 forbids in it."""


class ServerHandshake:
    """The server's half (§4.2).

    Give it what arrives until `receive_data` returns a request, then send what one of `accept` and
    `respond` returns.

    Args:
        limits: see `Limits`.
        server_header: value of the Server field in every answer; empty for none.
    """

    __slots__ = (
        "_body",
        "_head",
        "_http",
        "_is_head",
        "_limits",
        "_request",
        "_server_header",
        "_state",
        "_to_send",
        "trailing_data",
    )

    def __init__(self, limits: Limits, *, server_header: str = "") -> None:
        self._limits = limits
        self._server_header = server_header
        # For a head that comes in pieces, or is not plain.
        self._head: HeadReader | None = None
        # For a body, where there is one.
        self._http: h11.Connection | None = None
        self._is_head = False
        self._body = b""
        self._request: Request | None = None
        self._to_send = b""
        self._state = CONNECTING
        self.trailing_data = b""
        """What the client sent behind its request: the first bytes of the WebSocket."""

    @property
    def state(self) -> State:
        """CONNECTING, then OPEN or CLOSED."""
        return self._state

    def data_to_send(self) -> bytes:
        """Returns an interim answer (100 Continue) that is to be written, and forgets it."""
        data, self._to_send = self._to_send, b""
        return data

    def receive_data(self, data: bytes) -> Request | None:
        """Takes what a read brought.

        Returns:
            The request, once, when it is complete with its body.

        Raises:
            HandshakeError: it is not one that HTTP or a limit allows; answer with `respond` (see
                `http.error_response`) and close.
        """
        if self._state is not CONNECTING:
            return None
        request = None
        if self._request is None:
            request = self._read_plain(data) if self._head is None else None
            if request is not None:
                return request
            reader = self._head = self._head or HeadReader(self._limits)
            head = reader.feed(data)
            if head is None:
                return None
            request = self._request = self._read_head(reader, head[0])
            data = head[1]
        if self._http is not None and self._http.their_state is h11.SEND_BODY:
            return self._read_body(self._http, data)
        if data:
            self.trailing_data += data
        return request

    def _read_plain(self, data: bytes) -> Request | None:
        """Reads what the native twin takes, if there is one: a whole head, and nothing special."""
        if codec.read_request is None:
            return None
        limits = self._limits
        plain = codec.read_request(
            data,
            limits.max_request_line_size,
            limits.max_header_line_size,
            limits.max_head_size,
            limits.max_headers,
        )
        if plain is None:
            return None
        method, target, path, query, lines, values, size = plain
        self._is_head = method == "HEAD"
        self.trailing_data = data[size:]
        self._request = Request(method, target, path, query, Headers.of(lines, values))
        return self._request

    def _read_head(self, reader: HeadReader, head: bytes) -> Request:
        line_end = head.index(b"\r\n")
        line = REQUEST_LINE.fullmatch(head, 0, line_end)
        if line is None:
            raise HandshakeError("malformed request line", HTTPStatus.BAD_REQUEST)
        method, target, version = line.groups()
        self._is_head = method == b"HEAD"
        if version != b"1.1" and version != b"1.0":
            raise HandshakeError(
                "only HTTP/1.1 is spoken here", HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
            )
        headers = reader.fields(head)
        request = _make_request(method, target, version.decode(), headers)
        fields = headers.by_name()
        for expectation in fields.get(b"expect", ()):
            if expectation.lower() != b"100-continue":
                raise HandshakeError("unknown expectation", HTTPStatus.EXPECTATION_FAILED)
        # RFC 9112 §6.3: a request has a body if one of these is there.
        if b"content-length" in fields or b"transfer-encoding" in fields:
            _check_framing(head, headers)
            self._begin_body(head, request)
        return request

    def _begin_body(self, head: bytes, request: Request) -> None:
        http = self._http = h11.Connection(
            h11.SERVER, max_incomplete_event_size=max_incomplete_size(self._limits)
        )
        http.receive_data(head)
        try:
            http.next_event()
            # A body of no bytes ends here, and has nothing to continue with.
            ended = http.next_event() is not h11.NEED_DATA
        except h11.RemoteProtocolError as error:
            raise _malformed_body(error) from error
        if request.wants_websocket and not ended:
            raise HandshakeError("an upgrade request has no body", HTTPStatus.BAD_REQUEST)
        if http.they_are_waiting_for_100_continue:
            self._to_send = CONTINUE

    def _read_body(self, http: h11.Connection, data: bytes) -> Request | None:
        request = self._request
        assert request is not None
        # To h11 no bytes are the end of TCP.
        if data:
            http.receive_data(data)
        try:
            while True:
                event = http.next_event()
                if isinstance(event, h11.Data):
                    self._body += event.data
                    if exceeds(len(self._body), self._limits.max_body_size):
                        raise HandshakeError(
                            "request body is too large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE
                        )
                elif isinstance(event, h11.EndOfMessage):
                    request.body = self._body
                    return request
                else:
                    return None
        except h11.RemoteProtocolError as error:
            raise _malformed_body(error) from error

    def accept(
        self,
        *,
        subprotocol: str | None = None,
        extensions: Sequence[ExtensionFactory] = (),
        headers: HeadersLike = (),
        offer: Offer | None = None,
    ) -> tuple[bytes, list[Extension]]:
        """Accepts the request (§4.2.2).

        Args:
            subprotocol: one of those that the client offered, or None.
            extensions: those that we support; the client's first offer that we can meet is taken.
            headers: further fields of the answer, such as Set-Cookie.
            offer: what `validate` returned, if the request has been judged already.

        Returns:
            The bytes of the answer, and the extensions in use.

        Raises:
            HandshakeError: the request does not open a WebSocket; see `validate`.
            UsageError: the client did not offer this subprotocol, or a further field is ours to
                set. Nothing was sent.
        """
        request = self._request
        assert request is not None
        if offer is None:
            offer = validate(request)
        more = None
        if headers:
            more = Headers(headers)
            for name in RESERVED:
                if name in more:
                    raise UsageError(f"{name} is ours to set")
        answer = SWITCHING + accept_key(offer.key).encode() + b"\r\n"
        if subprotocol is not None:
            # §4.2.2 step 4: "The value chosen MUST be derived from the client's handshake".
            if subprotocol not in offer.subprotocols:
                raise UsageError(f"the client did not offer subprotocol {subprotocol!r}")
            answer += Headers([("Sec-WebSocket-Protocol", subprotocol)]).to_wire()
        in_use: list[Extension] = []
        if offer.extensions and extensions:
            answers, in_use = _negotiate(offer, extensions)
            if answers:
                value = build_extensions(answers)
                answer += Headers([("Sec-WebSocket-Extensions", value)]).to_wire()
        answer += self._common(more) + b"\r\n"
        self._state = transition(self._state, Trigger.ACCEPT)
        request.headers.compact()
        return answer, in_use

    @property
    def wants_content(self) -> bool:
        """Whether the answer may have a body: not to a HEAD (RFC 9110 §9.3.2)."""
        return not self._is_head

    def respond(self, response: Response) -> bytes:
        """Answers with plain HTTP instead, after which the transport closes. Returns the bytes.

        Raises:
            UsageError: the status is not that of a final answer, or has no room for this body.
        """
        if not 200 <= response.status <= 999:
            raise UsageError(f"not the status of a final answer: {response.status}")
        has_content = response.status not in (204, 304)
        if response.body and not has_content:
            raise UsageError(f"an answer with status {response.status} has no body")
        if "Transfer-Encoding" in response.headers:
            raise UsageError("Transfer-Encoding is ours to set")
        headers = Headers(response.headers)
        size = str(len(response.body))
        if response.stream is not None:
            # RFC 9112 §6.3: without a length, the end of the connection is that of the content.
            if response.body or not has_content or "Content-Length" in headers:
                raise UsageError("an answer that comes over time has no other body, and no length")
        elif "Content-Length" not in headers:
            if has_content:
                headers.add("Content-Length", size)
        elif headers.get_all("Content-Length") != [size] and not self._is_head and has_content:
            raise UsageError(f"the body has {size} bytes, and Content-Length says something else")
        if "Connection" not in headers:
            headers.add("Connection", "close")
        try:
            reason = HTTPStatus(response.status).phrase
        except ValueError:
            reason = ""
        self._state = transition(self._state, Trigger.REFUSE)
        head = (
            f"HTTP/1.1 {response.status:d} {reason}\r\n".encode() + self._common(headers) + b"\r\n"
        )
        # RFC 9110 §9.3.2: "The HEAD method is identical to GET except that the server MUST NOT send
        # content in the response."
        return head if self._is_head else head + response.body

    def _common(self, headers: Headers | None) -> bytes:
        """Returns the fields, with those that every answer has."""
        now = time.time() // 1
        if headers is None:
            return _common_fields(now, self._server_header)
        if "Date" not in headers:
            headers.add("Date", formatdate(now, usegmt=True))
        if self._server_header and "Server" not in headers:
            headers.add("Server", self._server_header)
        return headers.to_wire()


def _malformed_body(error: h11.RemoteProtocolError) -> HandshakeError:
    # h11's own words repeat what was sent, which may be a secret.
    status = error.error_status_hint
    too_large = status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    return HandshakeError(TOO_LARGE_AROUND if too_large else "malformed body", status)


@functools.lru_cache(maxsize=8)
def _common_fields(now: float, server_header: str) -> bytes:
    fields = Headers([("Date", formatdate(now, usegmt=True))])
    if server_header:
        fields.add("Server", server_header)
    return fields.to_wire()


def _check_framing(head: bytes, headers: Headers) -> None:
    # RFC 9112 §6.1: both together "ought to be handled as an error".
    if "Transfer-Encoding" in headers and "Content-Length" in headers:
        raise HandshakeError(
            "Transfer-Encoding and Content-Length exclude each other", HTTPStatus.BAD_REQUEST
        )
    # RFC 9112 §6.3 lets a recipient take equal lengths for one, as h11 does. Parsers that
    # differ in what they take are how requests get smuggled.
    lengths = CONTENT_LENGTH.findall(head)
    if len(lengths) > 1 or any(b"," in length for length in lengths):
        raise HandshakeError("repeated Content-Length", HTTPStatus.BAD_REQUEST)


def _make_request(method: bytes, target: bytes, version: str, headers: Headers) -> Request:
    hosts = headers.lines(b"host")
    # RFC 9112 §3.2: 400 for "any HTTP/1.1 request message that lacks a Host header field", or has
    # more than one, or an invalid one.
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        raise HandshakeError(f"{'repeated' if hosts else 'missing'} Host", HTTPStatus.BAD_REQUEST)
    # §4.2.1: a Request-URI "that is either a relative or an absolute HTTP/HTTPS URI".
    if target.startswith(b"/") and b"#" not in target:
        path, _, query = target.partition(b"?")
    elif absolute := ABSOLUTE_FORM.fullmatch(target):
        hosts = [absolute["host"]]
        path, query = absolute["path"] or b"/", (absolute["query"] or b"?")[1:]
    elif target == b"*" and method == b"OPTIONS":
        path, query = target, b""
    else:
        raise HandshakeError("malformed request target", HTTPStatus.BAD_REQUEST)
    if hosts and not is_host(hosts[0]):
        raise HandshakeError("malformed Host", HTTPStatus.BAD_REQUEST)
    return Request(
        method.decode(),
        target.decode(),
        path.decode(),
        query.decode(),
        headers,
        http_version=version,
    )


def _negotiate(
    offer: Offer, factories: Sequence[ExtensionFactory]
) -> tuple[list[tuple[str, Iterable[tuple[str, str | None]]]], list[Extension]]:
    answers: list[tuple[str, Iterable[tuple[str, str | None]]]] = []
    in_use: list[Extension] = []
    taken = 0
    for name, parameters in offer.extensions:
        for factory in factories:
            # RFC 7692 §5: two extensions that use the same reserved bit exclude each other.
            if factory.name != name or factory.rsv & taken:
                continue
            accepted = factory.accept(parameters)
            if accepted is not None:
                answers.append((name, accepted[0]))
                in_use.append(accepted[1])
                taken |= factory.rsv
                break
    return answers, in_use
