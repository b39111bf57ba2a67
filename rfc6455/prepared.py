"""A message that goes to many: encoded once, and compressed once for all who agreed on the same.

What lives here: the frames of one message, kept for the next receiver. This file does not know who
receives it.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, TypeAlias

from .codec import encode, encode_message
from .errors import UsageError
from .extensions.base import Extension
from .frames import Opcode

__all__ = ["DATA", "Data", "PreparedMessage"]

Data: TypeAlias = str | bytes | bytearray | memoryview
"""What can be sent: text for `str`, binary for the others."""


class PreparedMessage:
    """A message for many connections: `Connection.send` takes it like the message itself.

    A server's frames are the same for all of its clients, so its frame is made once. With
    permessage-deflate it is compressed once for all connections that agreed on the same parameters,
    without what any of them said before. Clients mask every frame with a key of its own (RFC 6455
    §5.3), and gain nothing.

    Args:
        message: text for `str`, binary for the others, which are copied.

    Raises:
        UsageError: the text holds surrogates, which UTF-8 cannot.
        TypeError: it is neither text nor bytes.
    """

    __slots__ = ("_payload", "_shared", "frame", "message", "size")

    def __init__(self, message: Data) -> None:
        if isinstance(message, bytes | bytearray | memoryview):
            message = bytes(message)
        elif not isinstance(message, str):
            raise TypeError(f"a message is str or bytes, not {type(message).__name__}")
        self.message: str | bytes = message
        """What was given; bytes for all that is binary."""
        try:
            self._payload = message.encode() if isinstance(message, str) else message
        except UnicodeEncodeError as error:
            raise UsageError(f"text is not valid Unicode: {error.reason}") from error
        self.size = len(self._payload)
        """Of its payload, in bytes."""
        self.frame = encode_message(message)
        """What travels without an extension and without a mask."""
        self._shared: dict[Hashable, bytes] = {}

    def __len__(self) -> int:
        return self.size

    def frame_with(self, extension: Extension, share: Hashable) -> bytes:
        """Returns the frame as an extension transforms it.

        Args:
            extension: of any of the connections that are alike.
            share: what `Extension.share` says of it.
        """
        frame = self._shared.get(share)
        if frame is None:
            opcode = Opcode.TEXT if isinstance(self.message, str) else Opcode.BINARY
            payload = extension.encode_shared(self._payload)
            frame = self._shared[share] = encode(opcode, payload, rsv=extension.rsv)
        return frame


DATA: Final = (str, bytes, bytearray, memoryview, PreparedMessage)
"""The types of whole messages; what is none of them is an iterable of fragments."""
