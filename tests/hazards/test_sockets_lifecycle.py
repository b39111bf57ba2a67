"""Races and cancellation: send, receive, close and connect, stopped or crossed at every step.

Nothing here is left to chance. A loop over k lets an operation take k steps of the event loop, then
cancels it or lets the peer interfere, until k is beyond its end: every await has had its turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

import rfc6455
from rfc6455 import (
    Close,
    ConnectionClosed,
    ConnectionClosedError,
    HandshakeError,
    Limits,
    Role,
    State,
    WebSocket,
)
from rfc6455.frames import Opcode
from rfc6455.testing import at_every_step, cancel_after, steps
from tests.helpers import both_roles
from tests.transports.support import (
    MemoryTransport,
    RawPeer,
    accepting,
    close,
    dial,
    echo,
    make_websocket,
    on_each_loop,
    pass_time,
    ping,
    pong,
    receive_all,
    scripted_server,
    serving,
    settle,
    text,
    uri,
    virtual_time,
)


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


# Cancellation at every step


@virtual_time
async def test_recv_cancelled_at_every_step_loses_no_message() -> None:
    async def attempt(count: int) -> asyncio.Task[Any]:
        websocket, transport = make_websocket()
        asyncio.get_running_loop().call_soon(transport.feed, text("a") + text("b"))
        task = await cancel_after(count, websocket.recv())
        received = [] if task.cancelled() else [task.result()]
        while len(received) < 2:
            received.append(await websocket.recv())
        assert received == ["a", "b"]
        websocket.abort()
        return task

    await at_every_step(attempt)


@virtual_time
async def test_send_cancelled_at_every_step_is_all_or_nothing() -> None:
    async def attempt(count: int) -> asyncio.Task[Any]:
        websocket, transport = make_websocket()
        transport.congested = True
        await websocket.send(bytes(70_000))
        before = asyncio.create_task(websocket.send("before"))
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: loop.call_soon(transport.flow))
        task = await cancel_after(count, websocket.send("cancelled"))
        await websocket.send("after")
        await before
        sent = ["before", "after"] if task.cancelled() else ["before", "cancelled", "after"]
        assert transport.messages[1:] == sent
        websocket.abort()
        return task

    await at_every_step(attempt)


@both_roles
@virtual_time
async def test_close_cancelled_at_every_step_still_ends_the_connection(role: Role) -> None:
    async def attempt(count: int) -> asyncio.Task[Any]:
        websocket, transport = make_websocket(role, close_timeout=5)

        def answer() -> None:
            if transport.closes:
                transport.feed(close(role=role))
                transport.feed_eof()
            elif not transport.lost:
                asyncio.get_running_loop().call_soon(answer)

        asyncio.get_running_loop().call_soon(answer)
        task = await cancel_after(count, websocket.close())
        if count:
            await websocket.wait_closed()
            assert transport.closes == [Close(1000)]
            assert websocket.close_code == 1000
        else:
            # It never began.
            assert websocket.state is State.OPEN
            websocket.abort()
            await websocket.wait_closed()
        return task

    await at_every_step(attempt)


@virtual_time
async def test_ping_cancelled_at_every_step_leaves_nothing() -> None:
    async def attempt(count: int) -> asyncio.Task[Any]:
        websocket, transport = make_websocket()
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: loop.call_soon(transport.feed, pong(b"x")))
        task = await cancel_after(count, websocket.ping(b"x"))
        await settle()
        assert not websocket._pings
        websocket.abort()
        return task

    await at_every_step(attempt)


@virtual_time
async def test_connect_cancelled_at_every_step_leaves_no_descriptor_and_no_task() -> None:
    async def script(peer: RawPeer, request: bytes) -> None:
        peer.send(accepting(request))
        await peer.rest()

    async with scripted_server(script) as address:
        before = descriptors()

        async def attempt(count: int) -> asyncio.Task[Any]:
            task = await cancel_after(count, rfc6455.connect(address)._open())
            if not task.cancelled():
                task.result().abort()
            await settle()
            assert descriptors() == before
            return task

        await at_every_step(attempt)


@virtual_time
async def test_a_refused_connect_cancelled_at_every_step_leaves_nothing() -> None:
    async def script(peer: RawPeer, request: bytes) -> None:
        peer.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    async with scripted_server(script) as address:
        before = descriptors()

        async def attempt(count: int) -> asyncio.Task[Any]:
            task = await cancel_after(count, rfc6455.connect(address)._open())
            if not task.cancelled():
                assert isinstance(task.exception(), HandshakeError)
            await settle()
            assert descriptors() == before
            return task

        await at_every_step(attempt)


@virtual_time
async def test_a_handler_cancelled_at_every_step_frees_its_connection() -> None:
    tasks: list[asyncio.Task[Any]] = []

    async def handler(websocket: WebSocket) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        await echo(websocket)

    async with serving(handler) as server:
        for count in range(30):
            async with await dial(server) as peer:
                await peer.upgrade()
                peer.send(text("a") + text("b") + close())
                await steps(count)
                tasks.pop().cancel()
                await peer.rest()
                await settle()
                assert server.connections == frozenset()


@virtual_time
async def test_the_end_of_a_server_cancelled_at_every_step_can_be_had_again() -> None:
    async def attempt(count: int) -> asyncio.Task[Any]:
        async with serving(echo, limits=Limits(close_timeout=1)) as server:
            peer = await dial(server)
            await peer.upgrade()
            peer.send(close())
            server.close()
            task = await cancel_after(count, server.wait_closed())
            await server.wait_closed()
            assert server.connections == frozenset()
        await peer.__aexit__()
        return task

    await at_every_step(attempt)


@virtual_time
async def test_a_drain_cancelled_at_every_step_goes_on() -> None:
    async def attempt(count: int) -> asyncio.Task[Any]:
        async with serving(echo, limits=Limits(close_timeout=1)) as server:
            peers = [await dial(server) for _ in range(2)]
            for peer in peers:
                await peer.upgrade()
                peer.send(close())
            task = await cancel_after(count, server.drain(over=1e-9))
            if count > 0:
                await server.serve_forever()
                assert server.connections == frozenset()
            drained = await server.drain()
            assert drained.closed + drained.aborted <= 2
        for peer in peers:
            await peer.__aexit__()
        return task

    await at_every_step(attempt)


# Races


def assert_truthful(transport: MemoryTransport, sent: list[str]) -> None:
    """All that `send` promised is on the wire, nothing else, and nothing behind a Close."""
    frames = transport.frames
    opcodes = [frame.opcode for frame in frames]
    assert opcodes.count(Opcode.CLOSE) <= 1
    if Opcode.CLOSE in opcodes:
        assert opcodes.index(Opcode.CLOSE) == len(opcodes) - 1
    assert sorted(map(str, transport.messages)) == sorted(sent)


async def race(event: str, congested: bool, ours: int, theirs: int) -> int:
    """Eight tasks send while the connection ends; returns how many of them were refused.

    Args:
        event: what ends it.
        congested: whether the network stops after each time that it flows.
        ours: steps of the loop before we do our part of it.
        theirs: the same for the peer.
    """
    websocket, transport = make_websocket(close_timeout=1, close_grace=1, write_high_water=10)
    transport.congested = congested
    sent: list[str] = []

    async def send_some(name: int) -> int:
        for number in range(4):
            message = f"{name}.{number}"
            try:
                await websocket.send(message)
            except ConnectionClosed:
                return 1
            sent.append(message)
            await asyncio.sleep(0)
            if number == name % 4:
                transport.flow()
                transport.congested = congested
        return 0

    async def we() -> int:
        await steps(ours)
        if event in ("we close", "both"):
            await websocket.close()
        return 0

    async def they() -> int:
        await steps(theirs)
        if event in ("peer closes", "both"):
            transport.feed(close())
        elif event == "fault":
            transport.feed(b"\x83\x80")
        elif event == "lost":
            transport.lose()
        return 0

    tasks = [asyncio.create_task(task) for task in [*map(send_some, range(8)), we(), they()]]
    await pass_time(2)
    transport.flow()
    refused = sum(await asyncio.gather(*tasks))
    if event == "lost":
        assert {*map(str, transport.messages)} <= {*sent}
    else:
        assert_truthful(transport, sent)
    websocket.abort()
    await websocket.wait_closed()
    return refused


@pytest.mark.parametrize("congested", [False, True])
@pytest.mark.parametrize("event", ["we close", "peer closes", "both", "fault", "lost"])
@virtual_time
async def test_sends_that_race_with_the_end_are_sent_or_refused(
    event: str, congested: bool
) -> None:
    refused = 0
    for ours, theirs in itertools.product(range(0, 12, 2), range(0, 12, 3)):
        refused += await race(event, congested, ours, theirs)
    assert refused


@virtual_time
async def test_a_receiver_learns_of_the_end_wherever_it_comes() -> None:
    for count in range(10):
        for end in (close(4000), b"\x83\x80", b"eof", b"lost"):
            websocket, transport = make_websocket(close_timeout=1)
            receiving = asyncio.create_task(receive_all(websocket))
            transport.feed(text("a"))
            await steps(count)
            if end == b"eof":
                transport.feed_eof()
            elif end == b"lost":
                transport.lose()
            else:
                transport.feed(text("b") + end)
            messages, error = await receiving
            assert messages in (["a"], ["a", "b"])
            assert error.code == (4000 if end == close(4000) else 1006)
            await websocket.wait_closed()


@both_roles
@virtual_time
async def test_control_frames_may_come_between_messages_and_messages_never_mix(
    role: Role,
) -> None:
    websocket, transport = make_websocket(role)

    async def send_some(name: str) -> None:
        for number in range(25):
            await websocket.send(name * 10 + str(number))
            await asyncio.sleep(0)

    async def ping_some() -> None:
        for _ in range(10):
            task = asyncio.create_task(websocket.ping())
            await steps(2)
            task.cancel()

    async def flood() -> None:
        for number in range(10):
            transport.feed(ping(bytes([number]), role))
            await asyncio.sleep(0)

    await asyncio.gather(*map(send_some, "abcd"), ping_some(), flood())
    assert len(transport.messages) == 100
    for name in "abcd":
        mine = [message for message in transport.messages if str(message).startswith(name)]
        assert mine == [name * 10 + str(number) for number in range(25)]
    opcodes = [frame.opcode for frame in transport.frames]
    assert (opcodes.count(Opcode.PING), opcodes.count(Opcode.PONG)) == (10, 10)
    await settle()
    websocket.abort()


@on_each_loop
async def test_tasks_that_send_ping_and_close_at_once_on_real_sockets() -> None:
    sent: list[str] = []

    async def handler(websocket: WebSocket) -> None:
        async def send_some(name: int) -> None:
            with contextlib.suppress(ConnectionClosed):
                for number in range(1000):
                    await websocket.send(f"{name}.{number}")
                    sent.append(f"{name}.{number}")
                    await asyncio.sleep(0)

        async def close_later() -> None:
            await steps(20)
            await websocket.close(4000)

        with contextlib.suppress(ConnectionClosed):
            await asyncio.gather(*map(send_some, range(8)), close_later(), websocket.ping())

    async with serving(handler) as server:
        for _ in range(5):
            sent.clear()
            async with rfc6455.connect(uri(server)) as websocket:
                messages, error = await receive_all(websocket)
            assert error.code == 4000
            assert messages == sent


# Exceptions in a handler


class Strange(BaseException):
    """An exception that nobody expects."""


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("broken"),
        ValueError(),
        MemoryError(),
        StopIteration(),
        StopAsyncIteration(),
        GeneratorExit(),
        asyncio.CancelledError(),
        TimeoutError(),
        ConnectionResetError(),
        Strange(),
    ],
    ids=lambda error: type(error).__name__,
)
@virtual_time
async def test_an_exception_in_a_handler_is_1011_logged_once_and_the_server_lives(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(websocket: WebSocket) -> None:
        if await websocket.recv() == "raise":
            raise error

    async with serving(handler) as server:
        async with await dial(server) as peer:
            await peer.upgrade()
            peer.send(text("raise"))
            assert (await peer.close_frame()).code == 1011
            peer.send(close(1011))
            assert await peer.rest() == b""
        (record,) = caplog.records
        assert (record.name, record.levelno) == ("rfc6455.server", logging.ERROR)
        assert record.exc_info
        async with await dial(server) as peer:
            await peer.upgrade()
            peer.send(text("return"))
            assert await peer.close_frame() == Close(1000)
            peer.send(close())


@virtual_time
async def test_a_handler_that_fails_after_the_end_is_logged_and_nothing_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(websocket: WebSocket) -> None:
        await receive_all(websocket)
        raise RuntimeError("late")

    async with serving(handler) as server, await dial(server) as peer:
        await peer.upgrade()
        peer.send(close(4000))
        assert await peer.close_frame() == Close(4000)
        assert await peer.rest() == b""
    assert len(caplog.records) == 1


@virtual_time
async def test_a_handler_that_is_no_coroutine_function_is_1011(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def handler(websocket: WebSocket) -> None:
        """Forgot to be asynchronous."""

    async with serving(handler) as server, await dial(server) as peer:  # type: ignore[arg-type]
        await peer.upgrade()
        assert (await peer.close_frame()).code == 1011
        peer.send(close(1011))
    assert len(caplog.records) == 1


# Threads


@on_each_loop
async def test_other_threads_send_through_the_loop() -> None:
    loop = asyncio.get_running_loop()
    names: list[str] = []

    async def handler(websocket: WebSocket) -> None:
        def work() -> None:
            names.append(threading.current_thread().name)
            for number in range(20):
                asyncio.run_coroutine_threadsafe(websocket.send(str(number)), loop).result()

        thread = threading.Thread(target=work, name="worker")
        thread.start()
        await asyncio.to_thread(thread.join)

    async with serving(handler) as server, rfc6455.connect(uri(server)) as websocket:
        assert [message async for message in websocket] == [str(n) for n in range(20)]
    assert names == ["worker"]


# Leaks


@virtual_time
async def test_many_connections_leave_nothing_behind() -> None:
    @contextlib.asynccontextmanager
    async def one(server: rfc6455.Server, number: int) -> AsyncIterator[RawPeer]:
        async with await dial(server) as peer:
            if number % 4:
                await peer.upgrade()
            yield peer

    async with serving(echo) as server:
        before = descriptors()
        for number in range(300):
            async with one(server, number) as peer:
                if number % 4 == 1:
                    peer.send(text("x") + close())
                    await peer.rest()
                elif number % 4 == 2:
                    peer.reset()
                elif number % 4 == 3:
                    peer.send(b"\x83\x80")
        await settle()
        assert descriptors() == before
        assert server.connections == frozenset()
        assert server._incoming == set()
        assert server._tasks == set()
        assert server._handlers == {}


@virtual_time
async def test_recv_in_a_handler_does_not_outlive_its_connection() -> None:
    receiving: list[asyncio.Task[Any]] = []

    async def handler(websocket: WebSocket) -> None:
        receiving.append(asyncio.create_task(websocket.recv()))
        await websocket.wait_closed()

    async with serving(handler) as server, await dial(server) as peer:
        await peer.upgrade()
        peer.reset()
        await settle()
        with pytest.raises(ConnectionClosedError):
            await receiving[0]
