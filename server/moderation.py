"""Looking after rooms: who may come in and speak, and who has to leave.

What lives here: the commands of moderators, and how all nodes hear of what they did. What the rules
of a room allow is decided in `rules`.
"""

from __future__ import annotations

import asyncio
import logging

import msgspec

from . import protocol
from .conversation import Conversation
from .engines.base import Engine, EngineError, Entry, UserRecord
from .names import check_room, name_key
from .protocol import CommandError
from .rooms import Room
from .rules import RULES, Access, Change, Rules, person
from .session import Session

__all__ = ["Moderation"]

MAX_REASON = 200
"""Characters of the reason that somebody is put out for."""

logger = logging.getLogger("rfc6455.chat")


class Moderation:
    """The commands of moderators.

    Args:
        engine: keeps the rules.
        conversation: the rooms.
    """

    def __init__(self, engine: Engine, conversation: Conversation) -> None:
        self._engine = engine
        self._conversation = conversation
        self._leaving: set[asyncio.Task[None]] = set()
        # Two changes of the same rules take turns: neither is lost.
        self._turn = asyncio.Lock()

    def start(self) -> None:
        """Begins to hear of what other nodes do."""
        self._engine.subscribe(RULES, self)

    async def set_access(self, session: Session, command: protocol.SetAccess) -> protocol.RoomAck:
        """See `protocol.SetAccess`."""
        room = self._conversation.find(check_room(command.room))
        async with self._turn:
            rules = _copy(room.rules)
            rules.check_moderate(session.person, session.role)
            rules.access = Access(command.access)
            await self._keep(room, Change(room=room.name, rules=rules.kept()))
        return protocol.RoomAck(room=room.name)

    async def moderate(self, session: Session, command: protocol.Moderate) -> protocol.RoomAck:
        """See `protocol.Moderate`."""
        room = self._conversation.find(check_room(command.room))
        if len(command.reason) > MAX_REASON:
            raise CommandError("too_long", f"a reason has at most {MAX_REASON} characters")
        target = await self._find(command.user)
        whom = person(target.id, target.name_key, is_guest=bool(target.secret))
        leaves = command.action in ("kick", "ban")
        async with self._turn:
            rules = _copy(room.rules)
            rules.check_moderate(session.person, session.role, whom=whom)
            rules.apply(command.action, whom)
            change = Change(
                room=room.name,
                rules=rules.kept(),
                expelled=target.id if leaves else "",
                by=session.name,
                reason=command.reason,
                is_banned=command.action == "ban",
            )
            await self._keep(room, change)
        if leaves:
            await self._conversation.end_absence(room, target.id)
            await self._conversation.end_membership(room, target.id)
        return protocol.RoomAck(room=room.name)

    async def _find(self, name: str) -> UserRecord:
        user = await self._engine.find_user(name_key(name))
        if user is None:
            raise CommandError("no_such_user", "there is nobody of that name")
        return user

    async def _keep(self, room: Room, change: Change) -> None:
        await self._engine.set_rules(room.name, change.rules)
        self._engine.signal(RULES, msgspec.json.encode(change))

    # What nodes tell each other

    def signalled(self, log: str, data: bytes) -> None:
        """Hears of rules, from this node too. See `Subscriber`."""
        change = msgspec.json.decode(data, type=Change)
        room = self._conversation.get(change.room)
        if room is None:
            return
        before, room.rules = room.rules, Rules.read(change.rules)
        if before.access is not room.rules.access:
            event = protocol.RoomAccess(room=room.name, access=room.rules.access)
            room.channel.deliver(protocol.encode(event))
        if appointed := before.moderators ^ room.rules.moderators:
            self._tell_appointed(room, appointed)
        if change.expelled:
            self._expel(room, change)

    def appended(self, log: str, entry: Entry) -> None:
        """Nothing is appended to this log. See `Subscriber`."""

    def _tell_appointed(self, room: Room, people: set[str]) -> None:
        for session in self._conversation.sessions_in(room):
            if session.person in people:
                is_moderator = room.rules.is_moderator(session.person, session.role)
                event = protocol.Appointed(room=room.name, moderator=is_moderator)
                session.deliver(protocol.encode(event))

    def _expel(self, room: Room, change: Change) -> None:
        """Lets somebody hear nothing more, at once; that they left is told when it is noted."""
        told = protocol.encode(
            protocol.Expelled(
                room=room.name, by=change.by, reason=change.reason, banned=change.is_banned
            )
        )
        for session in self._conversation.sessions_of(change.expelled):
            session.memberships.discard(room.name)
            if session in room.channel:
                room.channel.unfollow(session)
                session.deliver(told)
                task = asyncio.create_task(self._depart(session, room))
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)

    async def _depart(self, session: Session, room: Room) -> None:
        try:
            await self._conversation.depart(session, room, away=False)
        except EngineError as error:
            logger.warning("the end of a membership could not be noted: %s", error)


def _copy(rules: Rules) -> Rules:
    return Rules.read(rules.kept())
