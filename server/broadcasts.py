"""What other services tell users: notifications by topic, and live feeds.

What lives here: one log of all notifications, of which each user hears what they subscribe to, and
feeds, of which nobody hears more than the latest. This file knows neither sockets nor JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from . import protocol
from .engines.base import Append, Engine, Entry, Position
from .feeds import Feed
from .logs import Logs, followed_log, read_event, write_event
from .names import check_pattern, check_text, check_topic
from .protocol import MAX_INTEGER, CommandError, LogEvent, Notification
from .rooms import Channel
from .session import Session
from .topics import Topics

__all__ = ["NOTIFICATIONS", "Broadcasts"]

NOTIFICATIONS: Final = "notifications"
"""The log of notifications."""
MAX_PATTERNS: Final = 100
"""Subscriptions of one user."""
LATEST: Final = 50
"""Notifications for somebody who comes anew."""
LOOK_BACK: Final = 500
"""Among how many of all."""
MAX_NOTIFICATION_SIZE: Final = 16 * 1024
"""Bytes of JSON."""


class Broadcasts:
    """Notifications and live feeds.

    Args:
        engine: keeps notifications and subscriptions.
        logs: hands notifications on.
        feeds: that can be watched.
    """

    def __init__(self, engine: Engine, logs: Logs, feeds: Sequence[Feed]) -> None:
        self._engine = engine
        self._logs = logs
        self._channel = Channel(NOTIFICATIONS)
        self._topics: Topics[Session] = Topics()
        self._feeds = {feed.name: feed for feed in feeds}
        self._watching: dict[str, dict[Session, None]] = {feed.name: {} for feed in feeds}

    async def start(self) -> None:
        """Begins to hear notifications."""
        await self._engine.create_log(NOTIFICATIONS)
        self._logs.open(self._channel, self._audience)

    @property
    def feed_names(self) -> list[str]:
        """The feeds that can be watched."""
        return list(self._feeds)

    # Notifications

    async def notify(
        self, topic: str, title: str, text: str = "", data: Any = None, *, key: str | None = None
    ) -> Position:
        """Tells something to all who subscribe to a topic, now or when they come back.

        Args:
            topic: what it is about.
            title: what happened, in a few words.
            text: more of it.
            data: for programs: whatever JSON can say.
            key: the publisher's number for it; with the same one it is told once.

        Raises:
            CommandError: ``invalid_topic`` or ``too_long``.
            EngineError: it could not be kept, and nobody has been told.
        """
        event = Notification(
            topic=check_topic(topic), title=check_text(title), text=check_text(text), data=data
        )
        entry = write_event(event)
        if len(entry) > MAX_NOTIFICATION_SIZE:
            raise CommandError(
                "too_long", f"a notification has at most {MAX_NOTIFICATION_SIZE} bytes of JSON"
            )
        (appended,) = await self._engine.append(Append(log=NOTIFICATIONS, data=entry, key=key))
        return appended.position

    async def enter(
        self, session: Session, since: protocol.Since | None, patterns: Sequence[str]
    ) -> protocol.Log:
        """Lets a session have what its user subscribes to: since a position, and from now on.

        Without a position, that is the latest.
        """
        for pattern in patterns:
            session.patterns.add(pattern)
            self._topics.add(pattern, session)
        latest = LOOK_BACK if session.patterns else 1
        followed = await self._logs.follow(self._channel, session, since, latest=latest)
        events = self._subscribed(session, followed.entries)
        return followed_log(followed, events if followed.recovered else events[-LATEST:])

    def exit(self, session: Session) -> None:
        """Forgets a session."""
        self._channel.unfollow(session)
        for pattern in session.patterns:
            self._topics.remove(pattern, session)
        for name in session.feeds:
            self._watching[name].pop(session, None)

    async def read_on(self, session: Session, command: protocol.Notifications) -> protocol.LogAck:
        """See `protocol.Notifications`."""
        self._channel.unfollow(session)
        return protocol.LogAck(log=await self.enter(session, command.since, ()))

    async def subscribe(self, session: Session, command: protocol.Subscribe) -> protocol.PatternAck:
        """See `protocol.Subscribe`."""
        pattern = check_pattern(command.pattern)
        if pattern not in session.patterns:
            if len(session.patterns) >= MAX_PATTERNS:
                raise CommandError("too_many_patterns", f"you subscribe to {MAX_PATTERNS} already")
            await self._begin_reading(session)
            await self._engine.add_pattern(session.user_id, pattern)
            session.patterns.add(pattern)
            self._topics.add(pattern, session)
        return protocol.PatternAck(pattern=pattern)

    async def unsubscribe(
        self, session: Session, command: protocol.Unsubscribe
    ) -> protocol.PatternAck:
        """See `protocol.Unsubscribe`."""
        pattern = check_pattern(command.pattern)
        await self._engine.remove_pattern(session.user_id, pattern)
        session.patterns.discard(pattern)
        self._topics.remove(pattern, session)
        return protocol.PatternAck(pattern=pattern)

    async def _begin_reading(self, session: Session) -> None:
        """To who subscribes for the first time nothing is new."""
        if NOTIFICATIONS not in await self._engine.read_marks(session.user_id):
            await self._mark_read(session, MAX_INTEGER)

    async def mark_read(self, session: Session, command: protocol.MarkRead) -> protocol.ReadAck:
        """See `protocol.MarkRead`."""
        return protocol.ReadAck(room=None, offset=await self._mark_read(session, command.offset))

    async def _mark_read(self, session: Session, offset: int) -> int:
        head = (await self._engine.heads([NOTIFICATIONS]))[NOTIFICATIONS].offset
        user = session.user_id
        return await self._engine.mark_read(user, NOTIFICATIONS, min(offset, head))

    def _audience(self, event: LogEvent) -> set[Session]:
        assert isinstance(event, Notification)
        return self._topics.find(event.topic)

    @staticmethod
    def _subscribed(session: Session, entries: Sequence[Entry]) -> list[Notification]:
        topics: Topics[None] = Topics()
        for pattern in session.patterns:
            topics.add(pattern, None)
        events = [read_event(entry) for entry in entries]
        return [
            event
            for event in events
            if isinstance(event, Notification) and topics.find(event.topic)
        ]

    # Live feeds

    async def watch(self, session: Session, command: protocol.Watch) -> protocol.WatchAck:
        """See `protocol.Watch`."""
        feed = self._feed(command.feed)
        session.feeds.add(feed.name)
        self._watching[feed.name][session] = None
        return protocol.WatchAck(feed=feed.name, interval=feed.interval, values=dict(feed.values))

    async def unwatch(self, session: Session, command: protocol.Unwatch) -> protocol.FeedAck:
        """See `protocol.Unwatch`."""
        feed = self._feed(command.feed)
        session.feeds.discard(feed.name)
        self._watching[feed.name].pop(session, None)
        return protocol.FeedAck(feed=feed.name)

    def tick(self, now: float) -> None:
        """Tells what has changed in the feeds for which it is time."""
        for feed in self._feeds.values():
            for key, value in feed.take_changes(now):
                event = protocol.prepare(protocol.Feed(feed=feed.name, key=key, value=value))
                for session in list(self._watching[feed.name]):
                    session.deliver(event, key=f"feed:{feed.name}:{key}")

    def _feed(self, name: str) -> Feed:
        feed = self._feeds.get(name)
        if feed is None:
            raise CommandError("no_such_feed", "there is no such feed")
        return feed
