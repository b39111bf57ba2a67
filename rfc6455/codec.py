"""The seam between bytes and messages, and the only file that knows of a native twin.

What lives here: which implementation of the hot functions runs. `Decoder` takes the bytes of a read
and gives the list of events; `encode` takes a message and gives the bytes of its frame. The Python
in `frames` and `parser` is the specification; the native twin gives the same results faster, and is
used where it was built, unless the environment variable ``RFC6455_PURE`` is set.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import frames, parser

if TYPE_CHECKING:
    from .events import Event

__all__ = ["Decoder", "encode", "implementation"]

implementation: str
"""``"native"`` or ``"python"``."""

try:
    if os.environ.get("RFC6455_PURE"):
        raise ImportError("RFC6455_PURE asks for Python")
    from ._native import codec as _native
except ImportError:
    implementation = "python"
    Decoder = parser.Decoder
    encode = frames.encode
else:
    implementation = "native"

    class _NativeDecoder(parser.Decoder):
        """Takes whole messages, and unmasks, in native code; all else is `parser.Decoder`'s."""

        __slots__ = ()

        _apply_mask = staticmethod(_native.apply_mask)

        def _take_whole_messages(self, data: bytes, position: int, events: list[Event]) -> int:
            return _native.take_whole_messages(
                data, position, self._masked, self._whole_limit, events
            )

    Decoder = _NativeDecoder  # type: ignore[misc]
    encode = _native.encode
