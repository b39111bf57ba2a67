"""`rfc6455.frames`: the functions that read and write one frame.

For every input, and whatever may be masked or marked in it:

- `decode_header` and `decode` return, or raise `ProtocolError` with close code 1002; nothing else.
- What proves a frame wrong goes on doing so when more bytes arrive, with the same words; a header
  that is whole stays the same. (All beginnings are tried of one input in four, of the others two.)
- A header takes 2 to 14 bytes, and none before its last byte has come.
- ``encode(decode(data))`` gives back the same bytes: there is one way to write a frame.
"""

from __future__ import annotations

from collections.abc import Iterable

from rfc6455 import CloseCode, ProtocolError
from rfc6455.frames import FrameHeader, Opcode, apply_mask, decode, decode_header, encode

from ..oracles import digest, outcome, require
from ..seeds import CLIENT_STREAMS, SERVER_STREAMS

SETTINGS = [(masked, rsv) for masked in (None, True, False) for rsv in (0x00, 0x40, 0x70)]


def seeds() -> dict[str, bytes]:
    """Returns every vector of both directions."""
    return {
        f"from-{side}-{name}": data for side, streams in SIDES for name, data in streams.items()
    }


SIDES = (("client", CLIENT_STREAMS), ("server", SERVER_STREAMS))


def check(data: bytes) -> None:
    """Checks the invariants for the frame at the start of the input."""
    number = digest(data)
    masked, rsv = SETTINGS[number % len(SETTINGS)]
    most = min(len(data), 15)
    sizes: Iterable[int] = range(most + 1)
    if number >> 8 & 0b11:
        sizes = ((number >> 10) % (most + 1), most)
    _check_header(data, masked, rsv, sizes)
    decoded, _ = outcome(decode_any, data, documented=ProtocolError)
    if decoded is None:
        return
    frame, end = decoded
    header = decode_header(data, allowed_rsv=0x70)
    assert header is not None
    require(end == header.size + header.length <= len(data), "wrong end of the frame", header, end)
    require(len(frame.payload) == header.length, "wrong length of the payload", frame)
    again = encode(
        frame.opcode,
        frame.payload,
        fin=frame.fin,
        rsv=frame.rsv,
        masking_key=header.masking_key,
    )
    require(again == data[:end], "the frame is written in another way", frame, again)
    if header.masking_key is not None:
        wire = data[header.size : end]
        require(
            apply_mask(frame.payload, header.masking_key) == wire, "masking does not undo itself"
        )
        key = header.masking_key
        bytewise = bytes(octet ^ key[i % 4] for i, octet in enumerate(wire))
        require(frame.payload == bytewise, "§5.3 says otherwise", frame.payload)


def decode_any(data: bytes) -> object:
    """Decodes with all that may be allowed."""
    return decode(data, masked=None, allowed_rsv=0x70)


def _check_header(data: bytes, masked: bool | None, rsv: int, sizes: Iterable[int]) -> None:
    verdict: FrameHeader | str | None = None
    for size in sizes:
        found: FrameHeader | str | None
        try:
            found = decode_header(data[:size], masked=masked, allowed_rsv=rsv)
        except ProtocolError as error:
            require(error.code is CloseCode.PROTOCOL_ERROR, "wrong close code", error)
            found = str(error)
        if isinstance(found, FrameHeader):
            require(2 <= found.size <= min(size, 14), "header of a wrong size", found)
            require(masked in (None, found.masking_key is not None), "wrong direction", found)
            require(not found.rsv & ~rsv, "reserved bit passed", found)
            if found.opcode >= Opcode.CLOSE:
                require(found.fin and found.length <= 125, "control frame passed", found)
        require(verdict is None or found == verdict, "more bytes change it", verdict, found)
        verdict = found
