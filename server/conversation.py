"""What is said and done in rooms.

What lives here: one method for each command about a room, and what follows from people's coming and
going. This file knows neither sockets nor JSON: sessions take events, and the engine keeps logs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec

from . import protocol
from .engines.base import (
    Append,
    Appended,
    Conflict,
    Engine,
    Entry,
    Position,
    Presence,
    Replacement,
    RoomRecord,
)
from .gate import Gate
from .logs import Logs, read_event, write_event
from .names import check_description, check_room, check_text
from .presence import LARGE, Absences, Typists
from .protocol import CommandError, Message
from .rooms import LOBBY, Channel, Room, Rooms, room_log
from .rules import RULES, Change, Rules
from .session import Session

__all__ = ["Conversation", "room_event"]

MAX_ROOMS_PER_USER: Final = 100
MAX_COUNTS: Final = 4000
"""Of the number of users in one room, how many are told in a second, on the average."""
LATEST: Final = 50
"""Entries of the history for somebody who comes anew."""
ROOMS: Final = "rooms"
"""Where nodes tell each other about rooms."""
MEMBERSHIPS: Final = "memberships"
"""Where they tell each other who became a member of one."""

_room_event_decoder: msgspec.json.Decoder[
    protocol.RoomCreated | protocol.RoomDescribed | protocol.RoomRemoved | protocol.RoomCount
] = msgspec.json.Decoder(
    protocol.RoomCreated | protocol.RoomDescribed | protocol.RoomRemoved | protocol.RoomCount
)


class NewMember(msgspec.Struct):
    """What nodes tell each other: a user, by id, became a member of a room."""

    room: str
    user: str


class Conversation:
    """All rooms, and what people do in them.

    Args:
        engine: keeps logs and memberships.
        logs: hands logs on.
        gate: knows how much somebody may do.
        users: the sessions of those who are connected, by the user's id.
        everybody: the channel of all who are connected.
        absences: those whose connection was lost, but who are in their rooms still.
        max_rooms: how many rooms there may be.
    """

    def __init__(
        self,
        engine: Engine,
        logs: Logs,
        gate: Gate,
        users: Mapping[str, AbstractSet[Session]],
        everybody: Channel,
        absences: Absences[Session],
        max_rooms: int,
    ) -> None:
        self._engine = engine
        self._logs = logs
        self._gate = gate
        self._users = users
        self._everybody = everybody
        self._absences = absences
        self._rooms = Rooms(max_rooms)
        self._typists = Typists()
        self._recount: dict[Room, None] = {}
        self._next_recount = 0.0

    async def start(self) -> None:
        """Finds the rooms that were there before; those that nobody is a member of are removed."""
        self._engine.subscribe(ROOMS, self)
        self._engine.subscribe(MEMBERSHIPS, self)
        await self._engine.create_room(RoomRecord(LOBBY), room_log(LOBBY))
        for record in await self._engine.rooms():
            if record.name == LOBBY or not await self._engine.remove_room(
                record.name, room_log(record.name)
            ):
                self._open(record)

    def room_list(self) -> list[protocol.RoomInfo]:
        """Returns all rooms with their sizes."""
        return [
            protocol.RoomInfo(room.name, room.count, room.topic, room.rules.access.value)
            for room in self._rooms
        ]

    def find(self, name: str) -> Room:
        """Returns a room.

        Raises:
            CommandError: ``no_such_room``.
        """
        return self._rooms[name]

    def get(self, name: str) -> Room | None:
        """Returns a room, or None."""
        return self._rooms.get(name)

    def room_of(self, session: Session, name: str) -> Room:
        """Returns a room that a session is in.

        Raises:
            CommandError: ``invalid_room``, ``no_such_room`` or ``not_in_room``.
        """
        room = self._rooms[check_room(name)]
        if session.rooms.get(room.name) is not room:
            raise CommandError("not_in_room", f"you are not in {room.name!r}")
        return room

    def sessions_of(self, user: str) -> list[Session]:
        """Returns the sessions that a user, by id, has here."""
        return list(self._users.get(user, ()))

    def sessions_in(self, room: Room) -> list[Session]:
        """Returns the sessions that follow a room here."""
        return [follower for follower in room.channel if isinstance(follower, Session)]

    # Rooms

    async def list_rooms(self, session: Session, command: protocol.ListRooms) -> protocol.RoomsAck:
        """See `protocol.ListRooms`."""
        return protocol.RoomsAck(rooms=self.room_list())

    async def create(self, session: Session, command: protocol.CreateRoom) -> protocol.RoomAck:
        """See `protocol.CreateRoom`."""
        name = check_room(command.room)
        rules = Rules(owner=session.person)
        record = RoomRecord(name, check_description(command.topic), session.user_id, rules.kept())
        self._check_count(session)
        self._rooms.check_new(name)
        if not await self._engine.create_room(record, room_log(name)):
            raise CommandError("room_exists", f"room {name!r} exists already")
        self._announce(protocol.RoomCreated(room=name, members=0, topic=record.topic))
        self._engine.signal(RULES, msgspec.json.encode(Change(room=name, rules=record.rules)))
        session.created.append(self._rooms[name])
        return protocol.RoomAck(room=name)

    async def describe(self, session: Session, command: protocol.DescribeRoom) -> protocol.RoomAck:
        """See `protocol.DescribeRoom`."""
        room = self.room_of(session, command.room)
        room.rules.check_say(session.person, session.role)
        topic = check_description(command.topic)
        await self._engine.describe_room(room.name, topic)
        self._announce(protocol.RoomDescribed(room=room.name, topic=topic))
        return protocol.RoomAck(room=room.name)

    async def join(self, session: Session, command: protocol.Join) -> protocol.JoinAck:
        """See `protocol.Join`."""
        room = self._rooms[check_room(command.room)]
        if session in room.channel:
            if command.since is None:
                raise CommandError("already_in_room", f"you are in {room.name!r} already")
            room.channel.unfollow(session)
        is_member = room.name in session.memberships
        room.rules.check_join(session.person, session.role, is_member=is_member)
        self._check_count(session, joining=room)
        if not await self._engine.add_member(room.name, session.user_id):
            raise CommandError("no_such_room", f"room {room.name!r} was removed")
        session.memberships.add(room.name)
        if not is_member:
            news = NewMember(room.name, session.user_id)
            self._engine.signal(MEMBERSHIPS, msgspec.json.encode(news))
        await self._arrive(session, room)
        read = await self._begin_reading(session, room)
        followed = await self._logs.follow(room.channel, session, command.since, latest=LATEST)
        members = await self._engine.names_at(room.channel.log, LARGE)
        return protocol.JoinAck(
            room=room.name,
            epoch=followed.position.epoch,
            offset=followed.position.offset,
            head=followed.head,
            recovered=followed.recovered,
            more=followed.more,
            history=[room_event(entry) for entry in followed.entries],
            members=list(members),
            count=room.count,
            topic=room.topic,
            read=read,
            access=room.rules.access.value,
            moderator=room.rules.is_moderator(session.person, session.role),
        )

    async def leave(self, session: Session, command: protocol.Leave) -> protocol.RoomAck:
        """See `protocol.Leave`."""
        room = self._rooms[check_room(command.room)]
        if room.name not in session.memberships:
            raise CommandError("not_in_room", f"you are not in {room.name!r}")
        session.memberships.discard(room.name)
        await self.depart(session, room, away=False)
        await self.end_absence(room, session.user_id)
        # The same user's other connections have left with it.
        change = Change(
            room=room.name,
            rules=room.rules.kept(),
            expelled=session.user_id,
            by=session.name,
        )
        self._engine.signal(RULES, msgspec.json.encode(change))
        await self.end_membership(room, session.user_id)
        return protocol.RoomAck(room=room.name)

    # Messages

    async def send(self, session: Session, command: protocol.Send) -> protocol.SendAck:
        """See `protocol.Send`."""
        room = self.room_of(session, command.room)
        room.rules.check_say(session.person, session.role)
        event = Message(
            room=room.name,
            sender=session.name,
            user=session.user_id,
            key=command.key,
            text=check_text(command.text),
        )
        self._gate.pay_for_publishing(session.visitor, room.count)
        self._typists.end(room.name, session.name)
        (appended,) = await self._engine.append(_append(room, event))
        return _sent(room, appended)

    async def say(self, name: str, sender: str, text: str, *, key: str | None = None) -> Position:
        """Says something in a room for another service.

        Args:
            name: of the room.
            sender: who says it, as others see it.
            text: what is said.
            key: the service's number for it; with the same one it is said once.

        Raises:
            CommandError: ``no_such_room`` or ``too_long``.
            EngineError: it could not be kept, and nobody has heard it.
        """
        room = self.find(name)
        if not text:
            raise CommandError("bad_fields", "a message has at least one character")
        # No user has this id: those of users begin with "user-" or "guest-".
        event = Message(
            room=room.name, sender=sender, user="service", key=key, text=check_text(text)
        )
        (appended,) = await self._engine.append(_append(room, event))
        return appended.position

    async def edit(self, session: Session, command: protocol.Edit) -> protocol.SendAck:
        """See `protocol.Edit`."""
        text = check_text(command.text)

        def change(message: Message) -> tuple[Message, protocol.Edited]:
            if message.deleted:
                raise CommandError("no_such_message", "the message was taken back")
            edited = protocol.Edited(
                room=message.room,
                sender=session.name,
                user=session.user_id,
                key=command.key,
                target=command.offset,
                text=text,
            )
            return msgspec.structs.replace(message, text=text, edited=True), edited

        return await self._change(session, command, change)

    async def delete(self, session: Session, command: protocol.Delete) -> protocol.SendAck:
        """See `protocol.Delete`."""

        def change(message: Message) -> tuple[Message, protocol.Deleted]:
            deleted = protocol.Deleted(
                room=message.room,
                sender=session.name,
                user=session.user_id,
                key=command.key,
                target=command.offset,
            )
            return msgspec.structs.replace(message, text="", deleted=True), deleted

        return await self._change(session, command, change)

    async def _change(
        self,
        session: Session,
        command: protocol.Edit | protocol.Delete,
        change: Callable[[Message], tuple[Message, protocol.Edited | protocol.Deleted]],
    ) -> protocol.SendAck:
        """Appends the change of a message, and puts the new one in the old one's place."""
        room = self.room_of(session, command.room)
        room.rules.check_say(session.person, session.role)
        while True:
            entry, message = await self._find(room, command.offset)
            if message.user != session.user_id and not (
                isinstance(command, protocol.Delete)
                and room.rules.is_moderator(session.person, session.role)
            ):
                raise CommandError("forbidden", "the message is not yours")
            new, event = change(message)
            # As `write_event` has it: without place and time.
            data = write_event(msgspec.structs.replace(new, offset=0, time=""))
            author = "" if new.deleted else new.user
            replacement = Replacement(command.offset, entry.data, data, author)
            try:
                (appended,) = await self._engine.append(_append(room, event, replacement))
            except Conflict:
                # Somebody, with the same name elsewhere, was faster: look again.
                continue
            return _sent(room, appended)

    async def _find(self, room: Room, offset: int) -> tuple[Entry, Message]:
        page = await self._engine.read(room.channel.log, after=offset - 1, limit=1)
        for entry in page.entries:
            event = read_event(entry)
            if event.offset == offset and isinstance(event, Message):
                return entry, event
        raise CommandError("no_such_message", "there is no message at this offset, or no longer")

    # What is not kept

    async def typing(self, session: Session, command: protocol.Typing) -> protocol.TypingAck:
        """See `protocol.Typing`."""
        assert command.room is not None
        room = self.room_of(session, command.room)
        room.rules.check_say(session.person, session.role)
        if command.active:
            self._typists.begin(room.name, session.name, asyncio.get_running_loop().time())
        else:
            self._typists.end(room.name, session.name)
        self._tell_typing(room, session.name, command.active, session.user_id)
        return protocol.TypingAck(room=room.name)

    async def mark_read(self, session: Session, command: protocol.MarkRead) -> protocol.ReadAck:
        """See `protocol.MarkRead`."""
        assert command.room is not None
        room = self.room_of(session, command.room)
        log = room.channel.log
        head = (await self._engine.heads([log]))[log].offset
        offset = await self._engine.mark_read(session.user_id, log, min(command.offset, head))
        if room.count <= LARGE:
            event = protocol.Read(room=room.name, user=session.name, offset=offset)
            self._logs.signal(room.channel, event, key=f"read:{room.name}:{session.name}")
        return protocol.ReadAck(room=room.name, offset=offset)

    def tick(self, now: float) -> None:
        """Tells what has expired or has changed since the last time."""
        for name, user in self._typists.take_expired(now):
            if (room := self._rooms.get(name)) is not None:
                self._tell_typing(room, user, False, "")
        if now >= self._next_recount:
            for room in self._recount:
                self._announce(protocol.RoomCount(room=room.name, members=room.count))
            self._recount.clear()
            self._next_recount = now + len(self._everybody) / MAX_COUNTS

    def _tell_typing(self, room: Room, user: str, active: bool, but: str) -> None:
        # Nobody reads who types among hundreds, and each of them would have to be told.
        if room.count <= LARGE:
            event = protocol.TypingEvent(room=room.name, user=user, active=active)
            self._logs.signal(room.channel, event, key=f"typing:{room.name}:{user}", but=but)

    # Coming and going

    async def _arrive(self, session: Session, room: Room) -> None:
        if room.name in session.rooms:
            return
        assert session.user is not None
        session.rooms[room.name] = room
        presence = await self._engine.arrive(room.channel.log, session.user)
        joined = protocol.Joined(room=room.name, user=session.name, count=presence.count)
        self._tell_presence(room, presence, joined)

    async def _begin_reading(self, session: Session, room: Room) -> int:
        """Returns how far somebody has read; to who comes for the first time nothing is new."""
        log = room.channel.log
        read = (await self._engine.read_marks(session.user_id)).get(log)
        if read is None:
            heads = await self._engine.heads([log])
            head = heads[log].offset if log in heads else 0
            read = await self._engine.mark_read(session.user_id, log, head)
        return read

    def hush(self, session: Session, room: Room) -> None:
        """Has a session hear nothing more of a room, and type there no longer."""
        room.channel.unfollow(session)
        if room.name in session.rooms and self._typists.end(room.name, session.name):
            self._tell_typing(room, session.name, False, "")

    async def depart(self, session: Session, room: Room, *, away: bool) -> None:
        """Takes a session out of a room; its user may stay a member of it (``away``)."""
        self.hush(session, room)
        if session.rooms.pop(room.name, None) is None:
            return
        assert session.user is not None
        presence = await self._engine.depart(room.channel.log, session.user)
        left = protocol.Left(room=room.name, user=session.name, count=presence.count, away=away)
        self._tell_presence(room, presence, left)

    async def end_absence(self, room: Room, user: str) -> None:
        """Waits in a room no longer for connections of a user that were lost."""
        for absent in self._absences.of(user):
            if absent.rooms.get(room.name) is room:
                await self.depart(absent, room, away=False)

    async def forget(self, user: str) -> None:
        """Ends all memberships of a user."""
        for name in await self._engine.rooms_of(user):
            if (room := self._rooms.get(name)) is not None:
                await self.end_membership(room, user)

    async def remove_unused(self, room: Room) -> None:
        """Removes a room that has no members, unless it is the lobby."""
        if room.name != LOBBY and await self._engine.remove_room(room.name, room.channel.log):
            self._announce(protocol.RoomRemoved(room=room.name, members=0))

    async def end_membership(self, room: Room, user: str) -> None:
        """Makes a user a member no longer; a room without any is removed."""
        if not await self._engine.remove_member(room.name, user):
            await self.remove_unused(room)

    def _tell_presence(
        self, room: Room, presence: Presence, event: protocol.Joined | protocol.Left
    ) -> None:
        room.count = presence.count
        if presence.changed:
            self._recount[room] = None
            if presence.count <= LARGE:
                self._logs.signal(room.channel, event)

    def _check_count(self, session: Session, joining: Room | None = None) -> None:
        """Counts the rooms that a user keeps alive: is in, or created and nobody has joined."""
        session.created = [
            room
            for room in session.created
            if not room.count and self._rooms.get(room.name) is room
        ]
        kept = session.memberships.union(room.name for room in session.created)
        if joining is not None:
            kept.discard(joining.name)
        if len(kept) >= MAX_ROOMS_PER_USER:
            raise CommandError(
                "too_many_rooms", f"you are in {MAX_ROOMS_PER_USER} rooms, or created them, already"
            )

    # What nodes tell each other

    def _announce(
        self,
        event: protocol.RoomCreated
        | protocol.RoomDescribed
        | protocol.RoomRemoved
        | protocol.RoomCount,
    ) -> None:
        self._engine.signal(ROOMS, protocol.encode(event).encode())

    def signalled(self, log: str, data: bytes) -> None:
        """Hears of rooms, from this node too, and tells whom it concerns. See `Subscriber`."""
        if log == MEMBERSHIPS:
            self._tell_member(msgspec.json.decode(data, type=NewMember))
            return
        event = _room_event_decoder.decode(data)
        if isinstance(event, protocol.RoomCreated):
            self._open(RoomRecord(event.room, event.topic))
        elif (room := self._rooms.get(event.room)) is None:
            return
        elif isinstance(event, protocol.RoomDescribed):
            room.topic = event.topic
        elif isinstance(event, protocol.RoomCount):
            room.count = event.members
        elif self._rooms.remove(room):
            self._close(room)
        key = f"count:{event.room}" if isinstance(event, protocol.RoomCount) else ""
        self._everybody.deliver(protocol.prepare(event), key=key)

    def appended(self, log: str, entry: Entry) -> None:
        """Nothing is appended to these logs. See `Subscriber`."""

    def _tell_member(self, news: NewMember) -> None:
        """Tells a new member on the connections where they do not know it yet."""
        event = protocol.encode(protocol.RoomJoined(room=news.room))
        for session in self.sessions_of(news.user):
            if news.room not in session.memberships:
                session.memberships.add(news.room)
                session.deliver(event)

    def _open(self, record: RoomRecord) -> None:
        self._logs.open(self._rooms.add(record).channel)

    def _close(self, room: Room) -> None:
        self._recount.pop(room, None)
        self._logs.close(room.channel)


def _append(
    room: Room,
    event: Message | protocol.Edited | protocol.Deleted,
    replacement: Replacement | None = None,
) -> Append:
    return Append(
        log=room.channel.log,
        data=write_event(event),
        # A change is no message to be read.
        author=event.user if isinstance(event, Message) else "",
        key=None if event.key is None else f"{event.user}/{event.key}",
        replaces=replacement,
    )


def room_event(entry: Entry) -> Message | protocol.Edited | protocol.Deleted:
    """Returns the event of an entry of a room's log."""
    event = read_event(entry)
    assert isinstance(event, Message | protocol.Edited | protocol.Deleted)
    return event


def _sent(room: Room, appended: Appended) -> protocol.SendAck:
    position = appended.position
    return protocol.SendAck(room=room.name, epoch=position.epoch, offset=position.offset)
