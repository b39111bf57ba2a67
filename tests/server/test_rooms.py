"""Rooms and channels: pure, without sockets."""

from __future__ import annotations

import pytest

from server.engines.base import Entry, Position, RoomRecord
from server.protocol import CommandError, Encoded
from server.rooms import TAIL, Channel, Place, Rooms


class Listener:
    """A follower that keeps what it is handed."""

    def __init__(self, user_id: str = "1") -> None:
        self.user_id = user_id
        self.heard: list[str] = []

    def deliver(self, event: Encoded, *, key: str = "") -> None:
        assert isinstance(event, str)
        self.heard.append(event)


def entry(offset: int, epoch: str = "e") -> Entry:
    return Entry(Position(epoch, offset), 0, b"")


def publish(channel: Channel, *offsets: int) -> None:
    for offset in offsets:
        assert channel.place(entry(offset)) is Place.NEXT
        channel.publish(entry(offset), str(offset))


def test_a_room_is_added_once() -> None:
    rooms = Rooms(10)
    room = rooms.add(RoomRecord("a", "about"))
    assert rooms.add(RoomRecord("a")) is room
    assert rooms["a"] is room
    assert room.topic == "about"
    with pytest.raises(CommandError) as caught:
        rooms.check_new("a")
    assert caught.value.code == "room_exists"


def test_there_are_no_more_rooms_than_allowed() -> None:
    rooms = Rooms(1)
    rooms.check_new("a")
    rooms.add(RoomRecord("a"))
    with pytest.raises(CommandError) as caught:
        rooms.check_new("b")
    assert caught.value.code == "too_many_rooms"


def test_an_unknown_room_is_an_error() -> None:
    rooms = Rooms(10)
    assert rooms.get("a") is None
    with pytest.raises(CommandError) as caught:
        rooms["a"]
    assert caught.value.code == "no_such_room"


def test_a_room_is_removed_once() -> None:
    rooms = Rooms(10)
    room = rooms.add(RoomRecord("a"))
    assert rooms.remove(room)
    assert not rooms.remove(room)
    rooms.add(RoomRecord("a"))
    assert not rooms.remove(room)


def test_followers_come_and_go() -> None:
    channel = Channel("a")
    ann, bob = Listener("1"), Listener("2")
    channel.follow(ann, Position("e", 0))
    channel.follow(bob, Position("e", 0))
    assert (len(channel), ann in channel, list(channel)) == (2, True, [ann, bob])
    publish(channel, 1)
    channel.deliver("psst", but="2")
    channel.unfollow(ann)
    channel.unfollow(ann)
    publish(channel, 2)
    assert (ann.heard, bob.heard) == (["1", "psst"], ["1", "2"])


def test_some_followers_can_be_told_alone() -> None:
    channel = Channel("a")
    ann, bob, cat = Listener(), Listener(), Listener()
    channel.follow(ann, Position("e", 0))
    channel.follow(bob, Position("e", 0))
    channel.publish(entry(1), "1", {bob, cat})
    assert (ann.heard, bob.heard, cat.heard) == ([], ["1"], [])


def test_entries_have_their_place() -> None:
    channel = Channel("a")
    assert channel.place(entry(7)) is Place.NEXT
    channel.publish(entry(7), "7")
    assert channel.place(entry(7)) is Place.KNOWN
    assert channel.place(entry(6)) is Place.KNOWN
    assert channel.place(entry(8)) is Place.NEXT
    assert channel.place(entry(9)) is Place.AHEAD
    assert channel.place(entry(8, "other")) is Place.AHEAD


def test_what_was_handed_on_lately_is_remembered() -> None:
    channel = Channel("a")
    assert channel.after(Position("e", 5)) == ()
    publish(channel, *range(1, TAIL + 10))
    head = TAIL + 9
    assert channel.after(Position("e", head)) == ()
    assert channel.after(Position("e", head + 1)) == ()
    assert channel.after(Position("e", head - 2)) == [entry(head - 1), entry(head)]
    assert channel.after(Position("e", head - TAIL)) == [
        entry(offset) for offset in range(head - TAIL + 1, head + 1)
    ]
    assert channel.after(Position("e", head - TAIL - 1)) is None
    assert channel.after(Position("other", head)) is None


def test_who_has_read_ahead_of_the_news_hears_nothing_twice() -> None:
    channel = Channel("a")
    ann, bob = Listener(), Listener()
    channel.follow(ann, Position("e", 3))
    channel.follow(bob, Position("e", 5))
    publish(channel, 4, 5, 6)
    assert (ann.heard, bob.heard) == (["4", "5", "6"], ["6"])


def test_after_a_reset_numbers_begin_where_it_says() -> None:
    channel = Channel("a")
    ann = Listener()
    channel.follow(ann, Position("e", 9))
    channel.reset(Position("f", 2))
    assert channel.place(entry(3, "f")) is Place.NEXT
    channel.publish(entry(3, "f"), "3")
    assert ann.heard == ["3"]
