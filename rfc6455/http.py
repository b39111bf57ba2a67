"""HTTP/1.1, as far as the opening handshake and plain requests on the same port need it.

What lives here: requests and responses as values, and a reader that stands before h11: it counts
lines and bytes as they arrive, and refuses what HTTP forbids and h11 forgives. This file does not
know what a WebSocket is, beyond the name by which a request asks for one.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from math import inf
from typing import Any, Final, Self

from .errors import HandshakeError
from .headers import Headers, HeadersLike, parse_upgrade
from .limits import Limits

__all__ = [
    "HeadReader",
    "Request",
    "Response",
    "error_response",
    "exceeds",
    "max_incomplete_size",
]

FORBIDDEN: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(slots=True)
class Request:
    """An HTTP request: the one that opens a WebSocket, or a plain one on the same port.

    Its ``repr`` tells neither the query nor header fields: they may hold secrets.

    Attributes:
        method: such as ``GET``.
        target: the request target as it came.
        path: the path of the target, still percent-encoded.
        query: what follows the ``?``, without it.
        headers: the header fields.
        body: of a plain request; empty for one that opens a WebSocket.
        http_version: ``1.1`` or ``1.0``.
        client_address: where it comes from; behind trusted proxies, where the first of them was
            called from. Empty for a Unix domain socket, and where there is no socket.
        context: what hooks leave for the handler: `basic_auth` leaves the name under ``"user"``.
    """

    method: str
    target: str
    path: str
    query: str
    headers: Headers
    body: bytes = b""
    http_version: str = "1.1"
    client_address: str = ""
    context: dict[str, Any] = field(default_factory=dict, compare=False)

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path!a}>"

    @property
    def wants_websocket(self) -> bool:
        """Whether the request asks for an upgrade to WebSocket, well or badly formed otherwise."""
        upgrade = self.headers.lines(b"upgrade")
        try:
            return self.http_version != "1.0" and (
                upgrade == [b"websocket"]
                or "websocket" in [protocol.lower() for protocol in parse_upgrade(upgrade)]
            )
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response.

    Attributes:
        status: such as 200.
        headers: header fields. When it is sent, Content-Length, Connection and Date are added.
        body: the content, in bytes.
        stream: the content, instead, as pieces that come over time, such as Server-Sent Events. The
            end of TCP ends it. Pieces are asked for as fast as the client takes them. On asyncio it
            is asynchronous, and a generator is closed when the client has gone; with threads it is
            plain, and a generator is closed when the next piece finds that out.
    """

    status: int = 200
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    stream: AsyncIterable[bytes] | Iterable[bytes] | None = None

    @classmethod
    def text(
        cls,
        text: str,
        status: int = 200,
        *,
        content_type: str = "text/plain; charset=utf-8",
        headers: HeadersLike = (),
    ) -> Self:
        """Makes a response from text, sent as UTF-8."""
        return cls(
            status, Headers([("Content-Type", content_type), *Headers(headers)]), text.encode()
        )

    @classmethod
    def html(cls, html: str, status: int = 200, *, headers: HeadersLike = ()) -> Self:
        """Makes a response from a page of HTML, sent as UTF-8."""
        return cls.text(html, status, content_type="text/html; charset=utf-8", headers=headers)

    @classmethod
    def json(cls, value: Any, status: int = 200, *, headers: HeadersLike = ()) -> Self:
        """Makes a response from a value that `json.dumps` takes.

        Raises:
            ValueError: a number in it is not finite, which JSON cannot say.
            TypeError: JSON has nothing for a value in it.
        """
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return cls.text(f"{text}\n", status, content_type="application/json", headers=headers)


class HeadReader:
    """Collects the head of an HTTP message, line by line, within limits."""

    __slots__ = ("_buffer", "_fields", "_limits", "_line_start", "_lines", "_searched")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._fields: Headers | None = None
        self._line_start = 0
        self._searched = 0
        self._lines = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Returns the head with its empty line, and what follows it; None while it is unfinished.

        Raises:
            HandshakeError: a limit is exceeded, or a line is not one of HTTP's.
        """
        if not self._buffer and (head := self._whole(data)) is not None:
            return head, data[len(head) :]
        self._buffer += data
        while (end := self._buffer.find(b"\n", self._searched)) >= 0:
            self._check_size(end, end + 1)
            line = bytes(self._buffer[self._line_start : end])
            # RFC 9112 §2.2: a lone LF may be taken for the end of a line; two parsers that differ
            # in this are how requests get smuggled, so it is not.
            if not line.endswith(b"\r"):
                raise HandshakeError("line ends without CRLF", HTTPStatus.BAD_REQUEST)
            line = line[:-1]
            self._line_start = self._searched = end + 1
            if line:
                self._check_line(line)
                self._lines += 1
            elif self._lines:
                return bytes(self._buffer[: end + 1]), bytes(self._buffer[end + 1 :])
            # RFC 9112 §2.2: "ignore at least one empty line (CRLF) received prior to the
            # request-line".
            else:
                del self._buffer[: end + 1]
                self._line_start = self._searched = 0
                self._lines = 0
        self._searched = len(self._buffer)
        self._check_size(len(self._buffer), len(self._buffer))
        return None

    def fields(self, head: bytes) -> Headers:
        """Reads the fields of the head that `feed` has returned.

        Raises:
            HandshakeError: a line is no field.
        """
        if self._fields is not None:
            return self._fields
        try:
            return Headers.from_wire(head[head.index(b"\n") + 1 : -2])
        except ValueError as error:
            raise HandshakeError(str(error), HTTPStatus.BAD_REQUEST) from error

    def _whole(self, data: bytes) -> bytes | None:
        """Returns the head that nearly everybody sends: in one piece, in order, within limits.

        It takes nothing that would not be taken line by line.
        """
        end = data.find(b"\r\n\r\n") + 4
        limits = self._limits
        max_head, max_line = limits.max_head_size, limits.max_request_line_size
        if end == 3 or (max_head is not None and end > max_head):
            return None
        line_end = data.find(b"\r\n")
        lines = data[line_end + 2 : end - 2]
        if (
            line_end == 0
            or data[0] in b" \t"
            or FORBIDDEN.search(data, 0, line_end)
            or (max_line is not None and line_end > max_line)
            or exceeds(lines.count(b"\n"), limits.max_headers)
            or (
                exceeds(len(lines), limits.max_header_line_size)
                and exceeds(max(map(len, lines.split(b"\r\n"))), limits.max_header_line_size)
            )
        ):
            return None
        try:
            self._fields = Headers.from_wire(lines)
        except ValueError:
            return None
        return data if end == len(data) else data[:end]

    def _check_size(self, line_end: int, head_end: int) -> None:
        # A CR may belong to the end of the line, which does not count.
        line_end -= self._buffer.endswith(b"\r", 0, line_end)
        limits = self._limits
        line_limit = limits.max_header_line_size if self._lines else limits.max_request_line_size
        line_may_end = inf if line_limit is None else self._line_start + line_limit
        head_may_end = inf if limits.max_head_size is None else limits.max_head_size
        # Of two limits, the one that was passed first is told: reads may end anywhere.
        if line_end > line_may_end < head_may_end:
            if self._lines == 0:
                raise HandshakeError("start line is too long", HTTPStatus.REQUEST_URI_TOO_LONG)
            raise HandshakeError(
                "header line is too long", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            )
        if head_end > head_may_end:
            raise HandshakeError("head is too large", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _check_line(self, line: bytes) -> None:
        if FORBIDDEN.search(line):
            raise HandshakeError("control character in the head", HTTPStatus.BAD_REQUEST)
        # RFC 9112 §5.2: a line that goes on in the next (obs-fold) is refused in a request.
        if line[0] in b" \t":
            raise HandshakeError("line starts with white space", HTTPStatus.BAD_REQUEST)
        if exceeds(self._lines, self._limits.max_headers):
            raise HandshakeError(
                "too many header fields", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            )


def exceeds(value: int, limit: int | None) -> bool:
    """Tells whether the value is over a limit that may be off."""
    return limit is not None and value > limit


def max_incomplete_size(limits: Limits) -> int:
    """Returns how much h11 may keep of what is unfinished in a body, in bytes.

    It gets whole heads; what is left for it to collect are the lines around chunks, and trailers.
    """
    return 1 << 30 if limits.max_head_size is None else limits.max_head_size


def error_response(error: HandshakeError) -> Response:
    """Returns the answer that tells of an error: its status, its headers, its message as text."""
    return Response.text(f"{error}\n", error.status or 400, headers=error.headers)
