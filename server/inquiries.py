"""What is asked, and changes nothing: what was said, who is a member of a room, and who is here.

What lives here: one method for each such command. This file knows neither sockets nor JSON.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import Final

from . import protocol
from .conversation import Conversation, room_event
from .engines.base import EVERYWHERE, Engine, UserRecord
from .gate import Gate
from .logs import read_event, time_of
from .mail import partner
from .names import check_room, name_key
from .protocol import CommandError, Message, PrivateMessage
from .rooms import Room, inbox_log
from .rules import Access, person
from .session import Session

__all__ = ["Inquiries"]

CHUNK: Final = 200
"""Entries that are looked through without a pause."""
MAX_CHUNKS: Final = 10
"""How many of these, for one command."""
CHUNK_COST: Final = 2.0
"""What each of them costs its client; a command costs 1."""


class Inquiries:
    """The commands that only ask.

    Args:
        engine: has the logs and the members.
        conversation: has the rooms.
        gate: knows how much somebody may do.
    """

    def __init__(self, engine: Engine, conversation: Conversation, gate: Gate) -> None:
        self._engine = engine
        self._conversation = conversation
        self._gate = gate

    async def history(self, session: Session, command: protocol.History) -> protocol.HistoryAck:
        """See `protocol.History`."""
        room = self._conversation.room_of(session, command.room)
        page = await self._engine.read_back(
            room.channel.log, before=command.before, limit=command.limit
        )
        entries = page.entries
        return protocol.HistoryAck(
            room=room.name,
            epoch=page.epoch,
            more=bool(entries) and entries[0].position.offset > page.first,
            history=[room_event(entry) for entry in entries],
        )

    async def search(self, session: Session, command: protocol.Search) -> protocol.SearchAck:
        """See `protocol.Search`.

        The log is read, and not an index: it is trimmed, so there is an end to it, and any engine
        can do that.
        """
        words = _folded(command.text).split()
        if not words:
            raise CommandError("bad_fields", "there is no word to look for")
        log, is_theirs = self._log(session, command)
        found: list[Message | PrivateMessage] = []
        before = command.before
        for _ in range(MAX_CHUNKS):
            self._gate.pay(session.visitor, CHUNK_COST)
            page = await self._engine.read_back(log, before=before, limit=CHUNK)
            for entry in reversed(page.entries):
                event = read_event(entry)
                before = event.offset
                if not isinstance(event, Message | PrivateMessage):
                    continue
                if _has(event.text, words) and is_theirs(event):
                    found.append(event)
                    if len(found) == command.limit:
                        break
            is_whole = not page.entries or before == page.first
            if is_whole or len(found) == command.limit:
                break
        return protocol.SearchAck(
            room=command.room, found=found, before=None if is_whole else before
        )

    def _log(
        self, session: Session, command: protocol.Search
    ) -> tuple[str, Callable[[Message | PrivateMessage], bool]]:
        """Returns where to look, and which of the messages there are meant."""
        if command.room is not None:
            return self._conversation.room_of(session, command.room).channel.log, lambda _: True
        assert command.partner is not None
        key = name_key(command.partner)

        def is_theirs(event: Message | PrivateMessage) -> bool:
            return isinstance(event, PrivateMessage) and name_key(partner(session, event)) == key

        return inbox_log(session.user_id), is_theirs

    async def members(self, session: Session, command: protocol.Members) -> protocol.MembersAck:
        """See `protocol.Members`."""
        room = self._conversation.find(check_room(command.room))
        if room.rules.access is Access.MEMBERS:
            is_member = room.name in session.memberships
            room.rules.check_join(session.person, session.role, is_member=is_member)
        users = await self._engine.members(room.name, after=command.after, limit=command.limit)
        return protocol.MembersAck(
            room=room.name,
            members=await self._people(room, users),
            after=users[-1].id if len(users) == command.limit else None,
            online=room.count,
            count=await self._engine.member_count(room.name),
        )

    async def presence(self, session: Session, command: protocol.Presence) -> protocol.PresenceAck:
        """See `protocol.Presence`.

        Of those in a room `members` tells it. Others show it to whom they write: to have written to
        somebody is not enough to learn when they come and go.
        """
        user = await self._engine.find_user(name_key(command.partner))
        if user is None:
            raise CommandError("no_such_user", "there is nobody of that name")
        if not await self._has_written(user.id, session):
            raise CommandError("forbidden", "they have not written to you")
        is_here = user.id in await self._engine.present(EVERYWHERE, [user.id])
        return protocol.PresenceAck(
            partner=user.name, online=is_here, last_seen=_last_seen(user, is_here=is_here)
        )

    async def _has_written(self, user: str, session: Session) -> bool:
        """Tells whether a user, by id, wrote one of somebody's latest private messages."""
        before = None
        # Cheaper than to read all of them.
        mark = user.encode()
        for _ in range(MAX_CHUNKS):
            self._gate.pay(session.visitor, CHUNK_COST)
            page = await self._engine.read_back(
                inbox_log(session.user_id), before=before, limit=CHUNK
            )
            events = (read_event(entry) for entry in page.entries if mark in entry.data)
            if any(isinstance(event, PrivateMessage) and event.user == user for event in events):
                return True
            if not page.entries or page.entries[0].position.offset <= page.first:
                return False
            before = page.entries[0].position.offset
        return False

    async def _people(self, room: Room, users: Sequence[UserRecord]) -> list[protocol.Person]:
        log = room.channel.log
        ids = [user.id for user in users]
        present = await self._engine.present(log, ids)
        marks = await self._engine.marks_of(log, ids)
        return [
            protocol.Person(
                user=user.id,
                name=user.name,
                online=user.id in present,
                last_seen=_last_seen(user, is_here=user.id in present),
                role=room.rules.standing(
                    person(user.id, user.name_key, is_guest=bool(user.secret))
                ),
                read=marks.get(user.id, 0),
            )
            for user in users
        ]


def _last_seen(user: UserRecord, *, is_here: bool) -> str | None:
    return None if is_here or not user.last_seen else time_of(user.last_seen)


def _has(text: str, words: Sequence[str]) -> bool:
    folded = _folded(text)
    return all(word in folded for word in words)


def _folded(text: str) -> str:
    """Without what makes no difference to who looks for it."""
    return unicodedata.normalize("NFKC", text).casefold()
