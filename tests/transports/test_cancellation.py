"""Cancelled at every await: no message is lost or doubled, and nothing is left behind.

Each scenario is run again and again, and an operation in it is cancelled after 0, 1, 2 ... turns of
the event loop, until it ends by itself. `virtual_time` proves each time that no task, no exception
and no callback is left. Here, `near` is the side that is cancelled, `far` the other one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final, TypeAlias

import pytest

from rfc6455 import (
    ConnectionClosed,
    ConnectionClosedOK,
    HandshakeError,
    Limits,
    PermessageDeflate,
    Request,
    Response,
    State,
    WebSocket,
)
from rfc6455.testing import (
    Faults,
    Network,
    at_every_step,
    cancel_after,
    pair,
    serving,
    settle,
    steps,
    virtual_time,
)
from tests.transports.support import echo, receive_all

Task: TypeAlias = "asyncio.Task[Any]"
Scenario: TypeAlias = Callable[[bool, int], Coroutine[Any, Any, Task]]

ON_BOTH_SIDES: Final[list[Scenario]] = []
ON_ONE_SIDE: Final[list[Scenario]] = []
DEFLATE: Final = PermessageDeflate(threshold=0)
SMALL: Final = Limits(write_high_water=100, max_queued_messages=2, close_timeout=5)
SPLIT: Final = Faults(split=1)
MESSAGES: Final = [f"message {number}" for number in range(5)]


def on_both_sides(scenario: Scenario) -> Scenario:
    ON_BOTH_SIDES.append(scenario)
    return scenario


def on_one_side(scenario: Scenario) -> Scenario:
    ON_ONE_SIDE.append(scenario)
    return scenario


@contextlib.asynccontextmanager
async def sides(
    swapped: bool, network: Network | None = None, **options: Any
) -> AsyncIterator[tuple[WebSocket, WebSocket]]:
    """The near side and the far one; the client is near unless they are swapped."""
    async with pair(network, **options) as (client, server):
        yield (server, client) if swapped else (client, server)


async def send_all(websocket: WebSocket) -> None:
    for message in MESSAGES:
        await websocket.send(message)


async def received_after(task: Task, near: WebSocket) -> list[Any]:
    """What the cancelled `recv` gave, if it was not, and all that comes after it."""
    received = [] if task.cancelled() else [task.result()]
    while len(received) < len(MESSAGES):
        received.append(await near.recv())
    await settle()
    return received


async def receives_all(
    swapped: bool, count: int, network: Network | None = None, **options: Any
) -> Task:
    """Receives while the other side sends."""
    async with sides(swapped, network, **options) as (near, far):
        sending = asyncio.create_task(send_all(far))
        task = await cancel_after(count, near.recv())
        assert await received_after(task, near) == MESSAGES
        await sending
        return task


# Receiving


@on_both_sides
async def recv_while_messages_come(swapped: bool, count: int) -> Task:
    return await receives_all(swapped, count)


@on_both_sides
async def recv_while_they_come_byte_by_byte(swapped: bool, count: int) -> Task:
    return await receives_all(swapped, count, Network(to_client=SPLIT, to_server=SPLIT))


@on_both_sides
async def recv_while_they_come_compressed(swapped: bool, count: int) -> Task:
    return await receives_all(swapped, count, extensions=[DEFLATE])


@on_both_sides
async def recv_while_reading_stops_and_goes_on(swapped: bool, count: int) -> Task:
    return await receives_all(swapped, count, limits=SMALL)


@on_both_sides
async def recv_of_what_has_come(swapped: bool, count: int) -> Task:
    async with sides(swapped) as (near, far):
        await send_all(far)
        await settle()
        task = await cancel_after(count, near.recv())
        assert await received_after(task, near) == MESSAGES
        return task


@on_both_sides
async def recv_of_fragments(swapped: bool, count: int) -> Task:
    async with sides(swapped) as (near, far):
        sending = asyncio.create_task(far.send(iter(MESSAGES)))
        task = await cancel_after(count, near.recv())
        whole = await near.recv() if task.cancelled() else task.result()
        assert whole == "".join(MESSAGES)
        await sending
        return task


@on_both_sides
async def iterating(swapped: bool, count: int) -> Task:
    async with sides(swapped) as (near, far):
        sending = asyncio.create_task(send_all(far))

        async def advance() -> Any:
            return await anext(near)

        task = await cancel_after(count, advance())
        assert await received_after(task, near) == MESSAGES
        await sending
        return task


@on_both_sides
async def recv_before_the_peer_closes(swapped: bool, count: int) -> Task:
    async with sides(swapped) as (near, far):

        async def talk() -> None:
            await send_all(far)
            await far.close()

        talking = asyncio.create_task(talk())
        task = await cancel_after(count, near.recv())
        first = [] if task.cancelled() else [task.result()]
        messages, end = await receive_all(near)
        assert first + messages == MESSAGES
        assert isinstance(end, ConnectionClosedOK)
        await talking
        return task


# Sending


async def sends_all_or_nothing(swapped: bool, count: int, waiting: int, **options: Any) -> Task:
    """Sends against a network that is stalled, behind so many others that wait."""
    network = Network(to_client=Faults(capacity=0), to_server=Faults(capacity=0))
    async with sides(swapped, network, limits=SMALL, **options) as (near, far):
        (link,) = network.links
        link.stall()
        await near.send("x" * 200)
        others = [asyncio.create_task(near.send(f"other {n}")) for n in range(waiting)]
        await steps(1)
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: loop.call_soon(link.flow))
        receiving = asyncio.create_task(receive_all(far))
        task = await cancel_after(count, near.send("cancelled"))
        await near.send("after")
        await asyncio.gather(*others)
        await near.close()
        messages, _ = await receiving
        mine = [] if task.cancelled() else ["cancelled"]
        expected = ["x" * 200, *(f"other {n}" for n in range(waiting)), *mine, "after"]
        assert messages == expected
        return task


@on_both_sides
async def send_while_writing_is_held_up(swapped: bool, count: int) -> Task:
    return await sends_all_or_nothing(swapped, count, 0)


@on_both_sides
async def send_behind_others_that_wait(swapped: bool, count: int) -> Task:
    return await sends_all_or_nothing(swapped, count, 3)


@on_both_sides
async def send_compressed_while_writing_is_held_up(swapped: bool, count: int) -> Task:
    # A compressor that has seen what was not sent would spoil all that follows.
    return await sends_all_or_nothing(swapped, count, 1, extensions=[DEFLATE])


@on_both_sides
async def asking_and_being_answered(swapped: bool, count: int) -> Task:
    async with sides(swapped) as (near, far):
        echoing = asyncio.create_task(echo(far))

        async def ask() -> Any:
            await near.send("question")
            return await near.recv()

        task = await cancel_after(count, ask())
        await near.send("last")
        answers = [await near.recv()]
        while answers[-1] != "last":
            answers.append(await near.recv())
        # The first was asked once or never, and its answer was not lost.
        assert answers in (["last"], ["question", "last"])
        if not task.cancelled():
            assert task.result() == "question"
            assert answers == ["last"]
        await near.close()
        await echoing
        return task


# Pings and the end


@on_both_sides
async def ping(swapped: bool, count: int) -> Task:
    async with sides(swapped) as (near, far):
        task = await cancel_after(count, near.ping())
        assert await near.ping() == 0
        await far.send("still there")
        assert await near.recv() == "still there"
        assert not near._pings
        return task


@on_both_sides
async def closing(swapped: bool, count: int) -> Task:
    async with sides(swapped, limits=SMALL) as (near, far):
        await far.send("before")
        task = await cancel_after(count, near.close(4000, "mine"))
        if count == 0:
            assert near.state is State.OPEN
        else:
            await near.wait_closed()
            await far.wait_closed()
            assert (far.close_code, far.close_reason) == (4000, "mine")
        return task


@on_both_sides
async def closing_while_the_peer_does(swapped: bool, count: int) -> Task:
    async with sides(swapped, limits=SMALL) as (near, far):
        theirs = asyncio.create_task(far.close(4001))
        task = await cancel_after(count, near.close(4000))
        await theirs
        await near.wait_closed()
        assert near.close_code == 4001
        assert far.close_code in (4000, 4001)
        return task


@on_both_sides
async def waiting_for_the_end(swapped: bool, count: int) -> Task:
    async with sides(swapped) as (near, far):
        theirs = asyncio.create_task(far.close())
        task = await cancel_after(count, near.wait_closed())
        await near.wait_closed()
        await theirs
        assert near.close_code == far.close_code == 1000
        return task


# Connecting and serving


async def connects(count: int, network: Network | None = None) -> Task:
    async with serving(echo, network, limits=SMALL) as server:

        async def connect() -> WebSocket:
            return await server.connect()

        task = await cancel_after(count, connect())
        if not task.cancelled():
            await task.result().close()
        await asyncio.sleep(60)
        assert server.server.connections == frozenset()
        return task


@on_one_side
async def connecting(swapped: bool, count: int) -> Task:
    return await connects(count)


@on_one_side
async def connecting_byte_by_byte(swapped: bool, count: int) -> Task:
    return await connects(count, Network(to_client=Faults(split=20), to_server=Faults(split=20)))


@on_one_side
async def being_refused(swapped: bool, count: int) -> Task:
    def refuse(request: Request) -> Response:
        return Response.text("no\n", 403)

    async with serving(echo, process_request=refuse) as server:

        async def connect() -> WebSocket:
            return await server.connect()

        task = await cancel_after(count, connect())
        assert task.cancelled() or isinstance(task.exception(), HandshakeError)
        return task


@on_one_side
async def a_whole_conversation(swapped: bool, count: int) -> Task:
    heard: list[Any] = []

    async def handler(websocket: WebSocket) -> None:
        async for message in websocket:
            heard.append(message)
            await websocket.send(message)

    async with serving(handler, limits=SMALL) as server:
        told: list[str] = []

        async def talk() -> None:
            async with server.connect() as websocket:
                for message in MESSAGES:
                    await websocket.send(message)
                    told.append(message)
                    assert await websocket.recv() == message

        task = await cancel_after(count, talk())
        await asyncio.sleep(60)
        # What was told was heard, in order and once.
        assert told == heard[: len(told)]
        assert heard == MESSAGES[: len(heard)]
        assert server.server.connections == frozenset()
        return task


@on_one_side
async def a_handler(swapped: bool, count: int) -> Task:
    handlers: list[Task] = []

    async def handler(websocket: WebSocket) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.append(task)
        await echo(websocket)

    async with serving(handler, limits=SMALL) as server:
        websocket = await server.connect()
        task = asyncio.ensure_future(send_all(websocket))
        await steps(count)
        (running,) = handlers
        running.cancel()
        await asyncio.gather(task, return_exceptions=True)
        messages, _ = await receive_all(websocket)
        assert messages == MESSAGES[: len(messages)]
        await settle()
        assert server.server.connections == frozenset()
        # It is over when the handler has answered all before it was cancelled.
        return await cancel_after(9 if messages == MESSAGES else 0, asyncio.sleep(0))


@on_one_side
async def the_end_of_a_server(swapped: bool, count: int) -> Task:
    async with serving(echo, limits=SMALL) as server:
        websocket = await server.connect()
        server.server.close()
        task = await cancel_after(count, server.server.wait_closed())
        await server.server.wait_closed()
        assert server.server.connections == frozenset()
        with pytest.raises(ConnectionClosed):
            await websocket.recv()
        return task


SCENARIOS: Final = [
    pytest.param(scenario, swapped, id=f"{scenario.__name__}-{side}")
    for scenario in ON_BOTH_SIDES
    for swapped, side in ((False, "client"), (True, "server"))
] + [pytest.param(scenario, False, id=scenario.__name__) for scenario in ON_ONE_SIDE]


@pytest.mark.parametrize(("scenario", "swapped"), SCENARIOS)
@virtual_time
async def test_cancelled_at_every_step(scenario: Scenario, swapped: bool) -> None:
    assert await at_every_step(lambda count: scenario(swapped, count)) > 0


def test_there_are_thirty_scenarios() -> None:
    assert len(SCENARIOS) >= 30
