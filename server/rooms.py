"""Rooms and who is in them.

What lives here: membership and counts. Pure and synchronous: a member is whatever has a name and
can be handed an event. This file knows no sockets, no JSON and no history.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from .engines.base import Entry
from .protocol import CommandError

LOBBY: Final = "lobby"
"""The room that always exists."""


class Member(Protocol):
    """Who can be in a room."""

    @property
    def name(self) -> str:
        """What the member is called."""

    def deliver(self, event: str) -> None:
        """Takes an event without waiting."""


class Room:
    """A room: its members by name, in the order in which they came."""

    __slots__ = ("_arriving", "_members", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._members: dict[str, Member] = {}
        self._arriving: list[list[Entry]] = []

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, member: Member) -> bool:
        return self._members.get(member.name) is member

    @property
    def member_names(self) -> list[str]:
        """Who is here."""
        return list(self._members)

    def deliver(self, event: str, *, but: Member | None = None) -> None:
        """Hands an event to everybody here, or to everybody but one."""
        for member in list(self._members.values()):
            if member is not but:
                member.deliver(event)

    @contextmanager
    def arrival(self) -> Iterator[list[Entry]]:
        """Collects what is said in the room while somebody prepares to come in."""
        said: list[Entry] = []
        self._arriving.append(said)
        try:
            yield said
        finally:
            # By identity: lists with the same entries are equal.
            self._arriving = [other for other in self._arriving if other is not said]

    def publish(self, entry: Entry, event: str) -> None:
        """Hands a message to everybody here, and to those who arrive."""
        self.deliver(event)
        for said in self._arriving:
            said.append(entry)

    def add(self, member: Member) -> None:
        """Lets a member in."""
        self._members[member.name] = member

    def remove(self, member: Member) -> None:
        """Lets a member out."""
        del self._members[member.name]


class Rooms:
    """All rooms.

    Args:
        max_rooms: how many there may be at a time.
    """

    def __init__(self, max_rooms: int) -> None:
        self._max_rooms = max_rooms
        self._rooms: dict[str, Room] = {LOBBY: Room(LOBBY)}

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

    def create(self, name: str) -> Room:
        """Makes a new room.

        Raises:
            CommandError: ``room_exists`` or ``too_many_rooms``.
        """
        if name in self._rooms:
            raise CommandError("room_exists", f"room {name!r} exists already")
        if len(self._rooms) >= self._max_rooms:
            raise CommandError("too_many_rooms", f"there are {self._max_rooms} rooms already")
        room = self._rooms[name] = Room(name)
        return room

    def remove_if_empty(self, room: Room) -> bool:
        """Removes a room that nobody is in, unless it is the lobby. Tells whether it did."""
        if len(room) or room.name == LOBBY or self._rooms.get(room.name) is not room:
            return False
        del self._rooms[room.name]
        return True
