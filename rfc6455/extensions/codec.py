"""The seam between messages and DEFLATE, and the only file here that knows of a native twin.

What lives here: who compresses and who inflates. A library with zlib's interface always can. The
native twin, where it was built, stands in for zlib: it compresses at level 1, which is the default,
no larger, in half the time and a third of the memory; and it inflates messages that come whole. All
else, faults too, is for zlib. Of libraries that inflate long messages faster it inflates the short
ones. The environment variable ``RFC6455_PURE`` forbids it. This file does not know what is
negotiated, nor about frames.
"""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias

__all__ = [
    "TAIL",
    "Compressor",
    "InflateWhole",
    "LibraryCompressor",
    "inflate_whole_for",
    "new_compressor",
]

TAIL: Final = b"\x00\x00\xff\xff"
"""The end of an empty stored block, which every message ends with and none carries (§7.2.1)."""
EMPTY_BLOCK: Final = b"\x00"
"""§7.2.3.6: an empty message, or the end of one that is at a block's end already."""


InflateWhole: TypeAlias = Callable[[bytes, bytearray, int, int | None], bytes | None]
"""Inflates a whole message, less its tail, and adds it to what later ones may look back at.

Takes its payload, what came out before (up to a window), the window's bits, and how many bytes may
come out. Returns None, with nothing changed, where zlib is to judge; raises OverflowError for more
bytes than may come out, of which it has made none.
"""


FASTER_FROM: Final = {"isal.isal_zlib": 512, "zlib_ng.zlib_ng": 512}
"""Bytes of a payload from which on libraries inflate it faster than the native twin does."""


class Compressor(Protocol):
    """Compresses messages, each of which may look back at those before it."""

    def compress(self, payload: bytes, /) -> bytes:
        """Compresses a message, or a fragment: up to where `TAIL` would follow."""


class LibraryCompressor:
    """The compressor of a library with zlib's interface.

    Args:
        library: such a module.
        level: of compression, as the library counts; None for its own default.
        memory_level: 1 to 9.
        window_bits: 8 to 15.

    Raises:
        ValueError: the library does not know the level or the memory level; or its own error.
    """

    __slots__ = ("_compressor", "_sync_flush")

    def __init__(
        self, library: Any, level: int | None, memory_level: int, window_bits: int
    ) -> None:
        if level is None:
            level = library.Z_DEFAULT_COMPRESSION
        self._compressor = library.compressobj(
            level, library.DEFLATED, -max(window_bits, 9), memory_level
        )
        self._sync_flush = library.Z_SYNC_FLUSH

    def compress(self, payload: bytes, /) -> bytes:
        """Compresses as `Compressor.compress`."""
        data: bytes = self._compressor.compress(payload)
        end: bytes = self._compressor.flush(self._sync_flush)
        # §7.2.1: "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end."
        return data + (end[:-4] if end.endswith(TAIL) else end + EMPTY_BLOCK)


try:
    if os.environ.get("RFC6455_PURE"):
        raise ImportError("RFC6455_PURE asks for Python")
    from .._native import deflate as _native
except ImportError:

    def new_compressor(
        library: Any, level: int | None, memory_level: int, window_bits: int
    ) -> Compressor:
        """Makes the compressor for settings that `LibraryCompressor` takes, which see."""
        return LibraryCompressor(library, level, memory_level, window_bits)

    def inflate_whole_for(library: Any) -> tuple[InflateWhole | None, int]:
        """Tells what inflates whole messages in place of a library's inflater, if anything does.

        Returns:
            That, and the size of the largest payloads that it is to have, in bytes.
        """
        return None, 0

else:

    def new_compressor(
        library: Any, level: int | None, memory_level: int, window_bits: int
    ) -> Compressor:
        """Makes the compressor for settings that `LibraryCompressor` takes, which see."""
        if library is zlib and level == 1:
            return _native.Compressor(window_bits)
        return LibraryCompressor(library, level, memory_level, window_bits)

    def inflate_whole_for(library: Any) -> tuple[InflateWhole | None, int]:
        """Tells what inflates whole messages in place of a library's inflater, if anything does.

        Returns:
            That, and the size of the largest payloads that it is to have, in bytes.
        """
        if library is zlib:
            return _native.inflate, sys.maxsize
        most = FASTER_FROM.get(library.__name__, 0)
        return (_native.inflate if most else None), most
