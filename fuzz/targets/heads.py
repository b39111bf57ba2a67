"""`rfc6455.handshake.codec` beside `server`: the native reader of heads, and what specifies it.

For every read, within every limit: with the native reader and without it a handshake gives the same
request with the same fields and the same offer, or the same error in the same words; and the same
is left of the read.

Where no native twin is built, Python is compared with itself, which proves nothing: `fuzz.run` says
so.
"""

from __future__ import annotations

from rfc6455 import HandshakeError, Limits
from rfc6455.handshake import ServerHandshake, codec, validate

from ..oracles import digest, require
from . import request_head

LIMITS = (
    Limits(),
    request_head.LIMITS,
    Limits(
        max_request_line_size=None, max_header_line_size=30, max_head_size=None, max_headers=None
    ),
    Limits(max_request_line_size=20, max_head_size=100, max_headers=3),
)
NATIVE = codec.read_request


def seeds() -> dict[str, bytes]:
    """Returns those of `request_head`."""
    return request_head.seeds()


def check(data: bytes) -> None:
    """Compares the two on a read."""
    limits = LIMITS[digest(data) % len(LIMITS)]
    found, expected = (verdict(data, limits, reader) for reader in (NATIVE, None))
    require(found == expected, "the twins differ", found, expected)


def verdict(data: bytes, limits: Limits, reader: object) -> object:
    """Returns what comes of a read, as values that compare."""
    codec.read_request = reader  # type: ignore[assignment]
    try:
        handshake = ServerHandshake(limits)
        request = handshake.receive_data(data)
        if request is None:
            return None
        fields = request.headers.items(), request.headers.by_name()
        read = request, fields, handshake.trailing_data, handshake.wants_content
        try:
            return read, validate(request)
        except HandshakeError as error:
            return read, error.status, str(error)
    except HandshakeError as error:
        return error.status, str(error)
    finally:
        codec.read_request = NATIVE
