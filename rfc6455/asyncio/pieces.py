"""A message that is received in pieces.

What lives here: the order of pieces and whole messages, and what becomes of a message that is given
up in the middle. This file does not know where either comes from.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from ..events import Fragment, Message

__all__ = ["Assembly", "Pieces"]

Receive: TypeAlias = Callable[[], Awaitable[Message | Fragment]]


class Assembly:
    """Tells whole messages from pieces, for one connection that was asked for pieces.

    Attributes:
        expected: whether pieces may come: from the time when they were asked for until the last one
            has been taken.
        reader: who takes pieces, while some are taken and some are not.
    """

    __slots__ = ("_parts", "expected", "reader")

    def __init__(self) -> None:
        self._parts: list[str | bytes] = []
        self.expected = True
        self.reader: Pieces | None = None

    async def whole(self, receive: Receive) -> Message:
        """Receives a whole message, put together where it comes in pieces."""
        await self.skip_rest(receive)
        while True:
            data, final = self.look_at(await receive())
            self._parts.append(data)
            if final:
                return self.take_parts()

    async def skip_rest(self, receive: Receive) -> None:
        """Throws away the rest of a message whose reader has given up."""
        while self.reader is not None:
            _, final = self.look_at(await receive())
            if final:
                self.reader = None

    def look_at(self, item: Message | Fragment) -> tuple[Message, bool]:
        """Returns what was received, and whether its message ends there."""
        if not isinstance(item, Fragment):
            return item, True
        self.expected = self.expected and not item.final
        return item.data, item.final

    def take_parts(self) -> Message:
        """Returns what a cancelled `whole` had received, or what this one has."""
        parts, self._parts = self._parts, []
        if len(parts) == 1:
            return parts[0]
        return type(parts[0])().join(parts)  # type: ignore[arg-type]

    @property
    def has_parts(self) -> bool:
        """Whether a cancelled `whole` had received something."""
        return bool(self._parts)


class Pieces:
    """The pieces of one message, as an asynchronous iterator.

    It takes nothing before it is iterated. Where the iteration is given up in the middle, the rest
    of the message is thrown away when the connection is next asked for a message.
    """

    __slots__ = ("_assembly", "_done", "_prepare", "_receive")

    def __init__(self, assembly: Assembly, prepare: Callable[[], None], receive: Receive) -> None:
        self._assembly = assembly
        self._prepare = prepare
        self._receive = receive
        self._done = False

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> Message:
        if self._done:
            raise StopAsyncIteration
        assembly = self._assembly
        if assembly.reader is not self:
            await assembly.skip_rest(self._receive)
            self._prepare()
            if assembly.has_parts:
                assembly.reader = self
                return assembly.take_parts()
        data, self._done = assembly.look_at(await self._receive())
        assembly.reader = None if self._done else self
        return data
