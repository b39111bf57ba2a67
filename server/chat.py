"""The chat: who is connected, and which part carries out which command.

What lives here: the way of a command from its text to its answer, users' coming and going, and what
is done now and then. This file knows neither sockets nor JSON: sessions take events, and the engine
keeps what is not to be forgotten.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from typing import Any, Final, get_type_hints

import msgspec

from . import protocol
from .broadcasts import NOTIFICATIONS, Broadcasts
from .conversation import Conversation
from .engines.base import EVERYWHERE, Engine, EngineError, UserRecord
from .feeds import Feed
from .gate import Gate
from .inquiries import Inquiries
from .logs import Logs
from .mail import Mail
from .moderation import Moderation
from .names import name_key
from .presence import Absences
from .protocol import CommandError
from .rooms import Channel, inbox_log, room_log
from .session import Session
from .tokens import Identity, Role

__all__ = ["Chat"]

TRIM_INTERVAL: Final = 60.0
"""Seconds between two looks for what is too old."""
GUEST_RETENTION: Final = 3600.0
"""Seconds for which a guest is remembered whose connection was lost."""

logger = logging.getLogger("rfc6455.chat")


class Chat:
    """The whole chat of one process.

    Args:
        engine: keeps messages and hands them on. It has been started.
        gate: knows who somebody is, and how much they may do; by default everybody, everything.
        max_rooms: how many rooms there may be.
        feeds: live feeds that can be watched.
    """

    def __init__(
        self,
        engine: Engine,
        gate: Gate | None = None,
        *,
        max_rooms: int = 1000,
        feeds: Sequence[Feed] = (),
    ) -> None:
        self._engine = engine
        self._gate = Gate() if gate is None else gate
        self._logs = Logs(engine)
        self._everybody = Channel("everybody")
        self._absences: Absences[Session] = Absences()
        self._users: dict[str, set[Session]] = {}
        self.conversation = Conversation(
            engine,
            self._logs,
            self._gate,
            self._users,
            self._everybody,
            self._absences,
            max_rooms,
        )
        self.inquiries = Inquiries(engine, self.conversation, self._gate)
        self.moderation = Moderation(engine, self.conversation)
        self.mail = Mail(engine, self._logs)
        self.broadcasts = Broadcasts(engine, self._logs, feeds)
        self._next_trim = 0.0
        self._absent_since: dict[str, float] = {}
        self._closing = False
        self._commands: dict[type, Callable[[Session, Any], Awaitable[protocol.Ack]]] = {
            protocol.Refresh: self._refresh,
            protocol.ListRooms: self.conversation.list_rooms,
            protocol.CreateRoom: self.conversation.create,
            protocol.DescribeRoom: self.conversation.describe,
            protocol.Join: self.conversation.join,
            protocol.Leave: self.conversation.leave,
            protocol.Send: self.conversation.send,
            protocol.Edit: self.conversation.edit,
            protocol.Delete: self.conversation.delete,
            protocol.History: self.inquiries.history,
            protocol.Search: self.inquiries.search,
            protocol.Private: self.mail.send,
            protocol.PrivateEdit: self.mail.edit,
            protocol.PrivateDelete: self.mail.delete,
            protocol.Inbox: self.mail.read_on,
            protocol.PrivateHistory: self.mail.history,
            protocol.Typing: self._typing,
            protocol.MarkRead: self._mark_read,
            protocol.Members: self.inquiries.members,
            protocol.Presence: self.inquiries.presence,
            protocol.SetAccess: self.moderation.set_access,
            protocol.Moderate: self.moderation.moderate,
            protocol.Subscribe: self.broadcasts.subscribe,
            protocol.Unsubscribe: self.broadcasts.unsubscribe,
            protocol.Notifications: self.broadcasts.read_on,
            protocol.Watch: self.broadcasts.watch,
            protocol.Unwatch: self.broadcasts.unwatch,
        }

    async def start(self) -> None:
        """Finds what was there before.

        Raises:
            EngineError: it cannot be read.
        """
        await self.broadcasts.start()
        self.moderation.start()
        await self.conversation.start()

    @property
    def user_count(self) -> int:
        """How many users are connected."""
        return len(self._users)

    def room_list(self) -> list[protocol.RoomInfo]:
        """Returns all rooms with their sizes."""
        return self.conversation.room_list()

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
            # What somebody begins to follow comes after the answer that tells where it begins.
            follows = isinstance(
                command, protocol.Hello | protocol.Join | protocol.Inbox | protocol.Notifications
            )
            with session.holding() if follows else nullcontext():
                answer = await self._carry_out(session, command)
                answer.id = request_id
                session.answer(protocol.encode(answer))
        except CommandError as error:
            self._refuse(session, error, request_id)
        except EngineError as error:
            logger.warning("%s is not carried out: %s", type(command).__name__, error)
            refusal = CommandError("unavailable", f"try again later: {error}")
            self._refuse(session, refusal, request_id)

    def _refuse(
        self, session: Session, error: CommandError, request_id: protocol.RequestId | None
    ) -> None:
        self._gate.count_refused(session.visitor, error)
        session.answer(protocol.encode(protocol.refusal(error, request_id)))

    def close(self) -> None:
        """Ends the chat: everybody is about to leave, and nobody needs to hear of the others."""
        self._closing = True

    async def leave(
        self, session: Session, *, is_goodbye: bool = False, grace: float = 0.0
    ) -> None:
        """Takes out a session that is gone.

        Args:
            session: whose connection has ended.
            is_goodbye: whether the client ended it as one does who will not be back. A guest is
                then forgotten; others, and those whose connection was lost, stay members of rooms.
            grace: seconds for which the user may be back before anybody hears of it. So long nobody
                else gets a guest's name.
        """
        user = session.user
        if user is None:
            return
        # At once, before anything is waited for: nobody is told of the own leaving.
        self._everybody.unfollow(session)
        self.mail.exit(session)
        self.broadcasts.exit(session)
        sessions = self._users[user.id]
        sessions.discard(session)
        if not sessions:
            del self._users[user.id]
        if self._closing:
            return
        if grace and self._absences.begin(session, asyncio.get_running_loop().time() + grace):
            for room in session.rooms.values():
                self.conversation.hush(session, room)
            return
        is_gone = is_goodbye and bool(user.secret) and not sessions
        if is_gone:
            for absent in self._absences.of(user.id):
                self._absences.end(absent)
                await self._depart(absent, away=False)
        await self._depart(session, away=not is_gone)
        if is_gone:
            await self._forget(user)

    async def _depart(self, session: Session, *, away: bool = True) -> None:
        """Notes that somebody is gone, and tells the others."""
        assert session.user is not None
        try:
            for room in list(session.rooms.values()):
                await self.conversation.depart(session, room, away=away)
            await self._engine.depart(EVERYWHERE, session.user)
            for room in session.created:
                await self.conversation.remove_unused(room)
        except EngineError as error:
            logger.warning("the end of a session could not be noted: %s", error)

    async def tick(self, now: float) -> None:
        """Does what is due; to be called several times in a second.

        Args:
            now: a monotonic time in seconds.
        """
        self.conversation.tick(now)
        self.mail.tick(now)
        self.broadcasts.tick(now)
        self._logs.catch_up()
        await asyncio.gather(*map(self._depart, self._absences.take_expired(now)))
        if now < self._next_trim:
            return
        self._next_trim = now + TRIM_INTERVAL
        try:
            await self._engine.trim()
            # By this clock, which nobody sets, and not by the time when they were last seen.
            absent = {guest.id: guest for guest in await self._engine.guests_before(2**62)}
            self._absent_since = {id_: self._absent_since.get(id_, now) for id_ in absent}
            for id_, since in self._absent_since.items():
                if now - since >= GUEST_RETENTION:
                    await self._forget(absent[id_])
        except EngineError as error:
            logger.warning("what is too old could not be removed: %s", error)

    def _read(self, session: Session, message: str | bytes) -> protocol.AnyCommand:
        try:
            return protocol.decode(message)
        except CommandError:
            self._gate.count(session.visitor, None)
            raise

    async def _carry_out(self, session: Session, command: protocol.AnyCommand) -> protocol.Ack:
        if isinstance(command, protocol.Hello):
            return await self._hello(session, command)
        if session.user is None:
            raise CommandError("hello_first", "say hello first")
        if isinstance(command, protocol.MarkRead | protocol.Typing | protocol.Search):
            _check_place(command)
        return await self._commands[type(command)](session, command)

    async def _hello(self, session: Session, command: protocol.Hello) -> protocol.HelloAck:
        if session.user is not None:
            raise CommandError("already_hello", f"you are {session.name!r} already")
        identity = self._gate.enter(session.visitor, command)
        user, secret = await self._user(identity, command.secret)
        if not await self._engine.claim(user, inbox_log(user.id)):
            raise CommandError("name_taken", f"the name {user.name!r} is taken")
        session.user = user
        session.visitor.identity = identity
        session.is_batching = command.batch
        self._users.setdefault(user.id, set()).add(session)
        rooms = await self._engine.rooms_of(user.id)
        session.memberships.update(rooms)
        heads = await self._engine.heads(map(room_log, rooms))
        marks = await self._engine.read_marks(user.id)
        patterns = await self._engine.patterns(user.id)
        unread = await self._engine.count_unread(
            user.id, {log: head.offset for log, head in heads.items()}
        )
        inbox = await self.mail.enter(session, command.inbox)
        private = await self.mail.unread(session, inbox.head)
        notifications = await self.broadcasts.enter(session, command.notifications, patterns)
        expires_in = self._gate.expires_in(identity)
        # From here on, without waiting: the list of rooms ends where events of them begin.
        self._everybody.follow_live(session)
        return protocol.HelloAck(
            name=user.name,
            role=identity.role.name.lower(),
            expires_in=msgspec.UNSET if expires_in is None else expires_in,
            user=user.id,
            secret=secret,
            rooms=self.room_list(),
            memberships=[
                protocol.Membership(
                    room, heads[log].epoch, heads[log].offset, marks.get(log, 0), unread.get(log, 0)
                )
                for room in rooms
                if (log := room_log(room)) in heads
            ],
            patterns=sorted(session.patterns),
            feeds=self.broadcasts.feed_names,
            inbox=inbox,
            inbox_read=marks.get(inbox_log(user.id), 0),
            private=private,
            notifications=notifications,
            notifications_read=marks.get(NOTIFICATIONS, 0),
        )

    async def _user(self, identity: Identity, secret: str | None) -> tuple[UserRecord, str | None]:
        """Returns who somebody is: a guest is the one whose secret it is, or somebody new."""
        name, key = identity.name, name_key(identity.name)
        if identity.role is not Role.GUEST:
            return UserRecord(id=f"user-{key}", name=name, name_key=key), None
        id_, _, token = (secret or "").partition(".")
        record = await self._engine.user(id_) if token else None
        if record is None or not record.secret or not _proves(token, record.secret):
            id_, token = f"guest-{secrets.token_hex(8)}", secrets.token_urlsafe(24)
        user = UserRecord(id=id_, name=name, name_key=key, secret=_digest(token))
        return user, f"{id_}.{token}"

    async def _refresh(self, session: Session, command: protocol.Refresh) -> protocol.RefreshAck:
        return protocol.RefreshAck(expires_in=self._gate.refresh(session.visitor, command.token))

    async def _mark_read(self, session: Session, command: protocol.MarkRead) -> protocol.ReadAck:
        if command.notifications:
            return await self.broadcasts.mark_read(session, command)
        marks = self.mail if command.room is None else self.conversation
        return await marks.mark_read(session, command)

    async def _typing(self, session: Session, command: protocol.Typing) -> protocol.TypingAck:
        place = self.mail if command.room is None else self.conversation
        return await place.typing(session, command)

    async def _forget(self, guest: UserRecord) -> None:
        try:
            await self.conversation.forget(guest.id)
            await self._engine.forget_user(guest.id, inbox_log(guest.id))
        except EngineError as error:
            logger.warning("a guest who is gone could not be forgotten: %s", error)


def _check_place(command: protocol.MarkRead | protocol.Typing | protocol.Search) -> None:
    places = [command.room is not None, command.partner is not None]
    if isinstance(command, protocol.MarkRead):
        # Without any it is about all private messages.
        places += [command.notifications, not any(places) and not command.notifications]
    if sum(places) != 1:
        raise CommandError("bad_fields", "it is about one room, or about messages with one user")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _proves(token: str, digest: bytes) -> bool:
    return hmac.compare_digest(_digest(token), digest)
