"""A session: a bounded outbox, and the end of a client that is too slow."""

from __future__ import annotations

import asyncio
import json
from typing import cast

import pytest

import rfc6455
from server.outboxes import PART, Outboxes
from server.protocol import Encoded
from server.session import MAX_BATCH_SIZE, MAX_UNSENT, Session
from tests.helpers import async_test


class Wire:
    """As much of a `WebSocket` as a session needs: a socket that takes messages when it may.

    With ``unsent_size`` 0 it takes what is pushed at once.
    """

    def __init__(self, unsent_size: int = MAX_UNSENT + 1) -> None:
        self.unsent_size = unsent_size
        self.sent: list[str] = []
        self.messages: list[Encoded] = []
        self.may_send = asyncio.Semaphore(0)
        self.is_closed = False
        self._changed = asyncio.Condition()
        self._offered = 0

    def push(self, message: Encoded) -> bool:
        if self.is_closed:
            raise rfc6455.ConnectionClosedOK(None, None)
        self.messages.append(message)
        self.sent.append(message if isinstance(message, str) else str(message.message))
        return True

    async def send(self, message: Encoded) -> None:
        async with self._changed:
            self._offered += 1
            self._changed.notify_all()
        await self.may_send.acquire()
        if self.is_closed:
            raise rfc6455.ConnectionClosedOK(None, None)
        async with self._changed:
            self.push(message)
            self._changed.notify_all()

    async def wait_for(self, *, sent: int = 0, offered: int = 0) -> None:
        async with self._changed:
            await self._changed.wait_for(
                lambda: len(self.sent) >= sent and self._offered >= offered
            )


def make(
    wire: Wire,
    *,
    max_events: int = 4,
    max_size: int = 100,
    max_wait: float = 1000,
    outboxes: Outboxes | None = None,
) -> Session:
    return Session(
        cast("rfc6455.WebSocket", wire),
        max_events=max_events,
        max_size=max_size,
        max_wait=max_wait,
        outboxes=outboxes,
    )


async def forever() -> None:
    await asyncio.Event().wait()


@async_test
async def test_events_and_answers_are_sent_in_order() -> None:
    wire = Wire()
    session = make(wire)
    session.answer("a")
    async with session.while_keeping_up():
        session.deliver("b")
        session.answer("c")
        session.deliver("d")
        for _ in range(5):
            wire.may_send.release()
        await wire.wait_for(sent=4)
        session.deliver("e")
        await wire.wait_for(sent=5)
    assert wire.sent == ["a", "b", "c", "d", "e"]
    assert not session.is_too_slow


@pytest.mark.parametrize(
    ("max_events", "max_size", "fitting", "excess"),
    [(4, 100, ["a"] * 4, "a"), (100, 10, ["a" * 10], "b")],
    ids=["events", "size"],
)
@async_test
async def test_who_lets_more_wait_than_may_is_ended_where_it_waits(
    max_events: int, max_size: int, fitting: list[str], excess: str
) -> None:
    wire = Wire()
    session = make(wire, max_events=max_events, max_size=max_size)
    ended = False
    async with session.while_keeping_up():
        session.deliver("in the socket")
        await wire.wait_for(offered=1)
        for event in fitting:
            session.deliver(event)
        assert not session.is_too_slow
        session.deliver(excess)
        session.deliver("late")
        try:
            await forever()
        finally:
            ended = True
    assert ended
    assert session.is_too_slow
    assert wire.sent == []


@async_test
async def test_a_client_whose_socket_had_no_chance_yet_is_not_slow() -> None:
    wire = Wire()
    session = make(wire, max_events=4)
    async with session.while_keeping_up():
        for number in range(1000):
            session.deliver(str(number))
            wire.may_send.release()
        await wire.wait_for(sent=1000)
    assert not session.is_too_slow
    assert wire.sent == [str(number) for number in range(1000)]


@async_test
async def test_answers_never_make_a_client_slow_and_commands_wait_for_them() -> None:
    wire = Wire()
    session = make(wire, max_events=4, max_size=100)
    async with session.while_keeping_up():
        session.answer("in the socket")
        await wire.wait_for(offered=1)
        for number in range(9):
            session.answer(str(number))
        next_command = asyncio.create_task(session.relieved())
        for _ in range(7):
            assert not next_command.done()
            wire.may_send.release()
            await wire.wait_for(sent=len(wire.sent) + 1)
        # In the socket is the seventh of nine: two wait, half of what may.
        await wire.wait_for(offered=8)
        await next_command
        assert not session.is_too_slow
        session.answer("x" * 1000)
        assert not session.is_too_slow


@async_test
async def test_who_keeps_answers_waiting_for_too_long_is_ended() -> None:
    wire = Wire()
    session = make(wire, max_events=0, max_wait=0)
    async with session.while_keeping_up():
        session.answer("in the socket")
        await wire.wait_for(offered=1)
        session.answer("waits")
        await session.relieved()
        raise AssertionError
    assert session.is_too_slow


@async_test
async def test_once_the_answers_are_taken_time_does_not_count() -> None:
    wire = Wire()
    session = make(wire, max_events=0, max_wait=1000)
    async with session.while_keeping_up():
        session.answer("in the socket")
        await wire.wait_for(offered=1)
        session.answer("waits")
        next_command = asyncio.create_task(session.relieved())
        wire.may_send.release()
        await next_command
        loop = asyncio.get_running_loop()
        later = loop.time() + 2000
        passed = asyncio.Event()
        loop.call_at(later, passed.set)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "time", lambda: later)
            await passed.wait()
    assert not session.is_too_slow


@async_test
async def test_after_the_end_nothing_waits() -> None:
    wire = Wire()
    session = make(wire, max_events=0)
    async with session.while_keeping_up():
        session.answer("in the socket")
        await wire.wait_for(offered=1)
        session.answer("waits")
        wire.is_closed = True
        wire.may_send.release()
        await session.relieved()
        for _ in range(1000):
            session.deliver("late")
        await session.relieved()
    session.deliver("later")
    assert not session.is_too_slow
    assert wire.sent == []


@async_test
async def test_a_timeout_of_the_application_is_its_own() -> None:
    session = make(Wire())
    with pytest.raises(TimeoutError):
        async with session.while_keeping_up():
            raise TimeoutError
    assert not session.is_too_slow


@async_test
async def test_of_events_with_a_key_the_latest_is_sent_in_the_place_of_the_first() -> None:
    wire = Wire()
    session = make(wire)
    async with session.while_keeping_up():
        session.deliver("in the socket")
        await wire.wait_for(offered=1)
        session.deliver("price 1", key="price")
        session.deliver("a")
        session.deliver("price 2", key="price")
        session.deliver("count 1", key="count")
        session.deliver("price 3", key="price")
        for _ in range(5):
            wire.may_send.release()
        await wire.wait_for(sent=4)
        session.deliver("price 4", key="price")
        await wire.wait_for(sent=5)
    assert wire.sent == ["in the socket", "price 3", "a", "count 1", "price 4"]


@async_test
async def test_events_with_a_key_make_nobody_slow() -> None:
    wire = Wire()
    session = make(wire, max_events=4)
    async with session.while_keeping_up():
        session.deliver("in the socket")
        await wire.wait_for(offered=1)
        for number in range(1000):
            session.deliver("x", key=str(number))
            session.deliver(f"latest {number}", key="0")
        assert not session.is_too_slow
        for _ in range(6):
            wire.may_send.release()
        await wire.wait_for(sent=6)
    # Those for which there was no room are left out; the latest of the others is not.
    assert wire.sent == ["in the socket", "latest 999", "x", "x", "x", "x"]


@async_test
async def test_who_takes_several_events_in_a_message_gets_them_together() -> None:
    wire = Wire()
    session = make(wire, max_events=1000, max_size=10**6)
    session.is_batching = True
    async with session.while_keeping_up():
        session.deliver("0")
        await wire.wait_for(offered=1)
        session.deliver("1")
        session.deliver("old", key="k")
        session.deliver("2", key="k")
        session.deliver(f'"{"x" * MAX_BATCH_SIZE}"')
        session.deliver("3")
        for _ in range(4):
            wire.may_send.release()
        await wire.wait_for(sent=4)
    assert [json.loads(message) for message in wire.sent] == [0, [1, 2], "x" * MAX_BATCH_SIZE, 3]


@async_test
async def test_what_is_held_back_comes_after_the_answer() -> None:
    wire = Wire()
    session = make(wire)
    async with session.while_keeping_up():
        session.deliver("before")
        with session.holding():
            session.deliver("event")
            session.deliver("count", key="k")
            session.answer("answer")
        session.deliver("after")
        for _ in range(5):
            wire.may_send.release()
        await wire.wait_for(sent=5)
    assert wire.sent == ["before", "answer", "event", "count", "after"]


# Who keeps up


async def next_turn() -> None:
    await asyncio.sleep(0)


@async_test
async def test_what_comes_in_a_turn_leaves_in_the_next_without_a_task() -> None:
    wire = Wire(unsent_size=0)
    session = make(wire)
    session.answer("0")
    async with session.while_keeping_up():
        tasks = asyncio.all_tasks()
        session.deliver("1")
        session.deliver("old", key="k")
        session.deliver("2", key="k")
        assert wire.sent == []
        await next_turn()
        assert wire.sent == ["0", "1", "2"]
        session.deliver("3")
        await next_turn()
        assert asyncio.all_tasks() == tasks
    assert wire.sent == ["0", "1", "2", "3"]


@async_test
async def test_order_holds_when_the_socket_begins_and_ceases_to_take_no_more() -> None:
    wire = Wire(unsent_size=0)
    session = make(wire)
    async with session.while_keeping_up():
        session.deliver("0")
        await next_turn()
        wire.unsent_size = MAX_UNSENT + 1
        session.deliver("1")
        session.deliver("2")
        await wire.wait_for(offered=1)
        wire.unsent_size = 0
        session.deliver("3")
        await next_turn()
        assert wire.sent == ["0"]
        for _ in range(3):
            wire.may_send.release()
        await wire.wait_for(sent=4)
        session.deliver("4")
        await next_turn()
    assert wire.sent == ["0", "1", "2", "3", "4"]


@async_test
async def test_a_connection_that_is_over_takes_nothing_and_harms_nobody() -> None:
    outboxes = Outboxes()
    gone, there = Wire(unsent_size=0), Wire(unsent_size=0)
    gone.is_closed = True
    sessions = [make(wire, outboxes=outboxes) for wire in (gone, there)]
    async with sessions[0].while_keeping_up(), sessions[1].while_keeping_up():
        for session in sessions:
            session.deliver("0")
        await next_turn()
        sessions[0].deliver("1")
        await next_turn()
        assert not sessions[0].is_too_slow
    assert (gone.sent, there.sent) == ([], ["0"])


@async_test
async def test_several_events_are_made_one_message_once_for_all() -> None:
    outboxes = Outboxes()
    wires = [Wire(unsent_size=0) for _ in range(3)]
    sessions = [make(wire, outboxes=outboxes) for wire in wires]
    events: list[Encoded] = [rfc6455.PreparedMessage(str(number)) for number in range(3)]
    async with (
        sessions[0].while_keeping_up(),
        sessions[1].while_keeping_up(),
        sessions[2].while_keeping_up(),
    ):
        for session in sessions:
            session.is_batching = True
            for event in events:
                session.deliver(event)
        sessions[2].answer('"mine"')
        await next_turn()
    assert [wire.sent for wire in wires] == [["[0,1,2]"], ["[0,1,2]"], ['[0,1,2,"mine"]']]
    assert wires[0].messages[0] is wires[1].messages[0]


@async_test
async def test_many_outboxes_are_emptied_in_parts_and_one_that_fails_stops_no_other() -> None:
    class Box:
        def __init__(self, number: int) -> None:
            self.number = number

        def empty(self) -> None:
            emptied.append(self.number)
            if self.number == 7:
                raise RuntimeError

    emptied: list[int] = []
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    outboxes = Outboxes()
    for number in range(2 * PART):
        outboxes.add(Box(number))
    await next_turn()
    assert emptied == list(range(8))
    await next_turn()
    assert emptied == list(range(8 + PART))
    await next_turn()
    assert emptied == list(range(2 * PART))
    assert len(faults) == 1
