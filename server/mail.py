"""Private messages.

What lives here: the log that each user has of what was said to them and by them alone. Whoever is
not connected finds it there later. This file knows neither sockets nor JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from . import protocol
from .engines.base import Append, Engine, Entry
from .logs import Logs, followed_log, read_event, write_event
from .names import check_text, name_key
from .protocol import CommandError, PrivateMessage
from .rooms import Channel, inbox_log
from .session import Session

__all__ = ["Mail"]

LATEST: Final = 50
"""Messages for somebody who comes anew."""


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
        receiver = await self._engine.find_user(name_key(command.to))
        if receiver is None:
            raise CommandError("no_such_user", "there is nobody of that name")
        event = PrivateMessage(
            sender=session.name,
            user=session.user_id,
            to=receiver.name,
            text=text,
            key=command.key,
        )
        data = write_event(event)
        key = None if command.key is None else f"{session.user_id}/{command.key}"
        # To both or to none; once to oneself.
        logs = dict.fromkeys((inbox_log(session.user_id), inbox_log(receiver.id)))
        own, *_ = await self._engine.append(*(Append(log=log, data=data, key=key) for log in logs))
        return protocol.PrivateAck(
            to=receiver.name, epoch=own.position.epoch, offset=own.position.offset
        )

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

    async def mark_read(self, session: Session, command: protocol.MarkRead) -> protocol.ReadAck:
        """See `protocol.MarkRead`."""
        log = inbox_log(session.user_id)
        head = (await self._engine.heads([log]))[log].offset
        offset = await self._engine.mark_read(session.user_id, log, min(command.offset, head))
        event = protocol.Read(room=None, user=session.name, offset=offset)
        self._logs.signal(self._channels[session.user_id], event, key="read")
        return protocol.ReadAck(room=None, offset=offset)


def _events(entries: Sequence[Entry]) -> list[PrivateMessage]:
    events = [read_event(entry) for entry in entries]
    return [event for event in events if isinstance(event, PrivateMessage)]
