"""RFC 6455 §4.1: the client's half of the opening handshake.

What lives here: the request, and the numbered steps that judge the answer, over h11, which reads
and writes HTTP/1.1 behind `http.HeadReader`. This file does no I/O and does not know what happens
afterwards; redirects and authentication are the transport's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import h11

from ..errors import HandshakeError, UsageError
from ..extensions.base import Extension, ExtensionFactory
from ..headers import (
    Headers,
    HeadersLike,
    build_extensions,
    is_token,
    parse_extensions,
    parse_tokens,
)
from ..http import HeadReader, Response, exceeds, max_incomplete_size
from ..limits import Limits
from ..state import State, Trigger, transition
from ..uri import WebSocketURI
from .nonce import VERSION, accept_key, new_key

__all__ = ["ClientHandshake"]

MAX_INTERIM_RESPONSES: Final = 4
RESERVED: Final = (
    "Content-Length",
    "Transfer-Encoding",
    "Host",
    "Upgrade",
    "Connection",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
)
"""Fields of the request that are ours; it has no body."""


class ClientHandshake:
    """The client's half (§4.1).

    Write what `request_data` returns, then give what arrives to `receive_data` until it returns the
    server's answer.

    Args:
        uri: where to.
        origin: value of the Origin field, which browsers send; None for none.
        subprotocols: those that we speak, the preferred one first.
        extensions: those that we offer.
        headers: further fields of the request, such as Cookie or Authorization.
        limits: see `Limits`.

    Raises:
        UsageError: an argument may not stand in a request.
    """

    def __init__(
        self,
        uri: WebSocketURI,
        *,
        origin: str | None = None,
        subprotocols: Sequence[str] = (),
        extensions: Sequence[ExtensionFactory] = (),
        headers: HeadersLike = (),
        limits: Limits | None = None,
    ) -> None:
        # §4.1, item 10: "The elements that comprise this value MUST be non-empty strings with
        # characters in the range U+0021 to U+007E not including separator characters [...] and MUST
        # all be unique strings."
        if not all(map(is_token, subprotocols)):
            raise UsageError("a subprotocol is an HTTP token")
        if len(set(subprotocols)) < len(subprotocols):
            raise UsageError("a subprotocol is named twice")
        self._limits = Limits() if limits is None else limits
        # §4.1, item 7: "a nonce consisting of a randomly selected 16-byte value that has been
        # base64-encoded".
        self._key = new_key()
        self._subprotocols = tuple(subprotocols)
        self._factories = {factory.name: factory for factory in extensions}
        if len(self._factories) < len(extensions):
            raise UsageError("an extension is named twice")
        offers = [(f.name, offer) for f in extensions for offer in f.offers()]
        fields = [
            ("Host", uri.host_header),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", self._key.decode()),
            ("Sec-WebSocket-Version", VERSION),
        ]
        if origin is not None:
            fields.append(("Origin", origin))
        if subprotocols:
            fields.append(("Sec-WebSocket-Protocol", ", ".join(subprotocols)))
        if offers:
            fields.append(("Sec-WebSocket-Extensions", build_extensions(offers)))
        more = Headers(headers)
        for name in RESERVED if origin is None else (*RESERVED, "Origin"):
            if name in more:
                raise UsageError(f"{name} is ours to set")
        self._request_headers = Headers([*fields, *more])
        self._resource_name = uri.resource_name
        self._head = HeadReader(self._limits)
        self._http = h11.Connection(
            h11.CLIENT, max_incomplete_event_size=max_incomplete_size(self._limits)
        )
        self._interim = 0
        self._refusal: Response | None = None
        self._body = bytearray()
        self._state = State.CONNECTING
        self.subprotocol: str | None = None
        """The subprotocol in use, after the handshake."""
        self.extensions: list[Extension] = []
        """The extensions in use, after the handshake."""
        self.trailing_data = b""
        """What the server sent behind its answer: the first bytes of the WebSocket."""

    @property
    def state(self) -> State:
        """CONNECTING, then OPEN or CLOSED."""
        return self._state

    def request_data(self) -> bytes:
        """Returns the bytes of the request."""
        head = self._http.send(
            h11.Request(
                method="GET", target=self._resource_name, headers=self._request_headers.items()
            )
        )
        return (head or b"") + (self._http.send(h11.EndOfMessage()) or b"")

    def receive_data(self, data: bytes) -> Response | None:
        """Takes what a read brought.

        Returns:
            The server's answer, when it has come whole. With status 101 the connection is open;
            anything else is for HTTP to deal with (§4.1, response step 1).

        Raises:
            HandshakeError: the answer does not open a WebSocket, or is not valid HTTP.
        """
        if self._state is not State.CONNECTING:
            return None
        try:
            return self._receive(data)
        except h11.RemoteProtocolError as error:
            self._state = transition(self._state, Trigger.REFUSE)
            raise HandshakeError(str(error)) from error
        except HandshakeError:
            self._state = transition(self._state, Trigger.REFUSE)
            raise

    def receive_eof(self) -> Response | None:
        """Takes the end of TCP. Returns a refusal whose body ended with it, or raises."""
        if self._state is not State.CONNECTING:
            return None
        if self._refusal is not None:
            return self._refused(self._refusal)
        self._state = transition(self._state, Trigger.END)
        raise HandshakeError("connection closed before the server answered")

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
            response = Response(event.status_code, Headers.from_wire(event.headers.raw_items()))
            if event.status_code == 101:
                if event.http_version != b"1.1":
                    raise HandshakeError("the answer is not HTTP/1.1", 101)
                self._check(response.headers)
                self._state = transition(self._state, Trigger.ACCEPT)
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
        self._state = transition(self._state, Trigger.REFUSE)
        return replace(refusal, body=bytes(self._body[: self._limits.max_body_size]))

    def _check(self, headers: Headers) -> None:
        """The steps 2 to 6 that §4.1 has for the server's answer."""
        # 2. "If the response lacks an |Upgrade| header field or [it] contains a value that is not
        #    an ASCII case-insensitive match for the value 'websocket', the client MUST _Fail_".
        if _single(headers, "Upgrade").lower() != b"websocket":
            raise HandshakeError("Upgrade does not say websocket", 101)
        # 3. "[...] lacks a |Connection| header field or [it] doesn't contain a token that is an
        #    ASCII case-insensitive match for the value 'Upgrade'".
        if "upgrade" not in [token.lower() for token in _answered(headers, "Connection")]:
            raise HandshakeError("Connection does not say Upgrade", 101)
        # 4. "[...] lacks a |Sec-WebSocket-Accept| header field" or it is another than that of our
        #    key.
        if _single(headers, "Sec-WebSocket-Accept") != accept_key(self._key).encode():
            raise HandshakeError("Sec-WebSocket-Accept does not answer our key", 101)
        # 5. "If the response includes a |Sec-WebSocket-Extensions| header field and this header
        #    field indicates the use of an extension that was not present in the client's
        #    handshake".
        self._check_extensions(headers)
        # 6. The same for subprotocols. The server chooses one, or sends no such field.
        if "Sec-WebSocket-Protocol" in headers:
            subprotocol = _single(headers, "Sec-WebSocket-Protocol").decode("latin-1")
            if subprotocol not in self._subprotocols:
                raise HandshakeError(f"subprotocol was not offered: {subprotocol!r}", 101)
            self.subprotocol = subprotocol

    def _check_extensions(self, headers: Headers) -> None:
        if "Sec-WebSocket-Extensions" not in headers:
            return
        value = _single(headers, "Sec-WebSocket-Extensions")
        taken = 0
        try:
            for name, parameters in parse_extensions([value]):
                if name not in self._factories:
                    raise ValueError(f"{name} was not offered")
                extension = self._factories[name].confirm(parameters)
                if extension.rsv & taken:
                    raise ValueError(f"{name} uses a reserved bit that is taken")
                taken |= extension.rsv
                self.extensions.append(extension)
        except ValueError as error:
            raise HandshakeError(f"Sec-WebSocket-Extensions: {error}", 101) from error


def _single(headers: Headers, name: str) -> bytes:
    values = headers.raw(name)
    if len(values) != 1:
        raise HandshakeError(f"{'repeated' if values else 'missing'} {name}", 101)
    return values[0]


def _answered(headers: Headers, name: str) -> list[str]:
    try:
        return parse_tokens(headers.raw(name), allow_empty=True)
    except ValueError as error:
        raise HandshakeError(f"malformed {name}: {error}", 101) from error
