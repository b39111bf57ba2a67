"""One message to many connections.

What lives here: the loop over the receivers. How a message is made once for all of them is told in
`prepared`; what happens to one that reads too slowly, in `overflow`. This file does not know how a
connection sends.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Protocol, TypeVar

from .errors import ConnectionClosed
from .overflow import Overflow
from .prepared import Data, PreparedMessage

__all__ = ["broadcast"]


class Receiver(Protocol):
    """A connection, on asyncio or of threads."""

    def push(
        self,
        message: PreparedMessage,
        /,
        *,
        key: Hashable = None,
        overflow: Overflow = ...,
        compress: bool | None = None,
    ) -> bool:
        """Sends a message without waiting."""


AnyReceiver = TypeVar("AnyReceiver", bound=Receiver)


def broadcast(
    websockets: Iterable[AnyReceiver],
    message: Data | PreparedMessage,
    *,
    key: Hashable = None,
    overflow: Overflow = Overflow.DROP_NEWEST,
    compress: bool | None = None,
) -> list[AnyReceiver]:
    """Sends a message to many, without waiting for any of them.

    It is encoded once, and compressed once for all who agreed on the same parameters. A receiver
    that is slow, closing or gone changes nothing for the others.

    Args:
        websockets: the receivers; `serve`'s and `connect`'s, in any mixture.
        message: the message.
        key: as in `WebSocket.push`.
        overflow: likewise; by default a receiver whose queue is full misses this message.
        compress: as in `WebSocket.send`.

    Returns:
        Those to whom the message was not sent: their connection is over or closing, or their queue
        is full.

    Raises:
        UsageError: the text holds surrogates. Nothing was sent.
        TypeError: it is neither text nor bytes. Nothing was sent.
    """
    prepared = message if isinstance(message, PreparedMessage) else PreparedMessage(message)
    skipped = []
    for websocket in websockets:
        try:
            if not websocket.push(prepared, key=key, overflow=overflow, compress=compress):
                skipped.append(websocket)
        except ConnectionClosed:
            skipped.append(websocket)
    return skipped
