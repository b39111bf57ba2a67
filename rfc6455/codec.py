"""The seam between bytes and messages, and the only file that knows of a native twin.

What lives here: which implementation of the hot functions runs. `Decoder` takes the bytes of a read
and gives the list of events; `encode` takes a message and gives the bytes of its frame. The Python
in `frames` and `parser` is the specification; the native twin gives the same results faster, and is
used where it was built, unless the environment variable ``RFC6455_PURE`` is set.
"""

from __future__ import annotations

import os

from . import frames, parser

__all__ = [
    "Decoder",
    "NativeChannel",
    "NativeInbox",
    "encode",
    "encode_message",
    "implementation",
    "take_whole_messages",
]

implementation: str
"""``"native"`` or ``"python"``."""

try:
    if os.environ.get("RFC6455_PURE"):
        raise ImportError("RFC6455_PURE asks for Python")
    from ._native import codec as _native
    from ._native.channel import Channel as NativeChannel
    from ._native.inbox import Inbox as NativeInbox
except ImportError:
    implementation = "python"
    Decoder = parser.Decoder
    encode = frames.encode
    encode_message = frames.encode_message
    take_whole_messages = parser.take_whole_messages
    NativeInbox = None  # type: ignore[assignment, misc]
    NativeChannel = None  # type: ignore[assignment, misc]
else:
    implementation = "native"

    class _NativeDecoder(parser.Decoder):
        """Takes whole messages, and unmasks, in native code; all else is `parser.Decoder`'s."""

        __slots__ = ()

        _apply_mask = staticmethod(_native.apply_mask)
        _take_whole_messages = staticmethod(_native.take_whole_messages)

    Decoder = _NativeDecoder  # type: ignore[misc]
    encode = _native.encode
    encode_message = _native.encode_message
    take_whole_messages = _native.take_whole_messages
