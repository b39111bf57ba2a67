"""What every engine offers to the chat.

What lives here: the interface between the chat and its log of messages. This file does not know
where an engine keeps it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Engine", "Entry", "Position", "Subscriber"]


@dataclass(frozen=True, slots=True)
class Position:
    """Where an entry stands in a room's log.

    Attributes:
        epoch: names the log; another epoch means that the log has begun anew.
        offset: counts from 1, without gaps.
    """

    epoch: str
    offset: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A message in a room's log.

    Attributes:
        position: where it stands.
        sender: the name of who said it.
        text: what was said.
        time: when it was appended, RFC 3339 in UTC.
    """

    position: Position
    sender: str
    text: str
    time: str


Subscriber: TypeAlias = Callable[[str, Entry], None]


class Engine(ABC):
    """A log for each room, and the news of what is appended to it.

    Calls for one room take effect in the order in which they were made.
    """

    @abstractmethod
    def subscribe(self, subscriber: Subscriber) -> None:
        """Has every entry of every room handed to ``subscriber``, in the order of its offsets."""

    @abstractmethod
    async def append(self, room: str, sender: str, text: str) -> Position:
        """Appends a message.

        When it returns, the entry is kept as well as the engine can, and subscribers have it.
        """

    @abstractmethod
    async def latest(self, room: str) -> Sequence[Entry]:
        """Returns the latest entries of a room that are still kept, the oldest first.

        None of them has yet to be handed to subscribers, so who subscribes first and reads then
        misses nothing.
        """

    @abstractmethod
    def drop(self, room: str) -> None:
        """Forgets a room; if one of its name comes again, its log begins anew.

        Nobody waits for it: users leave when they are gone already.
        """
