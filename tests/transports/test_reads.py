"""Memory that reads go into: what connections share, and what each has for itself.

Knows that the native twin takes messages out of the memory that the transport was told to fill.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from rfc6455 import Connection, Role, WebSocket, connect, implementation, serve
from rfc6455.asyncio.channel import BATCH, LARGE_READ
from rfc6455.frames import Opcode

from ..helpers import peer_frame
from .support import MemoryTransport, make_websocket, on_each_loop, settle, virtual_time

pytestmark = pytest.mark.skipif(implementation == "python", reason="Python is given bytes")


def text(message: str) -> bytes:
    return peer_frame(Role.SERVER, Opcode.TEXT, message.encode())


def make(**limits: Any) -> tuple[Any, MemoryTransport]:
    """A connection, of whose type only Python's half is known, and its network."""
    return make_websocket(**limits)


def fill(websocket: Any, data: bytes) -> int:
    """Reads as much as the connection has memory for; returns how much that is."""
    memory = websocket.get_buffer(-1)
    size = min(len(memory), len(data))
    memory[:size] = data[:size]
    websocket.buffer_updated(size)
    return size


@virtual_time
async def test_a_transport_that_nobody_knows_may_fill_memory_whenever_it_likes() -> None:
    (first, _), (second, _) = make(), make()
    memories = [websocket.get_buffer(-1) for websocket in (first, second)]
    for memory, message in zip(memories, ("one", "two"), strict=True):
        memory[: len(text(message))] = text(message)
    for websocket in (second, first):
        websocket.buffer_updated(len(text("one")))
    assert [await first.recv(), await second.recv()] == ["one", "two"]


@on_each_loop
async def test_connections_of_a_loop_read_into_the_same_memory() -> None:
    met: list[Any] = []

    async def handle(websocket: WebSocket) -> None:
        met.append(websocket)
        async for message in websocket:
            await websocket.send(message)

    async with serve(handle, "127.0.0.1", 0) as server:
        uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with connect(uri) as first, connect(uri) as second:
            for number in range(3):
                for client in (first, second):
                    await client.send(f"{number}" * 5000)
                for client in (first, second):
                    assert await client.recv() == f"{number}" * 5000
            ends: list[Any] = [first, second, *met]
            assert len({id(end.get_buffer(-1)) for end in ends}) == 1


@virtual_time
async def test_a_message_outlives_what_comes_behind_it() -> None:
    websocket, _ = make()
    reading = text("a" * 1000)
    memory = websocket.get_buffer(-1)
    memory[: len(reading)] = reading
    websocket.buffer_updated(len(reading))
    memory[: len(reading)] = bytes(len(reading))
    # Nor does the connection keep the memory, of which this is the last name and its argument.
    assert sys.getrefcount(memory) == 2
    assert await websocket.recv() == "a" * 1000


@pytest.mark.parametrize("count", [-1, LARGE_READ + 1, 1 << 70])
@virtual_time
async def test_more_than_there_was_room_for_is_an_error(count: int) -> None:
    websocket, _ = make()
    websocket.get_buffer(-1)
    with pytest.raises((ValueError, OverflowError)):
        websocket.buffer_updated(count)
    websocket.abort()


@virtual_time
async def test_reading_without_memory_is_an_error() -> None:
    websocket, _ = make()
    with pytest.raises(ValueError, match="room"):
        websocket.buffer_updated(1)
    websocket.abort()


@on_each_loop
async def test_of_a_peer_that_floods_less_is_read_at_a_time() -> None:
    ended = asyncio.Event()

    async def handle(websocket: Any) -> None:
        whole = len(websocket.get_buffer(-1))
        async for message in websocket:
            if message == "x":
                assert len(websocket.get_buffer(-1)) < whole
            else:
                assert len(websocket.get_buffer(-1)) == whole
                ended.set()

    async with serve(handle, "127.0.0.1", 0, extensions=()) as server:
        uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with connect(uri, extensions=()) as client:
            # One write, and so one read.
            for _ in range(BATCH + 1):
                client.push("x")
            await client.ping()
            for calm in ("calm", "calm still"):
                await client.send(calm)
                await client.ping()
            await ended.wait()


@virtual_time
async def test_memory_that_was_filled_gives_the_others_a_turn() -> None:
    websocket, transport = make()
    frame = peer_frame(Role.SERVER, Opcode.BINARY, bytes(2 * LARGE_READ))
    size = fill(websocket, frame)
    assert not transport.is_reading()
    await settle()
    assert transport.is_reading()
    assert fill(websocket, frame[size:-20]) < len(frame) - size
    await settle()
    fill(websocket, frame[-20:])
    assert transport.is_reading()
    websocket.abort()


@virtual_time
async def test_the_less_that_is_read_of_a_flood_gives_the_others_a_turn_as_well() -> None:
    websocket, transport = make(max_queued_messages=None, max_queued_size=None)
    websocket._memory = memoryview(bytearray(2 * LARGE_READ))
    fill(websocket, text("x") * (BATCH + 1))
    for _ in range(BATCH + 1):
        await websocket.recv()
    assert transport.is_reading()
    # Fewer messages than are handed out in a turn.
    longer = text("x" * 1024) * 128
    size = fill(websocket, longer)
    assert size < LARGE_READ
    assert not transport.is_reading()
    for _ in range(websocket.waiting_messages):
        await websocket.recv()
    await settle()
    assert transport.is_reading()
    websocket.abort()


@virtual_time
async def test_whoever_says_one_thing_is_answered_before_the_rest_of_a_flood() -> None:
    loop = asyncio.get_running_loop()
    written: list[str] = []

    class Told(MemoryTransport):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def write(self, data: bytes | bytearray | memoryview) -> None:
            written.append(self.name)
            super().write(data)

    async def echo(websocket: WebSocket) -> None:
        async for message in websocket:
            await websocket.send(message)

    tasks = []
    ends = []
    for name in ("flood", "quiet"):
        transport = Told(name)
        websocket = WebSocket(Connection(Role.SERVER), transport, loop)
        transport.set_protocol(websocket)
        tasks.append(loop.create_task(echo(websocket)))
        ends.append((websocket, transport))
    await settle()
    (flooded, flood), (quieter, quiet) = ends
    # From the loop, as transports do: within a task no other one can run.
    loop.call_soon(flood.feed, text("x") * (3 * BATCH))
    loop.call_soon(quiet.feed, text("y"))
    await settle()
    assert written == ["flood", "quiet", "flood", "flood"]
    assert len(flood.messages) == 3 * BATCH
    for websocket in (flooded, quieter):
        websocket.abort()
    await asyncio.gather(*tasks, return_exceptions=True)
