"""A session: a bounded outbox, and the end of a client that is too slow."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

import rfc6455
from server.session import Session
from tests.helpers import async_test


class Wire:
    """As much of a `WebSocket` as a session needs; it takes messages only when it may."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.may_send = asyncio.Semaphore(0)
        self.all_sent = asyncio.Condition()

    async def send(self, message: str) -> None:
        await self.may_send.acquire()
        async with self.all_sent:
            self.sent.append(message)
            self.all_sent.notify_all()

    async def wait_for(self, count: int) -> None:
        async with self.all_sent:
            await self.all_sent.wait_for(lambda: len(self.sent) == count)


def make(max_events: int = 3, max_size: int = 100) -> tuple[Session, Wire, list[Session]]:
    wire = Wire()
    overflows: list[Session] = []
    session = Session(
        cast("rfc6455.WebSocket", wire),
        max_events=max_events,
        max_size=max_size,
        on_overflow=overflows.append,
    )
    return session, wire, overflows


@async_test
async def test_events_are_sent_in_order() -> None:
    session, wire, overflows = make()
    task = asyncio.create_task(session.run())
    for event in "ab":
        session.deliver(event)
    for _ in range(3):
        wire.may_send.release()
    await wire.wait_for(2)
    session.deliver("c")
    await wire.wait_for(3)
    assert wire.sent == ["a", "b", "c"]
    assert not overflows
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("limits", "events"),
    [({"max_events": 3}, ["a"] * 4), ({"max_size": 10}, ["a" * 10, "b"])],
    ids=["events", "size"],
)
@async_test
async def test_who_does_not_keep_up_overflows_once(
    limits: dict[str, Any], events: list[str]
) -> None:
    session, wire, overflows = make(**limits)
    for event in events[:-1]:
        session.deliver(event)
    assert not overflows
    session.deliver(events[-1])
    session.deliver("late")
    assert overflows == [session]
    assert wire.sent == []


@async_test
async def test_what_was_sent_does_not_count() -> None:
    session, wire, overflows = make(max_events=2, max_size=2)
    task = asyncio.create_task(session.run())
    for count in range(1, 10):
        wire.may_send.release()
        session.deliver("xy")
        await wire.wait_for(count)
    assert not overflows
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
