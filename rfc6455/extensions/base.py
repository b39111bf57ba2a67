"""RFC 6455 §9: what an extension is to a connection.

What lives here: the two interfaces of an extension, one that negotiates it during the opening
handshake and one that transforms messages afterwards. This file does not know which extensions
exist.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import Final, TypeAlias

__all__ = ["SHARE", "Extension", "ExtensionFactory", "Parameters"]

SHARE: Final = 1024 * 1024
"""Bytes that the extension of one connection may make before others have their turn."""

Parameters: TypeAlias = Sequence[tuple[str, str | None]]
"""Names and values as they stand in Sec-WebSocket-Extensions; None for a name without a value."""


class Extension(ABC):
    """A negotiated extension: it transforms whole messages, and marks those in a reserved bit.

    An instance serves one connection and may keep state from message to message. The bit is set on
    the first frame of a message that was transformed; elsewhere it stays an error.

    Attributes:
        name: the registered token, as in Sec-WebSocket-Extensions.
        rsv: the reserved bit that the extension owns: 0x40 (RSV1), 0x20 (RSV2) or 0x10 (RSV3).
        threshold: bytes; to smaller messages it never applies, unless it is asked to.
    """

    name: str
    rsv: int
    threshold: int = 0

    @abstractmethod
    def decode(self, payload: bytes, *, final: bool, max_size: int | None) -> bytes:
        """Undoes the transformation for the next piece of a message.

        Args:
            payload: the next bytes of a marked message; frames and reads cut it anywhere.
            final: whether the message ends here.
            max_size: how many bytes may still come out of this message.

        Raises:
            ProtocolError: the payload is malformed, or more than ``max_size`` would come out (1009,
                with no more than that ever produced).
        """

    @abstractmethod
    def encode(self, payload: bytes, *, final: bool) -> bytes:
        """Transforms the next piece of a message that is to be marked."""

    @abstractmethod
    def applies_to(self, size: int) -> bool:
        """Tells whether a message that starts with ``size`` bytes is to be transformed."""

    def rest(self) -> None:  # noqa: B027, most need nothing
        """Is told that the peer has been silent for `Limits.ping_interval`.

        Memory that can be done without may go.
        """

    def share(self) -> Hashable:
        """Tells what connections have in common for which a message may be transformed once.

        None, unless an extension says otherwise: the message is transformed for each. An extension
        that returns anything else defines `encode_shared` and `skip_shared`.
        """
        return None

    def encode_shared(self, payload: bytes) -> bytes:
        """Transforms a whole message for all connections with the same `share`."""
        raise NotImplementedError

    def skip_shared(self) -> None:
        """Is told that this connection sends a message that `encode_shared` has transformed."""
        raise NotImplementedError


class ExtensionFactory(ABC):
    """What an application configures: it negotiates an extension for each new connection.

    Attributes:
        name: the registered token, as in Sec-WebSocket-Extensions.
        rsv: the reserved bit that the extension would own.
    """

    name: str
    rsv: int

    @abstractmethod
    def offers(self) -> Sequence[Parameters]:
        """Returns what a client asks for, in order of preference."""

    @abstractmethod
    def accept(self, offer: Parameters) -> tuple[Parameters, Extension] | None:
        """Judges one offer on a server: the answer and the extension, or None to decline it."""

    @abstractmethod
    def confirm(self, answer: Parameters) -> Extension:
        """Judges the server's answer on a client.

        Raises:
            ValueError: it is not an answer to any of our offers; the handshake fails.
        """
