"""What every engine offers to the chat.

What lives here: the interface between the chat and what it must not forget: logs of entries, rooms,
users and what they have joined, read and subscribed to. This file does not know where an engine
keeps it, nor what the entries say.

A log has a name, such as ``room:lobby``. Its entries are numbered from 1 without gaps, and its
epoch changes when the numbers begin anew or may mean other entries than before. So whoever knows an
epoch and an offset knows exactly which entries are missing. The news that a subscriber gets is only
that: it may miss some of it (not with every engine), sees a gap in the offsets then, and reads the
log.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

__all__ = [
    "EVERYWHERE",
    "MAX_UNREAD",
    "Append",
    "Appended",
    "Conflict",
    "Engine",
    "EngineError",
    "Entry",
    "Page",
    "Position",
    "Presence",
    "Replacement",
    "RoomRecord",
    "Subscriber",
    "Unread",
    "UserRecord",
]

MAX_UNREAD: Final = 1000
"""Where counting what somebody has not read ends: that many, or more."""


class EngineError(Exception):
    """The engine cannot do it now: its disk is full, its database locked or damaged, or the like.

    What was asked for has not been done as far as anybody can tell; it may be asked for again.
    """


class Conflict(Exception):
    """An entry that was to be replaced is not what it was thought to be."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where an entry stands in a log.

    Attributes:
        epoch: names the life of the log in which the offset counts.
        offset: counts from 1, without gaps; 0 is before the first.
    """

    epoch: str
    offset: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What was appended to a log.

    Attributes:
        position: where it stands.
        time: when it was appended, in milliseconds since 1970.
        data: what the chat wrote.
    """

    position: Position
    time: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Replacement:
    """What an earlier entry of the same log becomes, if it is still what it was.

    Attributes:
        offset: its own.
        old: what it said.
        new: what it says from then on.
        author: see `Append.author`.
    """

    offset: int
    old: bytes
    new: bytes
    author: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """An entry to be appended.

    Attributes:
        log: where to.
        data: what it says.
        author: who wants it to be read by the others; empty where there is nothing to read.
        key: who appends and under which number. The log takes the same key once, within a window
            that the engine states and that survives its restarts; later ones change nothing.
        replaces: an earlier entry that changes with it, at once or not at all.
    """

    log: str
    data: bytes
    author: str = ""
    key: str | None = None
    replaces: Replacement | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """Where an entry stands from now on, or stood already (`is_new` is false)."""

    position: Position
    time: int
    is_new: bool


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a log.

    Attributes:
        epoch: of the log; empty where there is no such log.
        first: the lowest offset that is still kept; the head's successor when nothing is.
        head: the offset of the latest entry.
        entries: in order, the oldest first.
    """

    epoch: str
    first: int
    head: int
    entries: Sequence[Entry]

    def continues(self, position: Position) -> bool:
        """Whether all that follows a position is still kept, under the same epoch."""
        return position.epoch == self.epoch and self.first - 1 <= position.offset <= self.head


@dataclass(frozen=True, slots=True)
class RoomRecord:
    """A room: its name, what it is about, who created it, and its rules, as the chat wrote them."""

    name: str
    topic: str = ""
    creator: str = ""
    rules: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRecord:
    """A user.

    Attributes:
        id: never changes and never becomes somebody else's.
        name: as others see it.
        name_key: what all names share that count as the same.
        secret: a digest of what a guest proves the identity with; empty for others.
        last_seen: when the last connection ended, in milliseconds since 1970.
    """

    id: str
    name: str
    name_key: str
    secret: bytes = b""
    last_seen: int = 0


@dataclass(frozen=True, slots=True)
class Unread:
    """What somebody has not read of one author.

    Attributes:
        read: the offset up to which they have.
        count: how many entries they have not, at most `MAX_UNREAD`.
        latest: the last of these, or else the one that was read last.
    """

    read: int
    count: int
    latest: Entry


EVERYWHERE: Final = ""
"""The place where everybody is who is connected."""


@dataclass(frozen=True, slots=True)
class Presence:
    """How many users are at a place, and whether one of them has just come or gone (`changed`).

    It has not for who is there with another connection.
    """

    count: int
    changed: bool


class Subscriber(Protocol):
    """Who hears what happens in a log."""

    def appended(self, log: str, entry: Entry) -> None:
        """Takes an entry without waiting, in the order of the offsets."""

    def signalled(self, log: str, data: bytes) -> None:
        """Takes something that is not kept, without waiting."""


class Engine(ABC):
    """Logs, and the news of what is appended to them; and a few tables.

    Calls take effect in the order in which they were made. When a call that changes something
    returns, the change is as durable as the engine was told to make it, and subscribers on the same
    node have heard of it. A call that is cancelled may take effect or not.

    Every coroutine raises `EngineError` when the engine cannot do its work.
    """

    @property
    @abstractmethod
    def fault(self) -> str | None:
        """What keeps the engine from its work, or None: as of the latest call."""

    @abstractmethod
    async def start(self) -> None:
        """Makes the engine ready."""

    @abstractmethod
    async def close(self) -> None:
        """Ends the engine; what was asked for before is done."""

    # Logs

    @abstractmethod
    async def create_log(self, log: str) -> None:
        """Makes an empty log, unless there is one."""

    @abstractmethod
    async def append(self, *appends: Append) -> Sequence[Appended]:
        """Appends entries, all or none of them.

        Raises:
            Conflict: an entry to be replaced has changed, or is gone.
        """

    @abstractmethod
    async def read(self, log: str, *, after: int, limit: int) -> Page:
        """Reads entries that follow an offset, at most ``limit`` of them and at least one.

        They are fewer when their data is large.
        """

    @abstractmethod
    async def read_back(self, log: str, *, before: int | None, limit: int) -> Page:
        """Reads the entries that precede an offset, or the latest ones; else as `read`."""

    @abstractmethod
    async def heads(self, logs: Iterable[str]) -> dict[str, Position]:
        """Returns where logs end; those that do not exist are left out."""

    @abstractmethod
    async def trim(self) -> None:
        """Forgets what is older than the engine was told to keep. To be called now and then."""

    @abstractmethod
    def subscribe(self, log: str, subscriber: Subscriber) -> None:
        """Lets a subscriber hear of a log from now on. One that reads afterwards misses nothing."""

    @abstractmethod
    def unsubscribe(self, log: str, subscriber: Subscriber) -> None:
        """Lets a subscriber hear of a log no longer."""

    @abstractmethod
    def signal(self, log: str, data: bytes) -> None:
        """Tells the subscribers of a log something that nobody keeps."""

    # Rooms and their members

    @abstractmethod
    async def create_room(self, room: RoomRecord, log: str) -> bool:
        """Makes a room with an empty log, unless there is one. Tells whether it did."""

    @abstractmethod
    async def describe_room(self, name: str, topic: str) -> None:
        """Changes what a room is about."""

    @abstractmethod
    async def set_rules(self, name: str, rules: bytes) -> None:
        """Changes the rules of a room."""

    @abstractmethod
    async def remove_room(self, name: str, log: str) -> bool:
        """Forgets a room and its log, unless it has members. Tells whether it did.

        A room that gets its name later begins anew.
        """

    @abstractmethod
    async def rooms(self) -> Sequence[RoomRecord]:
        """Returns all rooms, the oldest first."""

    @abstractmethod
    async def add_member(self, room: str, user: str) -> bool:
        """Makes a user a member of a room, until `remove_member`. False if there is no room."""

    @abstractmethod
    async def remove_member(self, room: str, user: str) -> bool:
        """Ends a membership. Tells whether the room has other members."""

    @abstractmethod
    async def members(self, room: str, *, after: str, limit: int) -> Sequence[UserRecord]:
        """Returns members in the order of their ids, those after one of them."""

    @abstractmethod
    async def member_count(self, room: str) -> int:
        """Returns how many members a room has."""

    @abstractmethod
    async def rooms_of(self, user: str) -> Sequence[str]:
        """Returns the rooms that a user is a member of, in the order of joining."""

    # Users

    @abstractmethod
    async def claim(self, user: UserRecord, inbox: str) -> bool:
        """Gives a user their name, unless another who has it is present. Tells whether it did.

        The user is remembered, has a log for what is said to them alone, and is present
        `EVERYWHERE`, once more for each claim.
        """

    @abstractmethod
    async def user(self, id: str) -> UserRecord | None:
        """Returns a user."""

    @abstractmethod
    async def find_user(self, name_key: str) -> UserRecord | None:
        """Returns the user who took a name last."""

    @abstractmethod
    async def forget_user(self, id: str, inbox: str) -> None:
        """Forgets a user and all that belongs to them; what they said in rooms stays."""

    @abstractmethod
    async def guests_before(self, last_seen: int) -> Sequence[UserRecord]:
        """Returns the users with a secret who were last seen before a time and are not present."""

    # Presence

    @abstractmethod
    async def arrive(self, place: str, user: UserRecord) -> Presence:
        """Counts one more connection of a user at a place."""

    @abstractmethod
    async def depart(self, place: str, user: UserRecord) -> Presence:
        """Counts one connection less. The end of the last one `EVERYWHERE` is remembered."""

    @abstractmethod
    async def present(self, place: str, users: Iterable[str]) -> set[str]:
        """Returns those of some users who are at a place."""

    @abstractmethod
    async def names_at(self, place: str, limit: int) -> Sequence[str]:
        """Returns the names of users at a place, in the order of their arrival."""

    # What users have read and subscribed to

    @abstractmethod
    async def mark_read(self, user: str, log: str, offset: int, *, author: str = "") -> int:
        """Remembers how far a user has read a log, or what one author wrote in it.

        It never goes back. Returns how far that is.
        """

    @abstractmethod
    async def read_marks(self, user: str) -> dict[str, int]:
        """Returns how far a user has read whole logs, by log."""

    @abstractmethod
    async def count_unread(self, user: str, heads: Mapping[str, int]) -> dict[str, int]:
        """Returns how much of what others wrote a user has not read, by log, up to an offset each.

        Counts at most `MAX_UNREAD`.
        """

    @abstractmethod
    async def unread_by_author(self, user: str, log: str, *, until: int) -> Sequence[Unread]:
        """Returns what a user has not read in a log up to an offset, by author.

        Authors of whom all was read are among them where their mark is beyond the log's. Of what
        was not read, no more than the latest 10,000 entries are counted.
        """

    @abstractmethod
    async def marks_of(self, log: str, users: Iterable[str]) -> dict[str, int]:
        """Returns how far some users have read a log, by user; who has not begun is missing."""

    @abstractmethod
    async def add_pattern(self, user: str, pattern: str) -> None:
        """Remembers a pattern of topics that a user subscribes to."""

    @abstractmethod
    async def remove_pattern(self, user: str, pattern: str) -> None:
        """Forgets one."""

    @abstractmethod
    async def patterns(self, user: str) -> Sequence[str]:
        """Returns the patterns of a user."""
