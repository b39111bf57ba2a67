"""One HTTP/1.1 request of a client, and the answer to it, over h11.

What lives here: the limits on an answer: its head, the interim answers before it, the body of a
refusal. This file does no I/O; it does not know what is asked for, nor whether the answer is good.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import h11

from .errors import HandshakeError
from .headers import Headers
from .http import HeadReader, Response, exceeds, max_incomplete_size
from .limits import Limits

__all__ = ["Exchange"]

MAX_INTERIM_RESPONSES: Final = 4


class Exchange:
    """A request without a body, and its answer.

    Write what `request_data` returns, then give what arrives to `receive_data` until it returns the
    answer.

    Args:
        method: such as ``GET``; after a successful ``CONNECT`` the connection is a tunnel.
        target: the request target.
        headers: all fields of the request, Host among them.
        limits: see `Limits`.
    """

    def __init__(self, method: str, target: str, headers: Headers, limits: Limits) -> None:
        self._request = h11.Request(method=method, target=target, headers=headers.items())
        self._limits = limits
        self._head = HeadReader(limits)
        self._http = h11.Connection(
            h11.CLIENT, max_incomplete_event_size=max_incomplete_size(limits)
        )
        self._interim = 0
        self._refusal: Response | None = None
        self._body = bytearray()
        self.http_version = ""
        """The version in the answer: ``1.1`` or ``1.0``."""
        self.trailing_data = b""
        """What came behind the head of an answer that ends HTTP on this connection."""

    def request_data(self) -> bytes:
        """Returns the bytes of the request."""
        head = self._http.send(self._request)
        return (head or b"") + (self._http.send(h11.EndOfMessage()) or b"")

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
        while self._refusal is None:
            try:
                head = self._head.feed(data)
            except HandshakeError as error:
                # The status in it is one for a server to answer with.
                raise HandshakeError(str(error)) from error
            if head is None:
                return None
            self._http.receive_data(head[0])
            data = head[1]
            event = self._http.next_event()
            assert isinstance(event, (h11.InformationalResponse, h11.Response))
            fields = [(bytes(name), bytes(value)) for name, value in event.headers.raw_items()]
            response = Response(event.status_code, Headers.from_wire(fields))
            self.http_version = event.http_version.decode()
            if event.status_code == 101 or self._http.their_state is h11.SWITCHED_PROTOCOL:
                self.trailing_data = data
                return response
            if isinstance(event, h11.Response):
                self._refusal = response
                break
            self._interim += 1
            if self._interim > MAX_INTERIM_RESPONSES:
                raise HandshakeError("too many interim responses")
            self._head = HeadReader(self._limits)
        return self._read_body(self._refusal, data)

    def _read_body(self, refusal: Response, data: bytes) -> Response | None:
        # To h11 no bytes are the end of TCP.
        if data:
            self._http.receive_data(data)
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Data):
                self._body += event.data
                # The page of an error is worth so much and no more.
                if exceeds(len(self._body), self._limits.max_body_size):
                    return self._refused(refusal)
            elif isinstance(event, h11.EndOfMessage):
                return self._refused(refusal)
            else:
                return None

    def _refused(self, refusal: Response) -> Response:
        return replace(refusal, body=bytes(self._body[: self._limits.max_body_size]))
