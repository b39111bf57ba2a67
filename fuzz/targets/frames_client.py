"""Frames as a client reads them: `rfc6455.codec.Decoder` with ``masked=False``.

The invariants are those of `fuzz.targets._frames`.
"""

from __future__ import annotations

from functools import partial

from ..seeds import SERVER_STREAMS
from ._frames import check_stream, new_decoder


def seeds() -> dict[str, bytes]:
    """Returns what a server may send, rightly and wrongly."""
    return dict(SERVER_STREAMS)


def check(data: bytes) -> None:
    """Checks the invariants for a stream that a server sends."""
    new = partial(new_decoder, masked=False)
    check_stream(data, new, masked=False, most_retained=len(data), sparing=True)
