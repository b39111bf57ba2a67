"""What the chat needs of a connection.

What lives here: the part of `rfc6455.WebSocket` that it uses, for whatever may stand in its place.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from rfc6455 import Message, Request

from .protocol import Encoded

__all__ = ["Wire"]


class Wire(Protocol):
    """A connection with a client: a WebSocket, or what does for one."""

    @property
    def request(self) -> Request | None:
        """The request that opened it."""

    @property
    def close_code(self) -> int | None:
        """How it ended; None while it has not."""

    @property
    def unsent_size(self) -> int:
        """How much waits to be written, in bytes."""

    def push(self, message: Encoded) -> bool:
        """Sends an event without waiting; raises `rfc6455.ConnectionClosed` when it is over."""

    async def send(self, message: Encoded) -> None:
        """Sends an event, after those that wait; raises `rfc6455.ConnectionClosed` likewise."""

    async def recv(self) -> Message:
        """Receives the next command; raises `rfc6455.ConnectionClosed` when none will come."""

    def __aiter__(self) -> AsyncIterator[Message]:
        """Gives commands until the connection is closed as agreed."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Ends the connection."""

    def set_max_message_size(self, size: int) -> None:
        """Changes how large a command may be, in bytes."""
