"""Callbacks: what a `Listener` is told, and what holds it up."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

import pytest

from rfc6455 import (
    CallbackWebSocket,
    Connection,
    ConnectionClosed,
    Limits,
    Listener,
    Role,
    Route,
    Router,
    connect,
    connect_listener,
    serve,
)
from rfc6455.asyncio.channel import BATCH, LARGE_READ
from rfc6455.frames import Opcode
from tests.helpers import peer_frame

from .conversation import connection
from .support import (
    BAD_FRAME,
    MemoryTransport,
    close,
    on_each_loop,
    pass_time,
    real_time,
    settle,
    text,
    virtual_time,
)


class Recorder(Listener):
    """Notes what it is told, and echoes messages."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def on_open(self, websocket: CallbackWebSocket) -> None:
        self.told.append("open")

    def on_message(self, websocket: CallbackWebSocket, message: str | bytes) -> None:
        self.told.append(message)
        websocket.push(message)

    def on_close(self, websocket: CallbackWebSocket) -> None:
        self.told.append((websocket.close_code, websocket.close_reason))


def make(
    listener: Listener | None = None, **limits: Any
) -> tuple[CallbackWebSocket, MemoryTransport, Any, list[str]]:
    loop = asyncio.get_running_loop()
    transport = MemoryTransport()
    listener = Recorder() if listener is None else listener
    errors: list[str] = []
    websocket = CallbackWebSocket(
        Connection(Role.SERVER, limits=Limits(**limits), now=loop.time()),
        transport,
        loop,
        listener,
        on_error=errors.append,
    )
    transport.set_protocol(websocket)
    websocket.opened()
    return websocket, transport, listener, errors


@virtual_time
async def test_what_a_listener_is_told() -> None:
    _, transport, listener, errors = make()
    transport.feed(text("a") + text("b"))
    await settle()
    assert transport.messages == ["a", "b"]
    assert len(transport.writes) == 1
    transport.feed(text("c") + close(4000, "bye"))
    await settle()
    assert [c.code for c in transport.closes] == [4000]
    assert listener.told == ["open", "a", "b", "c", (4000, "bye")]
    assert errors == []


@virtual_time
async def test_a_fault_of_the_peers_is_answered_after_the_messages_before_it() -> None:
    _, transport, listener, _ = make()
    transport.feed(text("a") + BAD_FRAME)
    assert transport.messages == ["a"]
    assert [c.code for c in transport.closes] == [1002]
    transport.lose()
    await settle()
    assert listener.told == ["open", "a", (1006, "")]


@virtual_time
async def test_a_default_listener_does_nothing() -> None:
    _, transport, _, errors = make(Listener())
    transport.feed(text("a") + close())
    await settle()
    assert errors == []
    assert transport.lost


@pytest.mark.parametrize("callback", ["on_open", "on_message", "on_close"])
@virtual_time
async def test_an_exception_in_a_callback_closes_with_1011(callback: str) -> None:
    class Failing(Recorder):
        pass

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    setattr(Failing, callback, fail)
    websocket, transport, listener, errors = make(Failing())
    transport.feed(text("a") + text("b"))
    if callback == "on_close":
        transport.feed(close())
    else:
        assert [c.code for c in transport.closes] == [1011]
        assert "b" not in listener.told
    transport.lose()
    await settle()
    assert errors == ["listener failed"]
    with pytest.raises(ConnectionClosed):
        websocket.push("a")


@virtual_time
async def test_nothing_is_told_once_it_has_closed() -> None:
    class Once(Recorder):
        def on_message(self, websocket: CallbackWebSocket, message: str | bytes) -> None:
            super().on_message(websocket, message)
            websocket.start_close(1000, "once")

    _, transport, listener, _ = make(Once())
    transport.feed(text("a") + text("b"))
    transport.feed(text("c"))
    assert listener.told == ["open", "a"]
    assert transport.messages == ["a"]
    transport.feed(close())
    await settle()


@virtual_time
async def test_a_peer_that_does_not_read_is_not_read_from() -> None:
    websocket, transport, listener, _ = make(write_timeout=None, ping_interval=None)
    transport.congested = True
    transport.feed(peer_frame(Role.SERVER, Opcode.BINARY, bytes(70_000)))
    assert not transport.is_reading()
    transport.feed(text("a"))
    assert "a" not in listener.told
    transport.flow()
    await settle()
    assert listener.told[-1] == "a"
    assert transport.is_reading()
    websocket.abort()


@virtual_time
async def test_a_listener_may_hold_the_peer_up() -> None:
    websocket, transport, listener, _ = make()
    websocket.pause_reading()
    transport.feed(text("a"))
    assert listener.told == ["open"]
    websocket.resume_reading()
    await settle()
    assert listener.told == ["open", "a"]
    websocket.abort()


@virtual_time
async def test_a_flood_of_tiny_messages_leaves_turns_to_others() -> None:
    _, transport, listener, _ = make()
    transport.feed(text("x") * 1000 + close())
    assert len(listener.told) == 1 + BATCH
    turns = 0
    while len(listener.told) < 1001:
        turns += 1
        await asyncio.sleep(0)
    assert 1000 // BATCH - 1 <= turns <= 1000 // BATCH + 1
    await settle()
    assert listener.told[-1] == (1000, "")
    assert [c.code for c in transport.closes] == [1000]
    assert len(transport.messages) == 1000


@virtual_time
async def test_after_a_large_read_the_others_have_a_turn() -> None:
    _, transport, listener, _ = make()
    large = peer_frame(Role.SERVER, Opcode.BINARY, bytes(LARGE_READ))
    for data, reads_on in ((large, False), (large[: LARGE_READ // 2], True)):
        transport.feed(data)
        assert transport.is_reading() is reads_on
        await settle()
        assert transport.is_reading()
    assert len(listener.told) == 2
    transport.feed(large[LARGE_READ // 2 :] + close())
    await settle()
    assert listener.told[-1] == (1000, "")


@on_each_loop
async def test_over_sockets_with_a_client_of_each_kind() -> None:
    async with serve(Recorder, "127.0.0.1", 0) as server:
        uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with connect(uri) as websocket:
            await websocket.send("a")
            assert await websocket.recv() == "a"
        recorder = Collector()
        callbacks = await connect_listener(recorder, uri)
        callbacks.push("b")
        await recorder.done
        assert recorder.told == ["open", "b"]
        await callbacks.close()
        assert recorder.told[-1] == (1000, "")


class Collector(Recorder):
    def __init__(self) -> None:
        super().__init__()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_message(self, websocket: CallbackWebSocket, message: str | bytes) -> None:
        self.told.append(message)
        self.done.set_result(None)


@real_time
async def test_a_route_may_have_a_listener() -> None:
    class Greeter(Listener):
        def __init__(self, name: str) -> None:
            self.name = name

        def on_open(self, websocket: CallbackWebSocket) -> None:
            websocket.push(f"Hello, {self.name}")

    async with serve(Router([Route("/hello/<name>", Greeter)]), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}/hello/Ada") as websocket:
            assert await websocket.recv() == "Hello, Ada"


@real_time
async def test_the_server_closes_listeners_when_it_ends() -> None:
    async with serve(Recorder, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        websocket = await connect(f"ws://127.0.0.1:{port}")
        await websocket.send("a")
        await websocket.recv()
    with pytest.raises(ConnectionClosed):
        await websocket.recv()
    assert websocket.close_code == 1001


class Taking(Listener):
    """Takes note of how much comes."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def on_message(self, websocket: CallbackWebSocket, message: str | bytes) -> None:
        self.sizes.append(len(message))


@virtual_time
async def test_what_becomes_large_waits_for_its_turn() -> None:
    listener, transport = Taking(), MemoryTransport()
    loop = asyncio.get_running_loop()
    websocket = CallbackWebSocket(
        connection(max_message_size=2**20), transport, loop, listener, on_error=pytest.fail
    )
    transport.set_protocol(websocket)
    compressor = zlib.compressobj(9, wbits=-15)
    payload = compressor.compress(bytes(2**20)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    payload = payload.removesuffix(b"\x00\x00\xff\xff")
    transport.feed(peer_frame(websocket._core.role, Opcode.BINARY, payload, rsv=0x40) * 32)
    # A part of the read is dealt with, and the rest of it in turns of the loop.
    at_once = len(listener.sizes)
    assert 0 < at_once < 8
    assert not transport.is_reading()
    await asyncio.sleep(0)
    assert at_once < len(listener.sizes) < 16
    await pass_time(1)
    assert listener.sizes == [2**20] * 32
    assert transport.is_reading()
    websocket.abort()
