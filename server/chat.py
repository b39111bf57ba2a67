"""What the commands do.

What lives here: the users who are connected, and one method for each command. This file knows
neither sockets nor JSON: sessions take events, and the engine keeps messages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final, get_type_hints

import msgspec

from . import protocol
from .engines.base import Engine, Entry
from .gate import Gate
from .protocol import CommandError
from .rooms import Room, Rooms
from .session import Session

__all__ = ["Chat"]

MAX_ROOMS_PER_USER: Final = 100


class Chat:
    """The whole chat of one process.

    Args:
        engine: keeps messages and hands them on.
        gate: knows who somebody is, and how much they may do; by default everybody, everything.
        max_rooms: how many rooms there may be.
    """

    def __init__(self, engine: Engine, gate: Gate | None = None, *, max_rooms: int = 1000) -> None:
        self._engine = engine
        self._gate = Gate() if gate is None else gate
        self._rooms = Rooms(max_rooms)
        self._users: dict[str, Session] = {}
        self._closing = False
        engine.subscribe(self._published)
        self._commands: dict[type, Callable[[Session, Any], Awaitable[protocol.Ack]]] = {
            protocol.Refresh: self._refresh,
            protocol.ListRooms: self._list_rooms,
            protocol.CreateRoom: self._create_room,
            protocol.Join: self._join,
            protocol.Leave: self._leave,
            protocol.Send: self._send,
            protocol.Private: self._private,
            protocol.Typing: self._typing,
            protocol.Members: self._members,
        }

    @property
    def user_count(self) -> int:
        """How many users have entered."""
        return len(self._users)

    def room_list(self) -> list[protocol.RoomInfo]:
        """Returns all rooms with their sizes."""
        return [protocol.RoomInfo(room.name, len(room)) for room in self._rooms]

    @property
    def answer_types(self) -> dict[type[protocol.Command], type[protocol.Ack]]:
        """Which answer each command gets."""
        answers = {type: get_type_hints(do)["return"] for type, do in self._commands.items()}
        return {protocol.Hello: protocol.HelloAck} | answers

    async def receive(self, session: Session, message: str | bytes) -> None:
        """Carries out a command and answers it, once."""
        request_id = None
        try:
            command = self._read(session, message)
            request_id = command.id
            self._gate.count(session.visitor, command)
            answer = await self._carry_out(session, command)
        except CommandError as error:
            self._gate.count_refused(session.visitor, error)
            session.answer(protocol.encode(protocol.refusal(error, request_id)))
        else:
            answer.id = request_id
            session.answer(protocol.encode(answer))

    def close(self) -> None:
        """Ends the chat: everybody is about to leave, and nobody needs to hear of the others."""
        self._closing = True

    def leave(self, session: Session) -> None:
        """Takes out a user who is gone."""
        if self._closing or not session.name:
            return
        # First, so that the user's own leaving is not told to the user.
        del self._users[protocol.name_key(session.name)]
        for name in sorted(session.rooms):
            self._take_out(session, self._rooms[name])
        for room in session.created:
            self._remove_if_empty(room)

    def _read(self, session: Session, message: str | bytes) -> protocol.AnyCommand:
        try:
            return protocol.decode(message)
        except CommandError:
            self._gate.count(session.visitor, None)
            raise

    async def _carry_out(self, session: Session, command: protocol.AnyCommand) -> protocol.Ack:
        if isinstance(command, protocol.Hello):
            return self._hello(session, command)
        if not session.name:
            raise CommandError("hello_first", "say hello first")
        return await self._commands[type(command)](session, command)

    def _hello(self, session: Session, command: protocol.Hello) -> protocol.HelloAck:
        if session.name:
            raise CommandError("already_hello", f"you are {session.name!r} already")
        identity = self._gate.enter(session.visitor, command)
        name = identity.name
        if protocol.name_key(name) in self._users:
            raise CommandError("name_taken", f"the name {name!r} is taken")
        session.name = name
        session.visitor.identity = identity
        self._users[protocol.name_key(name)] = session
        expires_in = self._gate.expires_in(identity)
        return protocol.HelloAck(
            name=name,
            role=identity.role.name.lower(),
            rooms=self.room_list(),
            expires_in=msgspec.UNSET if expires_in is None else expires_in,
        )

    async def _refresh(self, session: Session, command: protocol.Refresh) -> protocol.RefreshAck:
        return protocol.RefreshAck(expires_in=self._gate.refresh(session.visitor, command.token))

    async def _list_rooms(self, session: Session, command: protocol.ListRooms) -> protocol.RoomsAck:
        return protocol.RoomsAck(rooms=self.room_list())

    async def _create_room(
        self, session: Session, command: protocol.CreateRoom
    ) -> protocol.RoomAck:
        name = protocol.check_room(command.room)
        self._check_count(session)
        room = self._rooms.create(name)
        session.created.append(room)
        self._tell_everybody(protocol.RoomCreated(room=room.name, members=0))
        return protocol.RoomAck(room=room.name)

    async def _join(self, session: Session, command: protocol.Join) -> protocol.JoinAck:
        room = self._rooms[protocol.check_room(command.room)]
        if session in room:
            raise CommandError("already_in_room", f"you are in {room.name!r} already")
        self._check_count(session, joining=room)
        # The history and what is said while it is read: together they end where delivery begins.
        with room.arrival() as said:
            entries = list(await self._engine.latest(room.name))
        if self._rooms[room.name] is not room:
            raise CommandError("no_such_room", f"room {room.name!r} was removed")
        last = entries[-1].position.offset if entries else 0
        entries += [entry for entry in said if entry.position.offset > last]
        history = [_message(room.name, entry) for entry in entries]
        room.add(session)
        session.rooms.add(room.name)
        joined = protocol.Joined(room=room.name, user=session.name, count=len(room))
        room.deliver(protocol.encode(joined), but=session)
        self._tell_count(room)
        return protocol.JoinAck(room=room.name, members=room.member_names, history=history)

    async def _leave(self, session: Session, command: protocol.Leave) -> protocol.RoomAck:
        room = self._room_of(session, command.room)
        self._take_out(session, room)
        return protocol.RoomAck(room=room.name)

    async def _send(self, session: Session, command: protocol.Send) -> protocol.SendAck:
        room = self._room_of(session, command.room)
        text = protocol.check_text(command.text)
        self._gate.pay_for_publishing(session.visitor, len(room))
        position = await self._engine.append(room.name, session.name, text)
        return protocol.SendAck(room=room.name, offset=position.offset)

    async def _private(self, session: Session, command: protocol.Private) -> protocol.PrivateAck:
        text = protocol.check_text(command.text)
        receiver = self._users.get(protocol.name_key(command.to))
        if receiver is None:
            raise CommandError("no_such_user", "nobody of that name is here")
        event = protocol.encode(
            protocol.PrivateMessage(sender=session.name, to=receiver.name, text=text, time=_now())
        )
        receiver.deliver(event)
        if receiver is not session:
            session.deliver(event)
        return protocol.PrivateAck(to=receiver.name)

    async def _typing(self, session: Session, command: protocol.Typing) -> protocol.RoomAck:
        room = self._room_of(session, command.room)
        event = protocol.TypingEvent(room=room.name, user=session.name, active=command.active)
        room.deliver(protocol.encode(event), but=session)
        return protocol.RoomAck(room=room.name)

    async def _members(self, session: Session, command: protocol.Members) -> protocol.MembersAck:
        room = self._rooms[protocol.check_room(command.room)]
        return protocol.MembersAck(room=room.name, members=room.member_names)

    def _room_of(self, session: Session, name: str) -> Room:
        room = self._rooms[protocol.check_room(name)]
        if session not in room:
            raise CommandError("not_in_room", f"you are not in {room.name!r}")
        return room

    def _check_count(self, session: Session, joining: Room | None = None) -> None:
        """Counts the rooms that a user keeps alive: is in, or created and nobody has joined."""
        session.created = [
            room for room in session.created if not len(room) and self._rooms.get(room.name) is room
        ]
        waiting = sum(room is not joining for room in session.created)
        if len(session.rooms) + waiting >= MAX_ROOMS_PER_USER:
            raise CommandError(
                "too_many_rooms", f"you are in {MAX_ROOMS_PER_USER} rooms, or created them, already"
            )

    def _take_out(self, session: Session, room: Room) -> None:
        room.remove(session)
        session.rooms.discard(room.name)
        left = protocol.Left(room=room.name, user=session.name, count=len(room))
        room.deliver(protocol.encode(left))
        if not self._remove_if_empty(room):
            self._tell_count(room)

    def _remove_if_empty(self, room: Room) -> bool:
        if not self._rooms.remove_if_empty(room):
            return False
        self._engine.drop(room.name)
        self._tell_everybody(protocol.RoomRemoved(room=room.name, members=0))
        return True

    def _published(self, room: str, entry: Entry) -> None:
        if (members := self._rooms.get(room)) is not None:
            members.publish(entry, protocol.encode(_message(room, entry)))

    def _tell_count(self, room: Room) -> None:
        self._tell_everybody(protocol.RoomCount(room=room.name, members=len(room)))

    def _tell_everybody(self, event: protocol.Event) -> None:
        encoded = protocol.encode(event)
        for user in list(self._users.values()):
            user.deliver(encoded)


def _message(room: str, entry: Entry) -> protocol.Message:
    return protocol.Message(
        room=room,
        offset=entry.position.offset,
        sender=entry.sender,
        text=entry.text,
        time=entry.time,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
