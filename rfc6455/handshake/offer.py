"""RFC 6455 §4.2.1: what a client's opening handshake has to say, and what it offers.

What lives here: the numbered items of that section, as checks of a request that was read. This file
does not know how it came, nor how it is answered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final, NamedTuple

from ..errors import HandshakeError
from ..headers import parse_extensions, parse_tokens
from ..http import Request
from .nonce import VERSION

__all__ = ["Offer", "offered_subprotocols", "validate"]

KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")
VERSION_FIELD: Final = VERSION.encode()
SPELT: Final = {
    b"upgrade": "Upgrade",
    b"sec-websocket-key": "Sec-WebSocket-Key",
    b"sec-websocket-version": "Sec-WebSocket-Version",
}
"""Fields that have to be there once, by their names in lower case."""


class Offer(NamedTuple):
    """What a valid request of §4.2.1 offers.

    Attributes:
        key: Sec-WebSocket-Key, as it came.
        subprotocols: the preferred one first.
        extensions: each with its parameters, the preferred one first.
    """

    key: bytes
    subprotocols: list[str]
    extensions: list[tuple[str, list[tuple[str, str | None]]]]


def validate(request: Request) -> Offer:
    """Judges a request by §4.2.1 and returns what it offers.

    Raises:
        HandshakeError: it does not open a WebSocket: 405 for another method than GET, 505 for
            HTTP/1.0, 426 for no upgrade and for another version, else 400.
    """
    fields = request.headers.by_name()
    # 1. "An HTTP/1.1 or higher GET request"
    if request.http_version == "1.0":
        raise HandshakeError("WebSocket needs HTTP/1.1", HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    if request.method != "GET":
        raise HandshakeError(
            "a WebSocket opens with GET", HTTPStatus.METHOD_NOT_ALLOWED, [("Allow", "GET")]
        )
    # 2. "A |Host| header field": seen to when the head was read.
    # 3. "An |Upgrade| header field containing the value 'websocket', treated as an ASCII
    #    case-insensitive value."
    if not request.wants_websocket:
        raise HandshakeError(
            "this is a WebSocket endpoint",
            HTTPStatus.UPGRADE_REQUIRED,
            [("Upgrade", "websocket"), ("Connection", "Upgrade, close")],
        )
    _only_one(fields, b"upgrade")
    # 4. "A |Connection| header field that includes the token 'Upgrade', treated as an ASCII
    #    case-insensitive value."
    connection = fields.get(b"connection", [])
    if connection != [b"Upgrade"] and "upgrade" not in [
        token.lower() for token in _tokens(connection, "Connection")
    ]:
        raise HandshakeError("Connection does not say Upgrade", HTTPStatus.BAD_REQUEST)
    # 5. "A |Sec-WebSocket-Key| header field with a base64-encoded value that, when decoded, is 16
    #    bytes in length." Its last character may be any: the RFC's own example is not canonical.
    key = _only_one(fields, b"sec-websocket-key")
    if not KEY.fullmatch(key):
        raise HandshakeError("Sec-WebSocket-Key is not 16 bytes in base64", HTTPStatus.BAD_REQUEST)
    # 6. "A |Sec-WebSocket-Version| header field, with a value of 13." §4.4: otherwise the answer
    #    lists the versions that we speak.
    if _only_one(fields, b"sec-websocket-version") != VERSION_FIELD:
        raise HandshakeError(
            "only WebSocket version 13 is spoken here",
            HTTPStatus.UPGRADE_REQUIRED,
            [
                ("Sec-WebSocket-Version", VERSION),
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade, close"),
            ],
        )
    # 7. "Optionally, an |Origin| header field": the application judges it.
    if len(fields.get(b"origin", ())) > 1:
        raise HandshakeError("repeated Origin", HTTPStatus.BAD_REQUEST)
    # 8. and 9. "Optionally", subprotocols and extensions: but well-formed.
    return Offer(
        key,
        offered_subprotocols(request) if b"sec-websocket-protocol" in fields else [],
        _extensions(fields.get(b"sec-websocket-extensions", ())),
    )


def offered_subprotocols(request: Request) -> list[str]:
    """Returns the subprotocols that the client offers, the preferred one first (§4.1, item 10).

    Raises:
        HandshakeError: 400; the list is malformed, or names one twice.
    """
    lines = request.headers.lines(b"sec-websocket-protocol")
    subprotocols = _tokens(lines, "Sec-WebSocket-Protocol", allow_empty=False)
    if len(set(subprotocols)) < len(subprotocols):
        raise HandshakeError("a subprotocol is offered twice", HTTPStatus.BAD_REQUEST)
    return subprotocols


def _extensions(lines: Sequence[bytes]) -> list[tuple[str, list[tuple[str, str | None]]]]:
    try:
        return parse_extensions(lines)
    except ValueError as error:
        raise HandshakeError(
            f"malformed Sec-WebSocket-Extensions: {error}", HTTPStatus.BAD_REQUEST
        ) from error


def _tokens(lines: list[bytes], name: str, *, allow_empty: bool = True) -> list[str]:
    try:
        return parse_tokens(lines, allow_empty=allow_empty)
    except ValueError as error:
        raise HandshakeError(f"malformed {name}: {error}", HTTPStatus.BAD_REQUEST) from error


def _only_one(fields: Mapping[bytes, Sequence[bytes]], name: bytes) -> bytes:
    lines = fields.get(name, ())
    if len(lines) != 1:
        raise HandshakeError(
            f"{'repeated' if lines else 'missing'} {SPELT[name]}", HTTPStatus.BAD_REQUEST
        )
    return lines[0]
