"""How a server drains: turns spread over time, hints for those who come back, and a last resort.

Knows virtual time; and clients in memory where there are a thousand of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

import rfc6455
from rfc6455 import Close, Drained, Limits, Server, UsageError, WebSocket
from rfc6455.asyncio.incoming import Incoming
from rfc6455.frames import Opcode
from tests.helpers import frames_in

from .support import (
    REQUEST,
    MemoryTransport,
    close,
    dial,
    now,
    on_each_loop,
    pass_time,
    pong,
    receive_all,
    serving,
    settle,
    uri,
    virtual_time,
)


async def ignore(websocket: WebSocket) -> None:
    async for _ in websocket:
        pass


class Client(MemoryTransport):
    """A client in memory, which answers as one does, and ends TCP after its Close.

    Attributes:
        answers: whether it answers a Close.
        closed: when the server's Close came, and what it said.
    """

    def __init__(self, *, answers: bool) -> None:
        super().__init__()
        self.answers = answers
        self.closed: tuple[float, Close] | None = None

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        super().write(data)
        if bytes(data).startswith(b"HTTP/"):
            return
        for frame in frames_in(bytes(data)):
            if frame.opcode is Opcode.PING:
                self._loop.call_soon(self.feed, pong(frame.payload))
            elif frame.opcode is Opcode.CLOSE:
                said = Close.parse(frame.payload)
                self.closed = now(), said
                if self.answers:
                    self._loop.call_soon(self.feed, close(said.code))
                    self._loop.call_soon(self.feed_eof)


@contextlib.asynccontextmanager
async def with_clients(
    count: int, *, answers: bool = True, **options: Any
) -> AsyncIterator[tuple[Server, list[Client]]]:
    """A server with so many open connections in memory."""
    async with serving(ignore, max_connections=10_000, **options) as server:
        clients = []
        for _ in range(count):
            client = Client(answers=answers)
            incoming = Incoming(server, asyncio.get_running_loop())
            client.set_protocol(incoming)
            incoming.connection_made(client)
            client.feed(REQUEST)
            clients.append(client)
        await settle()
        assert len(server.connections) == count
        yield server, clients


# Turns


@virtual_time
async def test_a_thousand_connections_are_closed_one_after_the_other() -> None:
    async with with_clients(1000) as (server, clients):
        start = now()
        assert await server.drain(over=100) == Drained(closed=1000, aborted=0)
        assert server.connections == frozenset()
        closed = [client.closed for client in clients]
        times = sorted(moment - start for moment, _ in filter(None, closed))
        assert {said for _, said in filter(None, closed)} == {Close(1012)}
        assert times == [pytest.approx(i / 10, abs=0.001) for i in range(1000)]
        assert now() - start < 101


@virtual_time
async def test_the_order_of_turns_is_random_by_default() -> None:
    async with with_clients(100) as (server, clients):
        await server.drain(over=10)
        times = [client.closed[0] for client in clients if client.closed]
        assert len(times) == 100
        assert times != sorted(times)
        assert times != sorted(times, reverse=True)


@virtual_time
async def test_the_oldest_may_go_first() -> None:
    async with with_clients(100) as (server, clients):
        await server.drain(over=10, order="oldest")
        times = [client.closed[0] for client in clients if client.closed]
        assert len(times) == 100
        assert times == sorted(times)


@virtual_time
async def test_without_a_time_all_have_their_turn_at_once() -> None:
    async with with_clients(50) as (server, clients):
        start = now()
        await server.drain(code=1001, reason="bye")
        assert {client.closed for client in clients} == {(start, Close(1001, "bye"))}


@virtual_time
async def test_nobody_gets_in_meanwhile_and_pages_are_not_served() -> None:
    async with serving(ignore) as server:
        async with (
            await dial(server) as peer,
            await dial(server) as asking,
            await dial(server) as silent,
        ):
            await peer.upgrade()
            asking.send(b"GET ")
            await settle()
            assert not server.is_closing
            draining = asyncio.create_task(server.drain(over=10))
            await settle()
            assert server.is_closing
            assert server.sockets == ()
            assert (await asking.answer())[0] == 503
            assert await silent.rest() == b""
            # Its turn is the first one.
            assert await peer.close_frame() == Close(1012)
            peer.send(close(1012))
            assert await peer.rest() == b""
        assert await draining == Drained(closed=1, aborted=0)


@virtual_time
async def test_who_waits_for_a_turn_goes_on_as_before() -> None:
    async def handler(websocket: WebSocket) -> None:
        async for message in websocket:
            await websocket.send(message)

    async with serving(handler) as server:
        peers = []
        for _ in range(2):
            peers.append(await dial(server))
            await peers[-1].upgrade()
        draining = asyncio.create_task(server.drain(over=20, order="oldest"))
        assert await peers[0].close_frame() == Close(1012)
        peers[0].send(close(1012))
        await pass_time(9)
        peers[1].send(bytes.fromhex("818037fa213d"))
        assert await peers[1].message() == ""
        # One that leaves by itself needs no turn.
        peers[1].send(close(1000))
        assert await peers[1].close_frame() == Close(1000)
        await peers[1].rest()
        assert await draining == Drained(closed=2, aborted=0)
        assert now() == pytest.approx(9, abs=0.1)
        for peer in peers:
            await peer.__aexit__()


# Hints


@virtual_time
async def test_a_hint_tells_each_when_to_come_back() -> None:
    async with with_clients(200) as (server, clients):
        await server.drain(reason="new version", reconnect_hint=(2, 8))
        said = [client.closed[1] for client in clients if client.closed]
        hints = [close.retry_after for close in said]
        assert all(close.reason.startswith("new version retry-after=") for close in said)
        assert all(hint is not None and 2 <= hint <= 8 for hint in hints)
        assert len(set(hints)) > 20


@virtual_time
async def test_a_single_number_is_the_most() -> None:
    async with with_clients(200) as (server, clients):
        await server.drain(reconnect_hint=5)
        said = [client.closed[1] for client in clients if client.closed]
        hints = sorted(close.retry_after or 0.0 for close in said)
        assert all(close.reason.startswith("retry-after=") for close in said)
        assert hints[0] < 1
        assert 4 < hints[-1] <= 5


# Those who do not go


@virtual_time
async def test_who_does_not_answer_is_dropped_and_counted() -> None:
    async with with_clients(10, answers=False, limits=Limits(close_timeout=5)) as (server, clients):
        clients[3].answers = True
        start = now()
        assert await server.drain(over=10, order="oldest") == Drained(closed=1, aborted=9)
        assert all(client.aborted for client in clients if client is not clients[3])
        assert now() - start == pytest.approx(9 + 5, abs=0.1)


@virtual_time
async def test_what_is_left_after_a_time_is_dropped() -> None:
    limits = Limits(close_timeout=None)
    async with with_clients(10, answers=False, limits=limits) as (server, _):
        start = now()
        assert await server.drain(over=10, abort_after=3) == Drained(closed=0, aborted=10)
        assert now() - start == pytest.approx(9 + 3, abs=0.1)


@virtual_time
async def test_a_handler_that_goes_on_is_cancelled_in_the_end() -> None:
    cancelled: list[float] = []

    async def handler(websocket: WebSocket) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.append(now())

    async with (
        serving(handler, limits=Limits(close_timeout=5)) as server,
        await dial(server) as peer,
    ):
        await peer.upgrade()
        draining = asyncio.create_task(server.drain())
        assert await peer.close_frame() == Close(1012)
        peer.send(close(1012))
        await peer.rest()
        await draining
    assert cancelled == [pytest.approx(5, abs=0.1)]


# In a hurry


@pytest.mark.parametrize("again", ["drain", "close"])
@virtual_time
async def test_a_second_call_gives_all_their_turns_at_once(again: str) -> None:
    async with with_clients(100) as (server, clients):
        start = now()
        draining = asyncio.create_task(server.drain(over=100, reason="first", order="oldest"))
        await pass_time(10.5)
        assert sum(client.closed is not None for client in clients) == 11
        if again == "drain":
            assert await server.drain(over=100, reason="second") == Drained(100, 0)
        else:
            server.close(1001, "second")
        assert await draining == Drained(closed=100, aborted=0)
        assert {client.closed[1] for client in clients if client.closed} == {Close(1012, "first")}
        assert now() - start == pytest.approx(10.5, abs=0.1)


@virtual_time
async def test_the_end_of_the_block_hurries_it() -> None:
    async with with_clients(100) as (server, clients):
        draining = asyncio.create_task(server.drain(over=100, order="oldest"))
        await pass_time(10.5)
    assert all(client.closed for client in clients)
    assert await draining == Drained(closed=100, aborted=0)
    assert now() < 11


@virtual_time
async def test_it_goes_on_when_the_one_who_waits_is_cancelled() -> None:
    async with with_clients(10) as (server, clients):
        forever = asyncio.create_task(server.serve_forever())
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(server.drain(over=10), timeout=5)
        assert sum(client.closed is not None for client in clients) in (5, 6)
        assert not forever.done()
        await forever
        assert all(client.closed for client in clients)
        assert server.connections == frozenset()


@virtual_time
async def test_serve_forever_returns_when_all_is_over() -> None:
    async with with_clients(10) as (server, _):
        forever = asyncio.create_task(server.serve_forever())
        draining = asyncio.create_task(server.drain(over=10))
        await pass_time(8.5)
        assert not forever.done()
        await forever
        assert server.connections == frozenset()
        await draining


@virtual_time
async def test_an_empty_server_is_drained_at_once() -> None:
    async with serving(ignore) as server:
        forever = asyncio.create_task(server.serve_forever())
        assert await server.drain(over=100) == Drained(closed=0, aborted=0)
        await forever
    assert now() < 1


@pytest.mark.parametrize(
    "options",
    [
        {"code": 1006},
        {"code": 999},
        {"reason": "x" * 124},
        {"reason": "x" * 103, "reconnect_hint": 5},
        {"over": -1},
        {"over": float("nan")},
        {"abort_after": -1},
        {"reconnect_hint": -1},
        {"reconnect_hint": (3, 2)},
        {"reconnect_hint": float("nan")},
        {"reconnect_hint": 1e6},
    ],
)
@virtual_time
async def test_what_cannot_be_is_refused_and_nothing_happens(options: dict[str, Any]) -> None:
    async with with_clients(1) as (server, clients):
        with pytest.raises(UsageError):
            await server.drain(**options)
        await settle()
        assert not server.is_closing
        assert clients[0].closed is None


@on_each_loop
async def test_a_drain_over_real_sockets() -> None:
    async with serving(ignore) as server:
        websockets = [await rfc6455.connect(uri(server)) for _ in range(20)]
        ends = [asyncio.create_task(receive_all(websocket)) for websocket in websockets]
        drained = await server.drain(over=0.05, code=1001, reconnect_hint=1)
        assert drained == Drained(closed=20, aborted=0)
        for end in ends:
            _, error = await end
            assert error.code == 1001
            assert error.received is not None
            assert error.received.retry_after is not None
        for websocket in websockets:
            await websocket.wait_closed()
