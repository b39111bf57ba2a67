"""Frames as a server reads them: `rfc6455.codec.Decoder` with ``masked=True``.

The invariants are those of `fuzz.targets._frames`.
"""

from __future__ import annotations

from functools import partial

from ..seeds import CLIENT_STREAMS
from ._frames import check_stream, new_decoder


def seeds() -> dict[str, bytes]:
    """Returns what a client may send, rightly and wrongly."""
    return dict(CLIENT_STREAMS)


def check(data: bytes) -> None:
    """Checks the invariants for a stream that a client sends."""
    new = partial(new_decoder, masked=True)
    check_stream(data, new, masked=True, most_retained=len(data), sparing=True)
