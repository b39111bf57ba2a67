"""Rooms: pure, without sockets."""

from __future__ import annotations

import pytest

from server.protocol import CommandError
from server.rooms import LOBBY, Rooms


class Listener:
    """A member that keeps what it is handed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard: list[str] = []

    def deliver(self, event: str) -> None:
        self.heard.append(event)


def test_the_lobby_is_always_there() -> None:
    rooms = Rooms(10)
    assert [room.name for room in rooms] == [LOBBY]
    assert not rooms.remove_if_empty(rooms[LOBBY])


def test_a_room_is_created_once() -> None:
    rooms = Rooms(10)
    room = rooms.create("a")
    assert rooms["a"] is room
    assert rooms.get("a") is room
    with pytest.raises(CommandError) as caught:
        rooms.create("a")
    assert caught.value.code == "room_exists"


def test_there_are_no_more_rooms_than_allowed() -> None:
    rooms = Rooms(2)
    rooms.create("a")
    with pytest.raises(CommandError) as caught:
        rooms.create("b")
    assert caught.value.code == "too_many_rooms"


def test_an_unknown_room_is_an_error() -> None:
    rooms = Rooms(10)
    assert rooms.get("a") is None
    with pytest.raises(CommandError) as caught:
        rooms["a"]
    assert caught.value.code == "no_such_room"


def test_members_come_and_go() -> None:
    rooms = Rooms(10)
    room = rooms.create("a")
    ann, bob = Listener("Ann"), Listener("Bob")
    room.add(ann)
    room.add(bob)
    assert len(room) == 2
    assert ann in room
    assert room.member_names == ["Ann", "Bob"]
    assert Listener("Ann") not in room
    room.deliver("hi")
    room.deliver("psst", but=bob)
    assert (ann.heard, bob.heard) == (["hi", "psst"], ["hi"])
    room.remove(ann)
    assert not rooms.remove_if_empty(room)
    room.remove(bob)
    assert rooms.remove_if_empty(room)
    assert not rooms.remove_if_empty(room)
    assert rooms.get("a") is None
