"""One HTTP/1.1 request of a client, and the answer to it.

What lives here: how they are written and read, and the limits on an answer: its head, the interim
answers before it, the body of a refusal, which is left to h11. This file does no I/O; it does not
know what is asked for, nor whether the answer is good.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

import h11

from .errors import HandshakeError, UsageError
from .headers import Headers
from .http import HeadReader, Response, exceeds, max_incomplete_size
from .limits import Limits

__all__ = ["Exchange"]

MAX_INTERIM_RESPONSES: Final = 4
# RFC 9112 §4; some servers leave out the space before an empty reason phrase.
STATUS_LINE: Final = re.compile(
    rb"HTTP/(?P<version>1\.[01]) (?P<status>[1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?"
)
TARGET: Final = re.compile(r"[\x21-\x7e]+")


class Exchange:
    """A request without a body, and its answer.

    Write what `request_data` returns, then give what arrives to `receive_data` until it returns the
    answer.

    Args:
        method: such as ``GET``; after a successful ``CONNECT`` the connection is a tunnel.
        target: the request target.
        headers: all fields of the request, Host among them.
        limits: see `Limits`.

    Raises:
        UsageError: the target may not stand in a request.
    """

    def __init__(self, method: str, target: str, headers: Headers, limits: Limits) -> None:
        if not TARGET.fullmatch(target):
            raise UsageError(f"not a request target: {target!r}")
        self._method = method
        self._request = f"{method} {target} HTTP/1.1\r\n".encode() + headers.to_wire() + b"\r\n"
        self._limits = limits
        self._head = HeadReader(limits)
        self._interim = 0
        self._refusal: Response | None = None
        self._http: h11.Connection | None = None
        self._body = bytearray()
        self.http_version = ""
        """The version in the answer: ``1.1`` or ``1.0``."""
        self.trailing_data = b""
        """What came behind the head of an answer that ends HTTP on this connection."""

    def request_data(self) -> bytes:
        """Returns the bytes of the request."""
        return self._request

    def receive_data(self, data: bytes) -> Response | None:
        """Takes what a read brought.

        Returns:
            The answer, when it has come whole: with status 101, or 2xx to ``CONNECT``, HTTP is over
            with its head; any other has as much of its body as `Limits.max_body_size` allows.

        Raises:
            HandshakeError: the answer is not valid HTTP, or exceeds a limit.
        """
        try:
            return self._receive(data)
        except h11.RemoteProtocolError as error:
            raise HandshakeError(str(error)) from error

    def receive_eof(self) -> Response:
        """Takes the end of TCP. Returns an answer whose body ended with it.

        Raises:
            HandshakeError: there was no answer yet. Its cause is an `EOFError`.
        """
        if self._refusal is None:
            raise HandshakeError("connection closed before an answer came") from EOFError()
        return self._refused(self._refusal)

    def _receive(self, data: bytes) -> Response | None:
        while self._http is None:
            try:
                head = self._head.feed(data)
                if head is None:
                    return None
                response = self._read_head(head[0])
            except HandshakeError as error:
                # The status in it is one for a server to answer with.
                raise HandshakeError(str(error)) from error
            data = head[1]
            status = response.status
            if status == 101 or (self._method == "CONNECT" and 200 <= status < 300):
                self.trailing_data = data
                return response
            if status >= 200:
                self._refusal = response
                self._http = self._begin_body(head[0])
                break
            self._interim += 1
            if self._interim > MAX_INTERIM_RESPONSES:
                raise HandshakeError("too many interim responses")
            self._head = HeadReader(self._limits)
        return self._read_body(self._http, data)

    def _read_head(self, head: bytes) -> Response:
        line_end = head.index(b"\r\n")
        line = STATUS_LINE.fullmatch(head, 0, line_end)
        if line is None:
            raise HandshakeError("malformed status line")
        self.http_version = line["version"].decode()
        hundreds, tens, ones = line["status"]
        status = 100 * hundreds + 10 * tens + ones - 111 * ord("0")
        return Response(status, self._head.fields(head))

    def _begin_body(self, head: bytes) -> h11.Connection:
        http = h11.Connection(
            h11.CLIENT, max_incomplete_event_size=max_incomplete_size(self._limits)
        )
        # For h11 to know what is answered; the method is what matters.
        http.send(h11.Request(method=self._method, target="/", headers=[("Host", "")]))
        http.send(h11.EndOfMessage())
        http.receive_data(head)
        http.next_event()
        return http

    def _read_body(self, http: h11.Connection, data: bytes) -> Response | None:
        # To h11 no bytes are the end of TCP.
        if data:
            http.receive_data(data)
        assert self._refusal is not None
        while True:
            event = http.next_event()
            if isinstance(event, h11.Data):
                self._body += event.data
                # The page of an error is worth so much and no more.
                if exceeds(len(self._body), self._limits.max_body_size):
                    return self._refused(self._refusal)
            elif isinstance(event, h11.EndOfMessage):
                return self._refused(self._refusal)
            else:
                return None

    def _refused(self, refusal: Response) -> Response:
        return replace(refusal, body=bytes(self._body[: self._limits.max_body_size]))
