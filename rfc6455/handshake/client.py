"""RFC 6455 §4.1: the client's half of the opening handshake.

What lives here: the request, and the numbered steps that judge the answer. HTTP/1.1 itself is
`exchange.Exchange`'s. This file does no I/O and does not know what happens afterwards; redirects
are `redirect`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..errors import HandshakeError, UsageError
from ..exchange import Exchange
from ..extensions.base import Extension, ExtensionFactory
from ..headers import (
    Headers,
    HeadersLike,
    basic_credentials,
    build_extensions,
    is_token,
    parse_extensions,
    parse_tokens,
)
from ..http import Response
from ..limits import Limits
from ..state import State, Trigger, transition
from ..uri import WebSocketURI
from ..version import USER_AGENT
from .nonce import VERSION, accept_key, new_key

__all__ = ["ClientHandshake"]

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
        uri: where to. A user and a password in it are sent as Basic credentials (RFC 7617).
        origin: value of the Origin field, which browsers send; None for none.
        subprotocols: those that we speak, the preferred one first.
        extensions: those that we offer.
        headers: further fields of the request, such as Cookie or Authorization.
        user_agent: value of the User-Agent field; None for none. One among ``headers`` takes its
            place.
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
        user_agent: str | None = USER_AGENT,
        limits: Limits | None = None,
    ) -> None:
        # §4.1, item 10: "The elements that comprise this value MUST be non-empty strings with
        # characters in the range U+0021 to U+007E not including separator characters [...] and MUST
        # all be unique strings."
        if not all(map(is_token, subprotocols)):
            raise UsageError("a subprotocol is an HTTP token")
        if len(set(subprotocols)) < len(subprotocols):
            raise UsageError("a subprotocol is named twice")
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
        if user_agent is not None and "User-Agent" not in more:
            fields.append(("User-Agent", user_agent))
        if uri.user is not None:
            if "Authorization" in more:
                raise UsageError("credentials are given twice: in the URI and as Authorization")
            fields.append(("Authorization", basic_credentials(uri.user, uri.password or "")))
        self._exchange = Exchange(
            "GET",
            uri.resource_name,
            Headers([*fields, *more]),
            Limits() if limits is None else limits,
        )
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
        return self._exchange.request_data()

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
            response = self._exchange.receive_data(data)
            if response is None:
                return None
            if response.status == 101:
                if self._exchange.http_version != "1.1":
                    raise HandshakeError("the answer is not HTTP/1.1", 101)
                self._check(response.headers)
        except HandshakeError:
            self._state = transition(self._state, Trigger.REFUSE)
            raise
        accepted = response.status == 101
        self._state = transition(self._state, Trigger.ACCEPT if accepted else Trigger.REFUSE)
        self.trailing_data = self._exchange.trailing_data
        return response

    def receive_eof(self) -> Response | None:
        """Takes the end of TCP. Returns a refusal whose body ended with it, or raises."""
        if self._state is not State.CONNECTING:
            return None
        try:
            response = self._exchange.receive_eof()
        except HandshakeError:
            self._state = transition(self._state, Trigger.END)
            raise
        self._state = transition(self._state, Trigger.REFUSE)
        return response

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
