"""`rfc6455.codec` beside `parser` and `frames`: the native twin, and the Python that specifies it.

For every stream, for either role, within every limit, however it is cut and in whatever buffers it
comes:

- Both decoders give the same events, of the same types, and the same faults in the same words.
- Both encoders give the same bytes for the same payload, masked and not.

Where no native twin is built, Python is compared with itself, which proves nothing: `fuzz.run` says
so.
"""

from __future__ import annotations

from rfc6455 import codec, frames, parser
from rfc6455.frames import Opcode

from ..oracles import digest, pieces, require
from ..seeds import CLIENT_STREAMS, SERVER_STREAMS
from ._frames import comparable

LIMITS: tuple[tuple[int | None, int | None], ...] = (
    (None, None),
    (0x10010, 8),
    (200, 8),
    (0, None),
    (None, 0),
    (125, 1),
)
OPCODES = tuple(Opcode)


def seeds() -> dict[str, bytes]:
    """Returns every vector of both directions."""
    return {
        f"from-{side}-{name}": data
        for side, streams in (("client", CLIENT_STREAMS), ("server", SERVER_STREAMS))
        for name, data in streams.items()
    }


def check(data: bytes) -> None:
    """Compares the twins on a stream, and on its bytes as a payload."""
    masked = len(data) > 1 and data[1] & 0x80 != 0
    number = digest(data)
    max_message_size, max_fragments = LIMITS[(number >> 8) % len(LIMITS)]
    native, python = (
        kind(masked=masked, max_message_size=max_message_size, max_fragments=max_fragments)
        for kind in (codec.Decoder, parser.Decoder)
    )
    for part in pieces(data) if number & 0x80 else [data]:
        # Python first: it may not keep what it is given, and the piece is still whole behind it.
        expected = comparable(python.receive_data(part))
        found = comparable(native.receive_data(part))
        require(found == expected, "the twins differ", found, expected)
        types = [type(event) for event in found]
        require(types == [type(event) for event in expected], "other types", found, expected)
    opcode = OPCODES[number % len(OPCODES)]
    fin, rsv = bool(number & 1), number >> 1 & 0x70
    key = number.to_bytes(4, "big") if number & 2 else None
    ours = codec.encode(opcode, data, fin=fin, rsv=rsv, masking_key=key)
    theirs = frames.encode(opcode, data, fin=fin, rsv=rsv, masking_key=key)
    require(ours == theirs, "the twins write different frames", ours, theirs)
