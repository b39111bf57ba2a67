"""`rfc6455.codec` beside `parser` and `frames`: the native twin, and the Python that specifies it.

For every stream, for either role, within every limit, however it is cut and in whatever buffers it
comes:

- Both decoders give the same events, of the same types, and the same faults in the same words.
- Both encoders give the same bytes for the same payload, masked and not.
- What the native inflater takes, zlib takes alike; what the native compressor makes, zlib inflates.

Where no native twin is built, Python is compared with itself, which proves nothing: `fuzz.run` says
so.
"""

from __future__ import annotations

import zlib

from rfc6455 import PermessageDeflate, codec, frames, parser
from rfc6455.extensions.codec import TAIL, inflate_whole_for, new_compressor
from rfc6455.frames import Opcode

from ..oracles import digest, pieces, require
from ..seeds import CLIENT_STREAMS, SERVER_STREAMS
from ._frames import comparable
from .inflate import deflate, negotiate

LIMITS: tuple[tuple[int | None, int | None], ...] = (
    (None, None),
    (0x10010, 8),
    (200, 8),
    (0, None),
    (None, 0),
    (125, 1),
)
OPCODES = tuple(Opcode)
DEFLATE = PermessageDeflate(window_bits=9, peer_window_bits=9)


DEFLATED = {
    "hello": "f248cdc9c90700",
    "looks-back": "f200110000",
    "final-block": "f348cdc9c9070000",
    "not-utf8": "fa0f00",
    "not-deflate": "ff",
    "nothing": "",
}


TEXT = b"the same words, and the same words again, and other words " * 4


def seeds() -> dict[str, bytes]:
    """Returns every vector of both directions, some that are deflated, and bare DEFLATE."""
    seeds = {
        f"from-{side}-{name}": data
        for side, streams in (("client", CLIENT_STREAMS), ("server", SERVER_STREAMS))
        for name, data in streams.items()
    }
    seeds |= {
        f"deflated-{name}-{count}": frames.encode(
            Opcode.TEXT, bytes.fromhex(payload), rsv=0x40, masking_key=bytes(4)
        )
        * count
        for name, payload in DEFLATED.items()
        for count in (1, 2, 70)
    }
    seeds |= {f"bare-{name}": bytes.fromhex(payload) for name, payload in DEFLATED.items()}
    return seeds | {
        "bare-fixed-codes": deflate(TEXT[:60]),
        "bare-own-codes": deflate(TEXT + bytes(range(64, 128)) * 3),
        "bare-stored": bytes.fromhex("000500faff48656c6c6f00"),
        "bare-zeros": deflate(bytes(3000)),
        "bare-many-blocks": deflate(TEXT) + TAIL + deflate(TEXT[::-1]),
    }


def check(data: bytes) -> None:
    """Compares the twins on a stream, and on its bytes as a payload."""
    masked = len(data) > 1 and data[1] & 0x80 != 0
    number = digest(data)
    max_message_size, max_fragments = LIMITS[(number >> 8) % len(LIMITS)]
    native, python = (
        kind(
            masked=masked,
            max_message_size=max_message_size,
            max_fragments=max_fragments,
            extensions=negotiate(DEFLATE)[:1] if number & 0x100000 else (),
        )
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
    _check_inflating(data, number)
    _check_compressing(data, number)


def _check_inflating(payload: bytes, number: int) -> None:
    inflate_whole, _ = inflate_whole_for(zlib)
    if inflate_whole is None:
        return
    window_bits = 8 + number % 8
    before = payload[: number >> 3 & 0xFF] if number & 0x800 else b""
    history = bytearray(before)
    limit = None if number & 0x1000 else number >> 13
    try:
        message = inflate_whole(payload, history, window_bits, limit)
    except OverflowError:
        message = None
    if message is None:
        require(history == before, "a refused message is remembered", history, before)
        return
    require(limit is None or len(message) <= limit, "message beyond the limit", len(message))
    inflater = zlib.decompressobj(-window_bits, zdict=before)
    expected = inflater.decompress(payload + TAIL)
    require(message == expected, "zlib inflates another message", message, expected)
    window = (before + message)[-(1 << window_bits) :]
    require(history == window, "another history", history, window)


def _check_compressing(data: bytes, number: int) -> None:
    window_bits = 8 + number % 8
    compressor = new_compressor(zlib, 1, 5, window_bits)
    inflater = zlib.decompressobj(-window_bits)
    for message in (data, data[number % 100 :] * (1 + number % 7), data):
        payload = compressor.compress(message)
        found = inflater.decompress(payload + TAIL)
        require(found == message, "comes out of zlib as something else", found, message)
