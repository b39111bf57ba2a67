"""How logs reach those who follow them.

What lives here: the way from a position in a log to its head and on to what is appended live,
without gap or repetition, whatever the news from the engine leave out; and how events are written
into logs and read from them. This file knows neither commands nor sockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

import msgspec

from rfc6455 import PreparedMessage

from .engines.base import Engine, Entry, Page, Position
from .protocol import (
    Deleted,
    Edited,
    Event,
    Log,
    LogEvent,
    Message,
    Notification,
    PrivateDeleted,
    PrivateEdited,
    PrivateMessage,
    Reset,
    Since,
    encode,
    prepare,
)
from .rooms import Channel, Follower, Place

__all__ = ["Followed", "Logs", "followed_log", "read_event", "time_of", "write_event"]

MAX_RECOVERY: Final = 500
"""Entries in an answer to somebody who comes back."""

AnyLogEvent: TypeAlias = (
    Message | Edited | Deleted | PrivateMessage | PrivateEdited | PrivateDeleted | Notification
)
Audience: TypeAlias = Callable[[LogEvent], AbstractSet[Follower] | None]
"""Who is to be told of an event: some followers of its log, or None for all."""


class Signal(msgspec.Struct, array_like=True):
    """What is told to followers and is in no log: an event's JSON, its key, and whom it spares."""

    event: str
    key: str
    but: str


_event_decoder: msgspec.json.Decoder[AnyLogEvent] = msgspec.json.Decoder(AnyLogEvent)
_signal_encoder = msgspec.msgpack.Encoder()
_signal_decoder = msgspec.msgpack.Decoder(Signal)


@dataclass(frozen=True, slots=True)
class Followed:
    """What somebody gets who begins to follow a log.

    Attributes:
        position: where ``entries`` end.
        head: the latest entry's offset.
        recovered: whether ``entries`` go on exactly where the follower's own end.
        more: whether there is more to be read before the log can be followed.
        entries: the oldest first.
    """

    position: Position
    head: int
    recovered: bool
    more: bool
    entries: Sequence[Entry]


class Logs:
    """The channels of this process, fed by an engine.

    Args:
        engine: keeps the logs.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._channels: dict[str, tuple[Channel, Audience]] = {}
        self._behind: dict[str, asyncio.Task[None]] = {}

    def open(self, channel: Channel, audience: Audience = lambda _: None) -> None:
        """Begins to hand on a log. It may be open already."""
        if channel.log not in self._channels:
            self._channels[channel.log] = channel, audience
            self._engine.subscribe(channel.log, self)

    def close(self, channel: Channel) -> None:
        """Ends handing on a log."""
        if self._channels.pop(channel.log, None) is not None:
            self._engine.unsubscribe(channel.log, self)
        if (task := self._behind.pop(channel.log, None)) is not None:
            task.cancel()

    async def follow(
        self, channel: Channel, follower: Follower, since: Since | None, *, latest: int
    ) -> Followed:
        """Reads what somebody has missed, and lets them follow unless there is more.

        Nothing is awaited after that: the first event that the follower is handed is the entry
        behind the last one here.

        Args:
            channel: an open one.
            follower: who comes; if `Followed.more`, they do not follow yet.
            since: where what they have ends, or None for nothing.
            latest: how much to read where nothing goes on from there.
        """
        had = None if since is None else Position(since.epoch, since.offset)
        page = await self._begin(channel.log, had, latest)
        recovered = had is not None and page.continues(had)
        entries = list(page.entries)
        position = _end(entries, had if had and recovered else Position(page.epoch, page.head))
        if position.offset < page.head:
            return Followed(position, page.head, recovered, True, entries)
        while True:
            if channel.position is not None and channel.position.epoch != page.epoch:
                self._reset(channel, page)
            # What was handed on while the log was read; rarely more than is remembered.
            handed_on = channel.after(position)
            if handed_on is not None:
                break
            page = await self._engine.read(channel.log, after=position.offset, limit=MAX_RECOVERY)
            if not page.continues(position):
                # The log began anew meanwhile, or was trimmed beyond what has been read.
                return await self.follow(channel, follower, since, latest=latest)
            entries += page.entries
            position = _end(entries, position)
        entries += handed_on
        position = _end(entries, position)
        channel.follow(follower, position)
        return Followed(position, position.offset, recovered, False, entries)

    async def _begin(self, log: str, since: Position | None, latest: int) -> Page:
        if since is not None:
            page = await self._engine.read(log, after=since.offset, limit=MAX_RECOVERY)
            if page.continues(since):
                return page
        return await self._engine.read_back(log, before=None, limit=latest)

    def appended(self, log: str, entry: Entry) -> None:
        """Hands an entry on. See `Subscriber`."""
        if log not in self._channels:
            # Closed by what another subscriber made of the same news.
            return
        channel, _ = self._channels[log]
        place = channel.place(entry)
        if place is Place.NEXT:
            self._publish(channel, entry)
        elif place is Place.AHEAD:
            self._catch_up(channel)

    def signalled(self, log: str, data: bytes) -> None:
        """Hands on what is in no log. See `Subscriber`."""
        if log not in self._channels:
            return
        channel, _ = self._channels[log]
        signal = _signal_decoder.decode(data)
        channel.deliver(PreparedMessage(signal.event), key=signal.key, but=signal.but)

    def signal(self, channel: Channel, event: Event, *, key: str = "", but: str = "") -> None:
        """Tells an event to all who follow a channel, wherever they are connected.

        Args:
            channel: whose followers hear it.
            event: it is in no log.
            key: what it tells the latest of, if anything.
            but: a user who need not hear it.
        """
        signal = Signal(encode(event), key, but)
        self._engine.signal(channel.log, _signal_encoder.encode(signal))

    def catch_up(self) -> None:
        """Tries again what could not be read when entries were missing."""
        for log, task in list(self._behind.items()):
            if task.done():
                del self._behind[log]
                if task.exception() is not None:
                    self._catch_up(self._channels[log][0])

    def _catch_up(self, channel: Channel) -> None:
        task = self._behind.get(channel.log)
        if task is None or task.done():
            self._behind[channel.log] = asyncio.create_task(self._read_on(channel))

    async def _read_on(self, channel: Channel) -> None:
        """Hands on what the engine's news have left out."""
        while (position := channel.position) is not None:
            page = await self._engine.read(channel.log, after=position.offset, limit=MAX_RECOVERY)
            if not page.continues(position):
                self._reset(channel, page)
                return
            for entry in page.entries:
                if channel.place(entry) is Place.NEXT:
                    self._publish(channel, entry)
            if not page.entries:
                return

    def _reset(self, channel: Channel, page: Page) -> None:
        channel.reset(Position(page.epoch, page.head))
        channel.deliver(prepare(Reset(log=channel.log, epoch=page.epoch, offset=page.head)))

    def _publish(self, channel: Channel, entry: Entry) -> None:
        _, audience = self._channels[channel.log]
        event = read_event(entry)
        channel.publish(entry, prepare(event), audience(event))


def _end(entries: Sequence[Entry], otherwise: Position) -> Position:
    return entries[-1].position if entries else otherwise


def followed_log(
    followed: Followed,
    history: Sequence[PrivateMessage | PrivateEdited | PrivateDeleted | Notification],
) -> Log:
    """Returns what is answered to somebody who follows a log."""
    return Log(
        epoch=followed.position.epoch,
        offset=followed.position.offset,
        head=followed.head,
        recovered=followed.recovered,
        more=followed.more,
        history=list(history),
    )


def write_event(event: AnyLogEvent) -> bytes:
    """Returns what is appended for an event. Where and when it is appended is not in it."""
    return encode(event).encode()


def read_event(entry: Entry) -> AnyLogEvent:
    """Returns the event of an entry."""
    event = _event_decoder.decode(entry.data)
    event.offset = entry.position.offset
    event.time = time_of(entry.time)
    return event


def time_of(milliseconds: int) -> str:
    """Returns a time as RFC 3339 has it, in UTC."""
    # Two divisions, since a float has not enough digits for both.
    seconds, rest = divmod(milliseconds, 1000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    return f"{moment.isoformat(timespec='seconds')}.{rest:03}Z"
