"""Private messages.

What lives here: the log that each user has of what was said to them and by them alone. Whoever is
not connected finds it there later. This file knows neither sockets nor JSON.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from msgspec.structs import replace

from . import protocol
from .engines.base import Append, Conflict, Engine, Entry, Replacement, UserRecord
from .logs import Logs, followed_log, read_event, write_event
from .names import check_text, name_key
from .presence import Typists
from .protocol import CommandError, PrivateDeleted, PrivateEdited, PrivateMessage
from .rooms import Channel, inbox_log
from .session import Session

__all__ = ["Mail", "partner"]

LATEST: Final = 50
"""Messages for somebody who comes anew."""
LOOK_BACK: Final = 1000
"""A message can be changed until its receiver has got so many others."""
PAGE: Final = 250

Change: TypeAlias = Callable[
    [PrivateMessage], tuple[PrivateMessage, PrivateEdited | PrivateDeleted]
]


class Mail:
    """The private messages of all users.

    Args:
        engine: keeps them.
        logs: hands them on.
    """

    def __init__(self, engine: Engine, logs: Logs) -> None:
        self._engine = engine
        self._logs = logs
        self._channels: dict[str, Channel] = {}
        # To whom, by id, and who.
        self._typists = Typists()

    async def enter(self, session: Session, since: protocol.Since | None) -> protocol.Log:
        """Lets a session have its user's private messages: those since a position, and new ones."""
        channel = self._channels.get(session.user_id)
        if channel is None:
            channel = self._channels[session.user_id] = Channel(inbox_log(session.user_id))
            self._logs.open(channel)
        followed = await self._logs.follow(channel, session, since, latest=LATEST)
        return followed_log(followed, _events(followed.entries))

    def exit(self, session: Session) -> None:
        """Forgets a session."""
        channel = self._channels.get(session.user_id)
        if channel is not None:
            channel.unfollow(session)
            if not len(channel):
                self._logs.close(channel)
                del self._channels[session.user_id]

    async def send(self, session: Session, command: protocol.Private) -> protocol.PrivateAck:
        """See `protocol.Private`."""
        text = check_text(command.text)
        receiver = await self._find_user(command.to)
        self._typists.end(receiver.id, session.name)
        event = PrivateMessage(
            sender=session.name,
            user=session.user_id,
            to=receiver.name,
            to_user=receiver.id,
            copy_id=secrets.token_urlsafe(9),
            text=text,
            key=command.key,
        )
        data = write_event(event)
        key = _key(session, command.key)
        # To both or to none; once to oneself, who need not read it.
        authors = {inbox_log(receiver.id): name_key(session.name), inbox_log(session.user_id): ""}
        own = inbox_log(session.user_id)
        appends = [
            Append(log=log, data=data, author=authors[log], key=key)
            for log in dict.fromkeys((own, inbox_log(receiver.id)))
        ]
        kept, *_ = await self._engine.append(*appends)
        return protocol.PrivateAck(
            to=receiver.name, epoch=kept.position.epoch, offset=kept.position.offset
        )

    async def _find_user(self, name: str) -> UserRecord:
        user = await self._engine.find_user(name_key(name))
        if user is None:
            raise CommandError("no_such_user", "there is nobody of that name")
        return user

    async def edit(self, session: Session, command: protocol.PrivateEdit) -> protocol.PrivateAck:
        """See `protocol.PrivateEdit`."""
        text = check_text(command.text)

        def change(message: PrivateMessage) -> tuple[PrivateMessage, PrivateEdited]:
            if message.deleted:
                raise CommandError("no_such_message", "the message was taken back")
            edited = PrivateEdited(
                sender=session.name,
                user=session.user_id,
                to=message.to,
                key=command.key,
                target=0,
                text=text,
            )
            return replace(message, text=text, edited=True), edited

        return await self._change(session, command, change)

    async def delete(
        self, session: Session, command: protocol.PrivateDelete
    ) -> protocol.PrivateAck:
        """See `protocol.PrivateDelete`."""

        def change(message: PrivateMessage) -> tuple[PrivateMessage, PrivateDeleted]:
            deleted = PrivateDeleted(
                sender=session.name,
                user=session.user_id,
                to=message.to,
                key=command.key,
                target=0,
            )
            return replace(message, text="", deleted=True), deleted

        return await self._change(session, command, change)

    async def _change(
        self,
        session: Session,
        command: protocol.PrivateEdit | protocol.PrivateDelete,
        change: Change,
    ) -> protocol.PrivateAck:
        """Appends a change to both logs, and puts the new message in the old one's place there."""
        own = inbox_log(session.user_id)
        while True:
            entry, message = await self._find(own, command.offset)
            if message.user != session.user_id:
                raise CommandError("forbidden", "the message is not yours")
            new, event = change(message)
            # As `write_event` has it: without place and time.
            data = write_event(replace(new, offset=0, time=""))
            copies = {own: entry}
            if message.to_user != session.user_id:
                others = inbox_log(message.to_user)
                copy = await self._find_copy(others, message)
                # The receiver may keep fewer messages, or be a guest who is gone for good.
                copies |= {} if copy is None else {others: copy}
            appends = [
                Append(
                    log=log,
                    data=write_event(replace(event, target=copy.position.offset)),
                    key=_key(session, command.key),
                    replaces=Replacement(
                        copy.position.offset,
                        copy.data,
                        data,
                        "" if log == own or new.deleted else name_key(new.sender),
                    ),
                )
                for log, copy in copies.items()
            ]
            try:
                appended, *_ = await self._engine.append(*appends)
            except Conflict:
                # The same user, elsewhere, was faster: look again.
                continue
            position = appended.position
            return protocol.PrivateAck(to=message.to, epoch=position.epoch, offset=position.offset)

    async def _find(self, log: str, offset: int) -> tuple[Entry, PrivateMessage]:
        page = await self._engine.read(log, after=offset - 1, limit=1)
        for entry in page.entries:
            event = read_event(entry)
            # Those from before copies had ids cannot be found in the receiver's log.
            if event.offset == offset and isinstance(event, PrivateMessage) and event.copy_id:
                return entry, event
        raise CommandError("no_such_message", "there is no message at this offset, or no longer")

    async def _find_copy(self, log: str, message: PrivateMessage) -> Entry | None:
        """Returns the receiver's copy of a message, or None where it is kept no longer."""
        before = None
        # To read each of a thousand messages would cost others their time.
        mark = message.copy_id.encode()
        for _ in range(LOOK_BACK // PAGE):
            page = await self._engine.read_back(log, before=before, limit=PAGE)
            for entry in reversed(page.entries):
                if mark not in entry.data:
                    continue
                event = read_event(entry)
                if isinstance(event, PrivateMessage) and event.copy_id == message.copy_id:
                    return entry
            if not page.entries or page.entries[0].position.offset <= page.first:
                return None
            before = page.entries[0].position.offset
        raise CommandError("no_such_message", "its receiver has got too many others since")

    async def read_on(self, session: Session, command: protocol.Inbox) -> protocol.LogAck:
        """See `protocol.Inbox`."""
        self._channels[session.user_id].unfollow(session)
        return protocol.LogAck(log=await self.enter(session, command.since))

    async def history(
        self, session: Session, command: protocol.PrivateHistory
    ) -> protocol.PrivateHistoryAck:
        """See `protocol.PrivateHistory`."""
        page = await self._engine.read_back(
            inbox_log(session.user_id), before=command.before, limit=command.limit
        )
        history = _events(page.entries)
        return protocol.PrivateHistoryAck(
            epoch=page.epoch, more=bool(history) and history[0].offset > page.first, history=history
        )

    async def typing(self, session: Session, command: protocol.Typing) -> protocol.TypingAck:
        """See `protocol.Typing`."""
        assert command.partner is not None
        receiver = (await self._find_user(command.partner)).id
        if command.active:
            self._typists.begin(receiver, session.name, asyncio.get_running_loop().time())
        else:
            self._typists.end(receiver, session.name)
        if receiver != session.user_id:
            self._tell_typing(receiver, session.name, command.active)
        return protocol.TypingAck(room=None)

    def tick(self, now: float) -> None:
        """Tells who has typed until now."""
        for receiver, user in self._typists.take_expired(now):
            self._tell_typing(receiver, user, False)

    def _tell_typing(self, receiver: str, user: str, active: bool) -> None:
        event = protocol.TypingEvent(room=None, user=user, active=active)
        self._logs.signal(Channel(inbox_log(receiver)), event, key=f"typing:{user}")

    async def mark_read(self, session: Session, command: protocol.MarkRead) -> protocol.ReadAck:
        """See `protocol.MarkRead`."""
        user, log = session.user_id, inbox_log(session.user_id)
        if command.partner is None:
            head = (await self._engine.heads([log]))[log].offset
            offset = await self._engine.mark_read(user, log, min(command.offset, head))
            event = protocol.Read(room=None, user=session.name, offset=offset)
            key = "read"
        else:
            key = name_key(command.partner)
            # So there are no more marks than people whose messages are kept.
            name = await self._partner_at(session, command.offset, key)
            offset = await self._engine.mark_read(user, log, command.offset, author=key)
            event = protocol.Read(room=None, user=session.name, offset=offset, partner=name)
            key = f"read:{key}"
        self._logs.signal(self._channels[user], event, key=key)
        return protocol.ReadAck(room=None, offset=offset)

    async def _partner_at(self, session: Session, offset: int, key: str) -> str:
        """Returns the name of whom a private message is with, if it is the one with this key."""
        page = await self._engine.read(inbox_log(session.user_id), after=offset - 1, limit=1)
        for event in _events(page.entries):
            name = partner(session, event)
            if event.offset == offset and name_key(name) == key:
                return name
        raise CommandError("no_such_message", "it is none of the messages with them, or no longer")

    async def unread(self, session: Session, until: int) -> list[protocol.Correspondence]:
        """Returns with whom there is something new up to an offset, or was read on."""
        log = inbox_log(session.user_id)
        found = []
        for unread in await self._engine.unread_by_author(session.user_id, log, until=until):
            for event in _events([unread.latest]):
                name = partner(session, event)
                found.append(protocol.Correspondence(name, unread.read, unread.count))
        return found


def _key(session: Session, key: str | None) -> str | None:
    return None if key is None else f"{session.user_id}/{key}"


def partner(session: Session, event: protocol.PrivateEvent) -> str:
    """Returns the name of the other one."""
    return event.to if event.user == session.user_id else event.sender


def _events(entries: Sequence[Entry]) -> list[PrivateMessage | PrivateEdited | PrivateDeleted]:
    events = [read_event(entry) for entry in entries]
    kinds = PrivateMessage | PrivateEdited | PrivateDeleted
    return [event for event in events if isinstance(event, kinds)]
