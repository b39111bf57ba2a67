"""Bytes of one direction to frames, as something to look at.

What lives here: a `FrameTracer`, which takes what one side sends, cut anywhere, and gives each
frame as it travelled, with what the core makes of it. It does no I/O, changes nothing, and keeps no
more of a payload than is to be shown. This file does not know how a frame is printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .codec import Decoder
from .errors import ProtocolError
from .events import Event, Fault
from .extensions import Extension, PermessageDeflate
from .frames import FrameHeader, Opcode, apply_mask, decode_header

__all__ = ["FrameTracer", "TracedFrame", "inflaters"]

RSV: Final = 0x70


@dataclass(frozen=True, slots=True)
class TracedFrame:
    """A frame as it travelled.

    Attributes:
        offset: of its first byte among all that this side sent in frames.
        head: the bytes of its header; of a faulty or unfinished one, those that are there.
        header: what they say, or None where they say nothing complete and valid.
        payload: the first bytes of the payload, still masked.
        received: how many bytes of the payload have come; less than ``header.length`` in a frame
            that is cut off, or that fails before its end.
        events: what the frame completes, from the core: a message, a Ping, a Close, a Fault.
        compressed: whether it belongs to a message that an extension has transformed.
    """

    offset: int
    head: bytes
    header: FrameHeader | None
    payload: bytes = b""
    received: int = 0
    events: tuple[Event, ...] = ()
    compressed: bool = False

    @property
    def unmasked(self) -> bytes:
        """The first bytes of the payload as they were before masking (RFC 6455 §5.3)."""
        key = self.header.masking_key if self.header is not None else None
        return apply_mask(self.payload, key or bytes(4))

    @property
    def error(self) -> ProtocolError | None:
        """What is wrong with it."""
        last = self.events[-1] if self.events else None
        return last.error if isinstance(last, Fault) else None

    @property
    def complete(self) -> bool:
        """Whether all of it is there."""
        return self.header is not None and self.received == self.header.length


class FrameTracer:
    """Takes the bytes that one side sends, and gives its frames.

    Args:
        masked: whether this side must mask: True for a client, False for a server. None for both
            sides in one stream, as in a listing of a conversation: the MASK bit tells them apart.
        extensions: those in use, one set for each side; they are needed to undo compression, and
            must be instances of the tracer's own.
        max_message_size: bytes; larger messages are faults, as for a receiver with that limit.
        keep: bytes of each payload that are kept to be shown.
    """

    def __init__(
        self,
        *,
        masked: bool | None = None,
        extensions: Sequence[Sequence[Extension]] = ((), ()),
        max_message_size: int | None = None,
        keep: int = 128,
    ) -> None:
        self._masked = masked
        self._keep = keep
        self._marks = [sum(extension.rsv for extension in mine) for mine in extensions]
        self._decoders = [
            Decoder(masked=side, max_message_size=max_message_size, extensions=mine)
            for side, mine in zip((False, True), extensions, strict=True)
        ]
        self._in_compressed = [False, False]
        self._offset = 0
        self._partial = b""
        self._head = b""
        self._header: FrameHeader | None = None
        self._payload = bytearray()
        self._received = 0
        self._events: list[Event] = []
        self.ended = False
        """Whether a fault has ended it: nothing behind one has a meaning (RFC 6455 §7.1.7)."""
        self.discarded = 0
        """Bytes that came after the fault."""

    def receive_data(self, data: bytes) -> list[TracedFrame]:
        """Takes bytes, cut anywhere, and returns the frames that they complete, or that fail."""
        frames: list[TracedFrame] = []
        data = self._partial + data
        self._partial = b""
        while data and not self.ended:
            taken = self._take_header(data) if self._header is None else self._take_payload(data)
            if not taken:
                self._partial = data
                return frames
            data = data[taken:]
            if self._is_over():
                frames.append(self._finish())
        self.discarded += len(data)
        return frames

    def receive_eof(self) -> TracedFrame | None:
        """Returns the frame that the end of the bytes has cut off, if there is one."""
        if self.ended or not (self._partial or self._header):
            return None
        self._head = self._head or self._partial
        self._partial = b""
        self.ended = True
        return self._finish()

    def _take_header(self, data: bytes) -> int:
        try:
            # What is wrong, the decoder says; here the frame is only taken apart.
            header = decode_header(data, allowed_rsv=RSV)
        except ProtocolError:
            self._head = data[: _size_of_proof(data)]
            self._decode(self._head, self._side(data))
            return len(self._head)
        if header is None:
            return 0
        self._header = header
        self._head = data[: header.size]
        self._decode(self._head, self._side(data))
        return header.size

    def _take_payload(self, data: bytes) -> int:
        assert self._header is not None
        piece = data[: self._header.length - self._received]
        self._received += len(piece)
        self._payload += piece[: max(0, self._keep - len(self._payload))]
        self._decode(piece, self._side(self._head))
        return len(piece)

    def _side(self, head: bytes) -> bool:
        if self._masked is not None:
            return self._masked
        return len(head) > 1 and head[1] & 0x80 != 0

    def _decode(self, data: bytes, side: bool) -> None:
        self._events += self._decoders[side].receive_data(data)
        self.ended = bool(self._events) and isinstance(self._events[-1], Fault)

    def _is_over(self) -> bool:
        header = self._header
        return self.ended or (header is not None and self._received == header.length)

    def _finish(self) -> TracedFrame:
        header, side = self._header, self._side(self._head)
        compressed = False
        if header is not None and not header.opcode.is_control:
            compressed = bool(header.rsv & self._marks[side]) or (
                header.opcode is Opcode.CONTINUATION and self._in_compressed[side]
            )
            self._in_compressed[side] = compressed and not header.fin
        frame = TracedFrame(
            self._offset,
            self._head,
            header,
            bytes(self._payload),
            self._received,
            tuple(self._events),
            compressed,
        )
        self._offset += len(self._head) + self._received
        self._head, self._header, self._received = b"", None, 0
        self._payload.clear()
        self._events.clear()
        return frame


def _size_of_proof(data: bytes) -> int:
    """How many bytes it takes to see that a header is wrong."""
    for size in range(1, len(data)):
        try:
            decode_header(data[:size], allowed_rsv=RSV)
        except ProtocolError:
            return size
    return len(data)


def inflaters(deflate: bool) -> Sequence[Extension]:
    """What undoes the compression of one side, whatever parameters were negotiated."""
    if not deflate:
        return ()
    # A window of 15 bits that keeps its context reads what any other negotiated window wrote.
    accepted = PermessageDeflate(window_bits=15, peer_window_bits=15).accept([])
    assert accepted is not None
    return (accepted[1],)
