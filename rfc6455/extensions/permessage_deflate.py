"""RFC 7692: permessage-deflate.

What lives here: its negotiation, and the compression of messages within bounds of memory and work.
This file does not know about frames: `messages` and `connection` hand it the payloads of marked
messages.
"""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Final

from ..close import CloseCode
from ..errors import ProtocolError
from .base import Extension, ExtensionFactory, Parameters
from .codec import (
    TAIL,
    Compressor,
    InflateWhole,
    LibraryCompressor,
    inflate_whole_for,
    new_compressor,
)

__all__ = ["PermessageDeflate"]

NAME: Final = "permessage-deflate"
RSV1: Final = 0x40
STEP: Final = 64 * 1024
"""Bytes that come out of a library's inflater at a time."""
PIECE: Final = 32 * 1024
"""Bytes that go into it at a time: it copies what it has not used, each time it stops."""
FINAL_BLOCK: Final = b"\x03\x00"
"""An empty block with BFINAL."""
MAX_FINAL_BLOCKS: Final = 1024
"""Blocks with BFINAL in one message: each costs a new inflater."""

# zlib refuses 8, but with 9 it never looks back further than 250 bytes (its window less
# MIN_LOOKAHEAD), which keeps the promise of 8: 256. So does zlib-ng; ISA-L looks back 512.
KEEPS_8_BITS: Final = ("zlib", "zlib_ng.zlib_ng")

# §7.1.2.1: "a decimal integer value without leading zeroes between 8 to 15, inclusive".
WINDOW_BITS: Final = re.compile(r"[89]|1[0-5]")


@dataclass(frozen=True, slots=True, kw_only=True)
class PermessageDeflate(ExtensionFactory):
    """Compresses messages, on a server or a client.

    A connection costs nothing until the first message that is compressed. From then on, with zlib,
    a compressor takes ``2 ** (window_bits + 2) + 2 ** (memory_level + 9)`` bytes and 6 KiB, and an
    inflater ``2 * 2 ** window_bits`` bytes and 7 KiB: 53 KiB by default. The native twin needs
    ``3 * 2 ** window_bits`` and ``2 ** window_bits``: 16 KiB. Without context takeover that is so
    only while a message is under way.

    Attributes:
        level: of compression, as the library counts: the lowest is the fastest; None for its own
            default.
        memory_level: 1 to 9; how much memory the compressor may use.
        window_bits: 8 to 15; how far back our compressor looks (2 ** bits bytes), at most.
        peer_window_bits: the same of the peer's compressor; what we ask for, if it can be asked.
        context_takeover: whether our compressor remembers earlier messages.
        peer_context_takeover: whether the peer's compressor may.
        threshold: bytes; smaller messages go uncompressed.
        library: a module with the interface of `zlib`, such as ``isal.isal_zlib`` or
            ``zlib_ng.zlib_ng``.
    """

    level: int | None = 1
    memory_level: int = 5
    window_bits: int = 12
    peer_window_bits: int = 12
    context_takeover: bool = True
    peer_context_takeover: bool = True
    threshold: int = 1024
    library: Any = zlib

    name = NAME
    rsv = RSV1

    def __post_init__(self) -> None:
        for bits in (self.window_bits, self.peer_window_bits):
            if not 8 <= bits <= 15:
                raise ValueError(f"window bits are 8 to 15, not {bits}")
        name = self.library.__name__
        if self.window_bits < self._smallest_window_bits:
            raise ValueError(f"{name} cannot compress with a window of 8 bits")
        # Libraries differ in their levels. What one refuses must not fail the first message.
        try:
            LibraryCompressor(self.library, self.level, self.memory_level, self.window_bits)
        except (ValueError, self.library.error) as error:
            raise ValueError(
                f"{name} knows no level {self.level} with memory level {self.memory_level}"
            ) from error

    @property
    def _smallest_window_bits(self) -> int:
        return 8 if self.library.__name__ in KEEPS_8_BITS else 9

    def _new_compressor(self, bits: int) -> Compressor:
        return new_compressor(self.library, self.level, self.memory_level, bits)

    def offers(self) -> list[Parameters]:
        """Returns our wishes and, for servers that cannot limit their window, the same without."""
        common: list[tuple[str, str | None]] = []
        if not self.peer_context_takeover:
            common.append(("server_no_context_takeover", None))
        if not self.context_takeover:
            common.append(("client_no_context_takeover", None))
        bits = None if self.window_bits == 15 else str(self.window_bits)
        common.append(("client_max_window_bits", bits))
        if self.peer_window_bits == 15:
            return [common]
        return [[("server_max_window_bits", str(self.peer_window_bits)), *common], common]

    def accept(self, offer: Parameters) -> tuple[Parameters, Extension] | None:
        """Judges an offer (§7.1): see `ExtensionFactory.accept`."""
        try:
            asked = _Agreement.parse(offer, is_answer=False)
        except ValueError:
            # §7: "A server MUST decline an extension negotiation offer for this extension if any"
            # parameter is unknown, invalid or repeated.
            return None
        answer: list[tuple[str, str | None]] = []
        own_takeover = self.context_takeover and not asked.server_no_context_takeover
        if not own_takeover:
            answer.append(("server_no_context_takeover", None))
        if not self.peer_context_takeover:
            answer.append(("client_no_context_takeover", None))
        own_bits = min(self.window_bits, asked.server_max_window_bits or 15)
        if own_bits < self._smallest_window_bits:
            return None
        if own_bits < 15 or asked.server_max_window_bits is not None:
            answer.append(("server_max_window_bits", str(own_bits)))
        peer_bits = 15
        # §7.1.2.2: without it in the offer, the answer must not have it either.
        if asked.client_max_window_bits is not None:
            peer_bits = min(self.peer_window_bits, asked.client_max_window_bits)
            if peer_bits < 15:
                answer.append(("client_max_window_bits", str(peer_bits)))
        return answer, _Deflate(
            self,
            own_bits=own_bits,
            own_takeover=own_takeover,
            peer_bits=peer_bits,
            peer_takeover=self.peer_context_takeover,
        )

    def confirm(self, answer: Parameters) -> Extension:
        """Judges the server's answer (§7.1): see `ExtensionFactory.confirm`."""
        agreed = _Agreement.parse(answer, is_answer=True)
        if not self.peer_context_takeover and not agreed.server_no_context_takeover:
            raise ValueError("the server keeps its context, against our offer")
        # §7.1.2.2: the value that we offered is a hint, which the server may ignore; to look back
        # less far than it allows keeps our word.
        own_bits = min(agreed.client_max_window_bits or 15, self.window_bits)
        if own_bits < self._smallest_window_bits:
            raise ValueError("a window of 8 bits is more than this library can promise")
        return _Deflate(
            self,
            own_bits=own_bits,
            own_takeover=self.context_takeover and not agreed.client_no_context_takeover,
            peer_bits=agreed.server_max_window_bits or 15,
            peer_takeover=not agreed.server_no_context_takeover,
        )


@dataclass(slots=True)
class _Agreement:
    """The parameters of §7.1, as an offer or an answer has them."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | None = None

    @classmethod
    def parse(cls, parameters: Parameters, *, is_answer: bool) -> _Agreement:
        agreement = cls()
        seen = set()
        for name, value in parameters:
            if name in seen:
                raise ValueError(f"{name} stands twice")
            seen.add(name)
            if name in ("server_no_context_takeover", "client_no_context_takeover"):
                if value is not None:
                    raise ValueError(f"{name} takes no value")
                setattr(agreement, name, True)
            elif name in ("server_max_window_bits", "client_max_window_bits"):
                # §7.1.2.2: an offer may have client_max_window_bits without a value: "any".
                if value is None and name == "client_max_window_bits" and not is_answer:
                    value = "15"
                if value is None or not WINDOW_BITS.fullmatch(value):
                    raise ValueError(f"{name} is an integer from 8 to 15")
                setattr(agreement, name, int(value))
            else:
                raise ValueError(f"unknown parameter {name}")
        return agreement


class _Deflate(Extension):
    """The extension in use on one connection; its contexts are made when they are first needed."""

    __slots__ = (
        "_compressor",
        "_final_blocks",
        "_history",
        "_inflate_whole",
        "_inflater",
        "_is_empty",
        "_most_whole",
        "_own_bits",
        "_own_takeover",
        "_peer_bits",
        "_peer_takeover",
        "_rested",
        "_settings",
        "threshold",
    )

    name = NAME
    rsv = RSV1

    def __init__(
        self,
        settings: PermessageDeflate,
        *,
        own_bits: int,
        own_takeover: bool,
        peer_bits: int,
        peer_takeover: bool,
    ) -> None:
        self._settings = settings
        self.threshold = settings.threshold
        self._own_bits = own_bits
        self._own_takeover = own_takeover
        self._peer_bits = peer_bits
        self._peer_takeover = peer_takeover
        self._compressor: Compressor | None = None
        self._inflate_whole, self._most_whole = inflate_whole_for(settings.library)
        self._inflater: Any = None
        self._history = bytearray()
        self._is_empty = True
        self._final_blocks = 0
        self._rested = False

    def applies_to(self, size: int) -> bool:
        return size >= self.threshold

    def encode(self, payload: bytes, *, final: bool) -> bytes:
        self._rested = False
        compressor = self._compressor
        if compressor is None:
            compressor = self._compressor = self._settings._new_compressor(self._own_bits)
        if not final:
            return compressor.compress(payload) + TAIL if payload else b""
        if not self._own_takeover:
            self._compressor = None
        return compressor.compress(payload)

    def rest(self) -> None:
        # As in `skip_shared`, and only where nothing was compressed since the last time: who says
        # something to silent peers now and then goes on with what it has.
        if self._rested:
            self._compressor = None
        self._rested = True

    def share(self) -> Hashable:
        settings = self._settings
        return settings.library.__name__, settings.level, settings.memory_level, self._own_bits

    def encode_shared(self, payload: bytes) -> bytes:
        return self._settings._new_compressor(self._own_bits).compress(payload)

    def skip_shared(self) -> None:
        # The peer's window has moved on by a message that our compressor has not seen: it may not
        # look back any more. A new one looks back at nothing but what it has made itself.
        self._compressor = None

    def decode(self, payload: bytes, *, final: bool, max_size: int | None) -> bytes:
        inflate_whole = self._inflate_whole
        if (
            inflate_whole is not None
            and final
            and self._inflater is None
            and 0 < len(payload) <= self._most_whole
            and not self._final_blocks
        ):
            message = self._decode_whole(inflate_whole, payload, max_size)
            if message is not None:
                return message
        self._is_empty = self._is_empty and not payload
        if final:
            # Not even an empty message is empty (§7.2.3.6).
            if self._is_empty:
                raise _invalid("compressed message without a block")
            payload += TAIL
        try:
            message = self._inflate(payload, max_size)
        except self._settings.library.error as error:
            # Without its traceback, which keeps what was inflated so far.
            reason = "compressed message is not valid DEFLATE data"
            raise _invalid(reason) from error.with_traceback(None)
        if final:
            self._is_empty = True
            self._final_blocks = 0
            if not self._peer_takeover:
                self._inflater = None
                self._history.clear()
            elif self._most_whole == sys.maxsize and self._is_between_blocks():
                self._inflater = None
        return message

    def _decode_whole(
        self, inflate_whole: InflateWhole, payload: bytes, max_size: int | None
    ) -> bytes | None:
        """Decodes a message of which nothing came before; None where `_inflate` is to do it."""
        try:
            message = inflate_whole(payload, self._history, self._peer_bits, max_size)
        except OverflowError:
            raise _too_big() from None
        if not self._peer_takeover:
            self._history.clear()
        return message

    def _is_between_blocks(self) -> bool:
        """Whether the history is all that the next message needs of the inflater."""
        if self._inflater is None:
            return True
        inflater = self._inflater.copy()
        try:
            inflater.decompress(FINAL_BLOCK)
        except self._settings.library.error:
            return False
        ended: bool = inflater.eof
        return ended

    def _inflate(self, data: bytes, max_size: int | None) -> bytes:
        chunks: list[bytes] = []
        left = max_size
        position = 0
        while True:
            inflater = self._inflater
            if inflater is None:
                inflater = self._inflater = self._new_inflater()
            piece = data[position : position + PIECE]
            step = STEP if left is None or left >= STEP else left + 1
            chunk: bytes = inflater.decompress(piece, step)
            position += len(piece)
            ended = inflater.eof
            if left is not None:
                left -= len(chunk)
                if left < 0:
                    # The error's traceback keeps this frame, and the connection the error.
                    del chunks, chunk
                    raise _too_big()
            self._remember(chunk)
            if ended:
                # §7.2.3.4: a block with BFINAL ends DEFLATE's stream, not the message, and what
                # follows may still refer to what came before.
                position -= len(inflater.unused_data)
                self._inflater = None
                self._final_blocks += 1
                if self._final_blocks > MAX_FINAL_BLOCKS:
                    raise ProtocolError(CloseCode.POLICY_VIOLATION, "too many final blocks")
            elif len(chunk) == step:
                position -= len(inflater.unconsumed_tail)
                chunks.append(chunk)
                continue
            if not chunks and position == len(data):
                return chunk
            # Nothing comes behind a step that was full to the brim.
            if chunk:
                chunks.append(chunk)
            if position == len(data):
                return b"".join(chunks)

    def _new_inflater(self) -> Any:
        library = self._settings.library
        if self._history:
            return library.decompressobj(-self._peer_bits, zdict=bytes(self._history))
        return library.decompressobj(-self._peer_bits)

    def _remember(self, chunk: bytes) -> None:
        """Keeps as much of what came out as a new inflater would need."""
        size = 1 << self._peer_bits
        if len(chunk) >= size:
            self._history = bytearray(chunk[-size:])
            return
        history = self._history
        excess = len(history) + len(chunk) - size
        if excess > 0:
            del history[:excess]
        history += chunk


def _too_big() -> ProtocolError:
    return ProtocolError(CloseCode.MESSAGE_TOO_BIG, "message is too large when inflated")


def _invalid(reason: str) -> ProtocolError:
    return ProtocolError(CloseCode.INVALID_PAYLOAD_DATA, reason)
