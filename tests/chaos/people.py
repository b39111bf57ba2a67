"""Publishers and subscribers, who write down what they are told.

What lives here: two kinds of publishers, one that asks again until it knows and one that does not,
and a subscriber that notes what the server sends before the client looks at it. This file does not
know what happens to the server.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from server.client import ChatClient, ChatError, Event

from .history import Delivered, Entered, History, Outcome, Publish, Step

__all__ = ["Progress", "Subscriber", "publish", "publish_boldly", "read_log"]


def delays() -> Iterator[float]:
    """Short ones: the server comes back at once."""
    while True:
        yield random.uniform(0.01, 0.2)


def options() -> Event:
    """Arguments of the connections: many of them come back at the same moment."""
    return {"one_at_a_time": False, "extensions": ()}


class Progress:
    """Counts what has happened, and lets others wait for it."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.unavailable = 0
        self.hours_ahead = 0.0
        """How far the server's clock is ahead of ours, by the latest message that came."""
        self._changed = asyncio.Condition()

    async def note(self, **counts: int) -> None:
        """Adds to the numbers."""
        async with self._changed:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)
            self._changed.notify_all()

    async def wait_for_more(self, count: int) -> None:
        """Waits until so many more messages have been acknowledged."""
        said = self.acknowledged
        await self.wait_for(lambda: self.acknowledged >= said + count)

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        """Waits until a condition holds; one that depends on subscribers too."""
        async with self._changed:
            await self._changed.wait_for(condition)


class Subscriber(ChatClient):
    """A client that notes what it is sent, as it comes: also what `ChatClient` would pass over."""

    def __init__(self, uri: str, name: str, history: History, progress: Progress) -> None:
        super().__init__(uri, name, delays=delays, is_listening=False, options=options())
        self._history = history
        self._progress = progress

    def _tell(self, event: Event) -> None:
        if event["type"] == "entered":
            self._steps(event["room"]).append(Entered(event["recovered"]))

    def _is_news(self, log: Any, event: Event) -> bool:
        if event["type"] == "message":
            self._steps(event["room"]).append(Delivered(event["offset"], event["text"]))
            ahead = datetime.fromisoformat(event["time"]) - datetime.now(UTC)
            self._progress.hours_ahead = ahead.total_seconds() / 3600
        return super()._is_news(log, event)

    async def _receive(self, event: Event) -> None:
        await super()._receive(event)
        await self._progress.note()

    def _steps(self, room: str) -> list[Step]:
        assert self.name is not None
        return self._history.received.setdefault((self.name, room), [])

    def last(self, room: str) -> int:
        """The offset of the latest entry that came."""
        steps = [step for step in self._steps(room) if isinstance(step, Delivered)]
        return steps[-1].offset if steps else 0


async def publish(
    uri: str, name: str, room: str, history: History, progress: Progress, ending: asyncio.Event
) -> None:
    """Says one value after the other, each until it is acknowledged."""
    async with ChatClient(uri, name, delays=delays, is_listening=False, options=options()) as chat:
        await chat.join(room)
        for number in itertools.count():
            if ending.is_set():
                return
            value = f"{name}-{number}"
            offset = await chat.send(room, value)
            history.publishes.append(Publish(name, room, value, Outcome.ACKNOWLEDGED, offset))
            await progress.note(acknowledged=1)


async def publish_boldly(
    uri: str, name: str, room: str, history: History, progress: Progress, ending: asyncio.Event
) -> None:
    """Says each value once, and goes on whatever the answer."""
    async with ChatClient(uri, name, delays=delays, is_listening=False, options=options()) as chat:
        await chat.join(room)
        for number in itertools.count():
            if ending.is_set():
                return
            value = f"{name}-{number}"
            if not chat.is_online:
                await asyncio.sleep(0.01)
                continue
            outcome, offset = Outcome.ACKNOWLEDGED, None
            try:
                offset = (await chat.request("send", room=room, text=value))["offset"]
            except ChatError as error:
                is_known = error.code not in ("connection_lost", "unavailable")
                outcome = Outcome.REFUSED if is_known else Outcome.INDETERMINATE
                await progress.note(unavailable=error.code == "unavailable")
                await asyncio.sleep(0.01)
            history.publishes.append(Publish(name, room, value, outcome, offset))
            await progress.note(acknowledged=outcome is Outcome.ACKNOWLEDGED)


async def read_log(uri: str, room: str) -> list[Event]:
    """Reads the whole log of a room, page by page."""
    async with ChatClient(
        uri, "Auditor", delays=delays, is_listening=False, options=options()
    ) as chat:
        await chat.join(room)
        entries: list[Event] = []
        more = True
        while more:
            before = {"before": entries[0]["offset"]} if entries else {}
            page = await chat.request("history", room=room, limit=200, **before)
            entries = page["history"] + entries
            more = page["more"]
        await chat.leave(room)
        return entries
