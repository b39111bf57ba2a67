"""Rooms, and who follows what is said in them.

What lives here: channels, which hand a log on from its head, and the list of rooms. Pure and
synchronous: a follower is whatever can be handed an event. This file knows no sockets, no JSON, and
not where logs are kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Final, Protocol

from .engines.base import Entry, Position, RoomRecord
from .protocol import CommandError, Encoded
from .rules import Rules

LOBBY: Final = "lobby"
"""The room that always exists."""
TAIL: Final = 32
"""Entries that a channel remembers, for those who come while it goes on."""


class Follower(Protocol):
    """Who can hear of a log."""

    @property
    def user_id(self) -> str:
        """Who it is."""

    def deliver(self, event: Encoded, *, key: str = "") -> None:
        """Takes an event without waiting; with a key, later ones of that key may replace it."""


class Place(Enum):
    """Where an entry stands, seen from what a channel has handed on."""

    NEXT = 1
    KNOWN = 2
    AHEAD = 3
    """Entries before it are missing, or the log has begun anew."""


class Channel:
    """A log, handed on to its followers entry by entry, in order, without gap or repetition.

    Attributes:
        log: its name.
        position: of the latest entry that was handed on; None while none is known.
    """

    __slots__ = ("_ahead", "_followers", "_tail", "log", "position")

    def __init__(self, log: str) -> None:
        self.log = log
        self.position: Position | None = None
        self._tail: deque[Entry] = deque(maxlen=TAIL)
        self._followers: dict[Follower, None] = {}
        # Who read further than was handed on, and how far: a log may be read before its news come.
        self._ahead: dict[Follower, int] = {}

    def __contains__(self, follower: Follower) -> bool:
        return follower in self._followers

    def __len__(self) -> int:
        return len(self._followers)

    def __iter__(self) -> Iterator[Follower]:
        return iter(list(self._followers))

    def place(self, entry: Entry) -> Place:
        """Tells whether an entry is the next one."""
        epoch, offset = entry.position.epoch, entry.position.offset
        if self.position is None or (
            epoch == self.position.epoch and offset == self.position.offset + 1
        ):
            return Place.NEXT
        if epoch == self.position.epoch and offset <= self.position.offset:
            return Place.KNOWN
        return Place.AHEAD

    def publish(
        self, entry: Entry, event: Encoded, to: AbstractSet[Follower] | None = None
    ) -> None:
        """Hands the next entry on: to all followers, or to some of them."""
        self.position = entry.position
        self._tail.append(entry)
        offset = entry.position.offset
        for follower in list(self._followers if to is None else self._followers.keys() & to):
            if self._ahead and self._ahead.get(follower, 0) >= offset:
                continue
            follower.deliver(event)
        if self._ahead:
            self._ahead = {who: last for who, last in self._ahead.items() if last > offset}

    def deliver(self, event: Encoded, *, key: str = "", but: str = "") -> None:
        """Hands something on that is in no log: to all followers, or all but those of one user."""
        for follower in list(self._followers):
            if not but or follower.user_id != but:
                follower.deliver(event, key=key)

    def after(self, position: Position) -> Sequence[Entry] | None:
        """Returns what was handed on after a position, or None where that is not remembered."""
        if self.position is None:
            return ()
        if position.epoch != self.position.epoch:
            return None
        count = self.position.offset - position.offset
        if count <= 0:
            return ()
        return list(self._tail)[-count:] if count <= len(self._tail) else None

    def follow(self, follower: Follower, position: Position) -> None:
        """Hands on to a follower from now on, who has everything up to a position.

        That is no earlier one than the channel's own: see `after`.
        """
        if self.position is None:
            self.position = position
        self._followers[follower] = None
        if position.offset > self.position.offset:
            self._ahead[follower] = position.offset

    def follow_live(self, follower: Follower) -> None:
        """Hands on to a follower what is in no log."""
        self._followers[follower] = None

    def unfollow(self, follower: Follower) -> None:
        """Hands on to a follower no longer, if it ever did."""
        self._followers.pop(follower, None)
        self._ahead.pop(follower, None)

    def reset(self, position: Position) -> None:
        """Goes on from another position: the log has begun anew."""
        self.position = position
        self._tail.clear()
        self._ahead.clear()


class Room:
    """A room.

    Attributes:
        name: what it is called.
        topic: what it is about.
        channel: its log.
        count: how many users are in it.
        rules: who may do what in it.
    """

    __slots__ = ("channel", "count", "name", "rules", "topic")

    def __init__(self, record: RoomRecord) -> None:
        self.name = record.name
        self.topic = record.topic
        self.rules = Rules.read(record.rules)
        self.channel = Channel(room_log(record.name))
        self.count = 0


class Rooms:
    """All rooms.

    Args:
        max_rooms: how many there may be at a time.
    """

    def __init__(self, max_rooms: int) -> None:
        self._max_rooms = max_rooms
        self._rooms: dict[str, Room] = {}

    def __iter__(self) -> Iterator[Room]:
        return iter(list(self._rooms.values()))

    def __getitem__(self, name: str) -> Room:
        room = self._rooms.get(name)
        if room is None:
            raise CommandError("no_such_room", f"there is no room {name!r}")
        return room

    def get(self, name: str) -> Room | None:
        """Returns a room, or None."""
        return self._rooms.get(name)

    def check_new(self, name: str) -> None:
        """Sees that there may be a new room.

        Raises:
            CommandError: ``room_exists`` or ``too_many_rooms``.
        """
        if name in self._rooms:
            raise CommandError("room_exists", f"room {name!r} exists already")
        if len(self._rooms) >= self._max_rooms:
            raise CommandError("too_many_rooms", f"there are {self._max_rooms} rooms already")

    def add(self, record: RoomRecord) -> Room:
        """Adds a room, or returns the one of that name."""
        return self._rooms.setdefault(record.name, Room(record))

    def remove(self, room: Room) -> bool:
        """Removes a room. Tells whether it was there still."""
        if self._rooms.get(room.name) is not room:
            return False
        del self._rooms[room.name]
        return True


def room_log(room: str) -> str:
    """Names the log of a room."""
    return f"room:{room}"


def inbox_log(user: str) -> str:
    """Names the log of what is said to one user."""
    return f"inbox:{user}"
