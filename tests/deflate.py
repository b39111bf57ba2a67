"""DEFLATE (RFC 1951) written a second time, small and slow, for tests to judge the fast one by.

What lives here: an inflater that tells how far back each stream looked, which no zlib does, and a
writer of blocks that no compressor would write. It shares no code with what it judges.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from types import ModuleType

__all__ = ["BlockWriter", "Inflated", "inflate", "installed_libraries"]

LENGTH_BASE = (
    *(3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31),
    *(35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258),
)
LENGTH_EXTRA = (0,) * 8 + (1,) * 4 + (2,) * 4 + (3,) * 4 + (4,) * 4 + (5,) * 4 + (0,)
DISTANCE_BASE = (
    *(1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769),
    *(1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577),
)
DISTANCE_EXTRA = tuple(max(0, code // 2 - 1) for code in range(30))
CODE_LENGTH_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
FIXED_LENGTHS = (8,) * 144 + (9,) * 112 + (7,) * 24 + (8,) * 8


def installed_libraries() -> list[ModuleType]:
    """Those of the libraries with zlib's interface that are there to be tested."""
    found = []
    for name in ("zlib", "isal.isal_zlib", "zlib_ng.zlib_ng"):
        try:
            found.append(importlib.import_module(name))
        except ImportError:
            continue
    return found


@dataclass
class Inflated:
    """What a stream holds.

    Attributes:
        data: what it inflates to.
        longest_distance: how far back it looks at most.
        blocks: the type of each block: 0 stored, 1 fixed codes, 2 dynamic codes.
        final_blocks: how many of them have BFINAL set.
    """

    data: bytearray = field(default_factory=bytearray)
    longest_distance: int = 0
    blocks: list[int] = field(default_factory=list)
    final_blocks: int = 0


class _Codes:
    """The canonical Huffman codes of §3.2.2, looked up by as many bits as the longest has."""

    def __init__(self, lengths: tuple[int, ...]) -> None:
        self.bits = max(lengths, default=0)
        self.table: list[tuple[int, int] | None] = [None] * (1 << self.bits)
        code = 0
        for length in range(1, self.bits + 1):
            code <<= 1
            for symbol in (symbol for symbol, wanted in enumerate(lengths) if wanted == length):
                start = int(f"{code:0{length}b}"[::-1], 2)
                repeated = 1 << self.bits - length
                self.table[start :: 1 << length] = [(symbol, length)] * repeated
                code += 1


FIXED = _Codes(FIXED_LENGTHS), _Codes((5,) * 30)


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0
        self._buffer = 0
        self._available = 0

    @property
    def ended(self) -> bool:
        return self._position == len(self._data) and not self._available

    def _fill(self, count: int) -> None:
        while self._available < count and self._position < len(self._data):
            chunk = self._data[self._position : self._position + 64]
            self._buffer |= int.from_bytes(chunk, "little") << self._available
            self._available += 8 * len(chunk)
            self._position += len(chunk)

    def take(self, count: int) -> int:
        self._fill(count)
        if self._available < count:
            raise ValueError("stream ends inside a block")
        value = self._buffer & ((1 << count) - 1)
        self._buffer >>= count
        self._available -= count
        return value

    def symbol(self, codes: _Codes) -> int:
        if self._available < codes.bits:
            self._fill(codes.bits)
        found = codes.table[self._buffer & ((1 << codes.bits) - 1)]
        if found is None:
            raise ValueError("code that stands for nothing")
        symbol, length = found
        if length > self._available:
            raise ValueError("stream ends inside a block")
        self._buffer >>= length
        self._available -= length
        return symbol

    def align(self) -> None:
        if self.take(self._available % 8):
            raise ValueError("padding is not zero")


def inflate(stream: bytes, history: bytes = b"") -> Inflated:
    """Inflates whole blocks; a block with BFINAL ends nothing, as in RFC 7692 §7.2.3.4.

    Args:
        stream: blocks, the last of which ends at its end.
        history: what came out of the stream before.

    Raises:
        ValueError: it is not DEFLATE, it ends inside a block, or looks back before its beginning.
    """
    bits = _Bits(stream)
    result = Inflated(bytearray(history))
    while not bits.ended:
        final, kind = bits.take(1), bits.take(2)
        result.final_blocks += final
        result.blocks.append(kind)
        if kind == 0:
            bits.align()
            length, complement = bits.take(16), bits.take(16)
            if length ^ complement != 0xFFFF:
                raise ValueError("length of a stored block is not confirmed")
            result.data += bytes(bits.take(8) for _ in range(length))
        else:
            literals, distances = FIXED if kind == 1 else _dynamic_codes(bits)
            _inflate_block(bits, literals, distances, result)
        if final:
            bits.align()
    del result.data[: len(history)]
    return result


def _dynamic_codes(bits: _Bits) -> tuple[_Codes, _Codes]:
    literals, distances, codes = bits.take(5) + 257, bits.take(5) + 1, bits.take(4) + 4
    code_lengths = [0] * 19
    for index in CODE_LENGTH_ORDER[:codes]:
        code_lengths[index] = bits.take(3)
    table = _Codes(tuple(code_lengths))
    lengths: list[int] = []
    while len(lengths) < literals + distances:
        symbol = bits.symbol(table)
        if symbol < 16:
            lengths.append(symbol)
        elif symbol == 16:
            lengths += [lengths[-1]] * (bits.take(2) + 3)
        else:
            lengths += [0] * (bits.take(3) + 3 if symbol == 17 else bits.take(7) + 11)
    return _Codes(tuple(lengths[:literals])), _Codes(tuple(lengths[literals:]))


def _inflate_block(bits: _Bits, literals: _Codes, distances: _Codes, result: Inflated) -> None:
    data = result.data
    while (symbol := bits.symbol(literals)) != 256:
        if symbol < 256:
            data.append(symbol)
            continue
        length = LENGTH_BASE[symbol - 257] + bits.take(LENGTH_EXTRA[symbol - 257])
        code = bits.symbol(distances)
        distance = DISTANCE_BASE[code] + bits.take(DISTANCE_EXTRA[code])
        if distance > len(data):
            raise ValueError("distance goes back before the beginning")
        result.longest_distance = max(result.longest_distance, distance)
        piece = data[-distance:]
        data += (piece * (length // distance + 1))[:length]


class BlockWriter:
    """Writes blocks bit by bit: stored ones, and ones with the fixed codes (§3.2.6)."""

    def __init__(self) -> None:
        self._value = 0
        self._count = 0

    def bits(self, value: int, count: int) -> BlockWriter:
        """Appends bits, the lowest first."""
        self._value |= value << self._count
        self._count += count
        return self

    def stored(self, data: bytes, *, final: bool = False) -> BlockWriter:
        """Appends a stored block."""
        self.bits(final, 3)
        self.bits(0, -self._count % 8)
        self.bits(len(data), 16).bits(len(data) ^ 0xFFFF, 16)
        return self.bits(int.from_bytes(data, "little"), 8 * len(data))

    def begin(self, *, final: bool = False) -> BlockWriter:
        """Begins a block with the fixed codes."""
        return self.bits(final | 1 << 1, 3)

    def literals(self, data: bytes) -> BlockWriter:
        """Appends bytes as they are."""
        for octet in data:
            self._symbol(octet)
        return self

    def match(self, length: int, distance: int) -> BlockWriter:
        """Appends what stands ``distance`` bytes back."""
        code = max(i for i, base in enumerate(LENGTH_BASE) if base <= length)
        self._symbol(257 + code).bits(length - LENGTH_BASE[code], LENGTH_EXTRA[code])
        code = max(i for i, base in enumerate(DISTANCE_BASE) if base <= distance)
        self.bits(int(f"{code:05b}"[::-1], 2), 5)
        return self.bits(distance - DISTANCE_BASE[code], DISTANCE_EXTRA[code])

    def end(self) -> BlockWriter:
        """Ends the block."""
        return self._symbol(256)

    def message(self) -> bytes:
        """Returns the blocks as a message's payload: with an empty stored block, less its tail."""
        return self.stored(b"").octets()[:-4]

    def octets(self) -> bytes:
        """Returns the blocks, padded with zero bits."""
        return self._value.to_bytes((self._count + 7) // 8, "little")

    def _symbol(self, symbol: int) -> BlockWriter:
        if symbol < 144:
            code, length = 0x30 + symbol, 8
        elif symbol < 256:
            code, length = 0x190 + symbol - 144, 9
        elif symbol < 280:
            code, length = symbol - 256, 7
        else:
            code, length = 0xC0 + symbol - 280, 8
        return self.bits(int(f"{code:0{length}b}"[::-1], 2), length)
