"""RFC 6455 §5.2: a frame, byte by byte.

What lives here: how a frame is written and read, and what its header alone proves to be wrong. This
file keeps no state, buffers nothing, and does not know about messages, connections or roles::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-------+-+-------------+-------------------------------+
    |F|R|R|R| opcode|M| Payload len |    Extended payload length    |
    |I|S|S|S|  (4)  |A|     (7)     |             (16/64)           |
    |N|V|V|V|       |S|             |   (if payload len==126/127)   |
    | |1|2|3|       |K|             |                               |
    +-+-+-+-+-------+-+-------------+ - - - - - - - - - - - - - - - +
    |     Extended payload length continued, if payload len == 127  |
    + - - - - - - - - - - - - - - - +-------------------------------+
    |                               |Masking-key, if MASK set to 1  |
    +-------------------------------+-------------------------------+
    | Masking-key (continued)       |          Payload Data         |
    +-------------------------------- - - - - - - - - - - - - - - - +
    :                     Payload Data continued ...                :
    + - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - +
    |                     Payload Data continued ...                |
    +---------------------------------------------------------------+
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from .close import CloseCode
from .errors import ProtocolError

__all__ = [
    "Frame",
    "FrameHeader",
    "Opcode",
    "apply_mask",
    "decode",
    "decode_header",
    "encode",
    "encode_message",
]


class Opcode(IntEnum):
    """What a frame is. Values from 8 up are control frames; 3–7 and 11–15 are reserved.

    Attributes:
        is_control: whether the frame speaks of the connection itself, rather than carrying data
            (§5.5).
    """

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10

    def __init__(self, value: int) -> None:
        self.is_control = value >= 8


FIN: Final = 0b1000_0000
RSV: Final = 0b0111_0000
OPCODE: Final = 0b0000_1111
MASK: Final = 0b1000_0000
PAYLOAD_LEN: Final = 0b0111_1111

LENGTH_16: Final = 126
LENGTH_64: Final = 127

HEADER: Final = Struct("!BB")
HEADER_16: Final = Struct("!BBH")
HEADER_64: Final = Struct("!BBQ")

OPCODES: Final = {int(opcode): opcode for opcode in Opcode}
TEXT: Final = Opcode.TEXT
BINARY: Final = Opcode.BINARY

from_bytes: Final = int.from_bytes


class FrameHeader(NamedTuple):
    """All of a frame but its payload.

    Attributes:
        fin: whether this is the last fragment of its message.
        rsv: the three reserved bits where they stand in the first byte: RSV1 is 0x40, RSV2 0x20,
            RSV3 0x10. Only a negotiated extension gives them a meaning.
        opcode: what the frame is.
        masking_key: four bytes, or None when the payload travels in the clear.
        length: of the payload, in bytes.
        size: of this header itself, in bytes: 2 to 14.
    """

    fin: bool
    rsv: int
    opcode: Opcode
    masking_key: bytes | None
    length: int
    size: int


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame with its payload, unmasked."""

    opcode: Opcode
    payload: bytes
    fin: bool = True
    rsv: int = 0


def decode_header(
    data: bytes, offset: int = 0, *, masked: bool | None = None, allowed_rsv: int = 0
) -> FrameHeader | None:
    """Reads the frame header that starts at ``offset``.

    Args:
        data: received bytes; they may end anywhere.
        offset: where the frame starts.
        masked: whether the peer must mask: True on a server, False on a client, None to read both.
        allowed_rsv: the reserved bits that negotiated extensions own.

    Returns:
        The header, or None while its last byte has not arrived.

    Raises:
        ProtocolError: the bytes that are there prove the frame to be wrong, even though some may be
            missing. Close code 1002.
    """
    available = len(data) - offset
    if available < 1:
        return None
    first = data[offset]
    rsv = first & RSV
    # §5.2: "If a nonzero value is received and none of the negotiated extensions defines the
    # meaning of such a nonzero value, the receiving endpoint MUST _Fail the WebSocket Connection_."
    if rsv & ~allowed_rsv:
        raise _violation("reserved bit set without an extension that defines it", "5.2")
    # §5.2: "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket
    # Connection_."
    opcode = OPCODES.get(first & OPCODE)
    if opcode is None:
        raise _violation(f"unknown opcode {first & OPCODE:#x}", "5.2")
    fin = first & FIN != 0
    # §5.5: "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be
    # fragmented."
    if opcode.is_control and not fin:
        raise _violation("fragmented control frame", "5.5")

    if available < 2:
        return None
    second = data[offset + 1]
    is_masked = second & MASK != 0
    # §5.1: "The server MUST close the connection upon receiving a frame that is not masked." "A
    # client MUST close a connection if it detects a masked frame."
    if masked is not None and is_masked is not masked:
        raise _violation("frame is not masked" if masked else "frame is masked", "5.1")
    length = second & PAYLOAD_LEN
    if opcode.is_control and length > 125:
        raise _violation("control frame payload is longer than 125 bytes", "5.5")

    position = offset + 2
    if length >= LENGTH_16:
        extended = data[position : position + (2 if length == LENGTH_16 else 8)]
        position += 2 if length == LENGTH_16 else 8
        # §5.2: "the most significant bit MUST be 0"
        if length == LENGTH_64 and extended and extended[0] & 0x80:
            raise _violation("most significant bit of the 64-bit length is set", "5.2")
        if available < position - offset:
            return None
        smallest = 126 if length == LENGTH_16 else 0x10000
        length = int.from_bytes(extended, "big")
        # §5.2: "in all cases, the minimal number of bytes MUST be used to encode the length"
        if length < smallest:
            raise _violation("payload length is not in its shortest form", "5.2")

    masking_key = None
    if is_masked:
        masking_key = bytes(data[position : position + 4])
        position += 4
        if available < position - offset:
            return None
    return FrameHeader(fin, rsv, opcode, masking_key, length, position - offset)


def decode(
    data: bytes, offset: int = 0, *, masked: bool | None = None, allowed_rsv: int = 0
) -> tuple[Frame, int] | None:
    """Reads the whole frame that starts at ``offset``, with the rules of `decode_header`.

    Returns:
        The frame and the offset of the byte after it, or None while its last byte has not arrived.
    """
    header = decode_header(data, offset, masked=masked, allowed_rsv=allowed_rsv)
    if header is None:
        return None
    start = offset + header.size
    end = start + header.length
    if len(data) < end:
        return None
    payload = bytes(data[start:end])
    if header.masking_key is not None:
        payload = apply_mask(payload, header.masking_key)
    return Frame(header.opcode, payload, header.fin, header.rsv), end


def encode(
    opcode: Opcode,
    payload: bytes,
    *,
    fin: bool = True,
    rsv: int = 0,
    masking_key: bytes | None = None,
) -> bytes:
    """Writes a frame.

    A client gives four fresh random bytes as ``masking_key`` (§5.1: "a client MUST mask all frames
    that it sends to the server"), a server gives none ("A server MUST NOT mask any frames").
    """
    first = (FIN if fin else 0) | rsv | opcode
    mask = 0 if masking_key is None else MASK
    length = len(payload)
    if length < LENGTH_16:
        header = HEADER.pack(first, mask | length)
    elif length < 0x10000:
        header = HEADER_16.pack(first, mask | LENGTH_16, length)
    else:
        header = HEADER_64.pack(first, mask | LENGTH_64, length)
    if masking_key is None:
        return header + payload
    return header + masking_key + apply_mask(payload, masking_key)


def encode_message(message: str | bytes, masking_key: bytes | None = None) -> bytes:
    """Writes the frame of a whole message: text for `str`, binary for `bytes`.

    Raises:
        UnicodeEncodeError: the text holds surrogates, which UTF-8 cannot.
    """
    if isinstance(message, str):
        opcode, payload = TEXT, message.encode()
    else:
        opcode, payload = BINARY, message
    length = len(payload)
    if masking_key is not None or length >= 0x10000:
        return encode(opcode, payload, masking_key=masking_key)
    # What a server says most: the general way would write the same.
    if length < LENGTH_16:
        return HEADER.pack(FIN | opcode, length) + payload
    return HEADER_16.pack(FIN | opcode, LENGTH_16, length) + payload


def apply_mask(payload: bytes, key: bytes) -> bytes:
    """Masks or unmasks (§5.3): "octet i of the transformed data" is octet i XOR key[i MOD 4].

    Two long integers are XORed at once: the payload, and the key repeated to its length.
    """
    length = len(payload)
    repeated = (key * ((length + 3) // 4))[:length]
    masked = from_bytes(payload, "little") ^ from_bytes(repeated, "little")
    return masked.to_bytes(length, "little")


def _violation(reason: str, section: str) -> ProtocolError:
    return ProtocolError(CloseCode.PROTOCOL_ERROR, reason, section)
