"""What users of WebSocket libraries ask for most, where no other test shows it whole.

Each of these is a complaint about other libraries; ``docs/comparison.md`` lists them all, with the
tests that show them here. Knows real sockets and the clients of `websockets`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Sequence

import pytest
import websockets.asyncio.client
import websockets.exceptions

import rfc6455
from rfc6455 import ConnectionClosedError, HandshakeError, Limits, Request, WebSocket

from .support import REQUEST, dial, pass_time, real_time, serving, settle, uri, virtual_time


@real_time
async def test_other_threads_push_and_broadcast_through_the_loop() -> None:
    loop = asyncio.get_running_loop()
    joined: asyncio.Queue[WebSocket] = asyncio.Queue()

    async def handler(websocket: WebSocket) -> None:
        joined.put_nowait(websocket)
        await websocket.wait_closed()

    def work(receivers: list[WebSocket]) -> None:
        for number in range(100):
            loop.call_soon_threadsafe(receivers[0].push, f"to one: {number}")
            loop.call_soon_threadsafe(rfc6455.broadcast, receivers, f"to all: {number}")

    async with (
        serving(handler) as server,
        websockets.asyncio.client.connect(uri(server), proxy=None) as one,
        rfc6455.connect(uri(server)) as other,
    ):
        receivers = [await joined.get(), await joined.get()]
        if receivers[0].remote_address != one.local_address:
            receivers.reverse()
        thread = threading.Thread(target=work, args=(receivers,))
        thread.start()
        for number in range(100):
            assert await one.recv() == f"to one: {number}"
            assert await one.recv() == await other.recv() == f"to all: {number}"
        thread.join()


@real_time
async def test_who_leaves_or_stalls_changes_a_broadcast_for_nobody_else() -> None:
    everybody: set[WebSocket] = set()
    changed = asyncio.Event()
    message = "x" * 100_000

    async def handler(websocket: WebSocket) -> None:
        everybody.add(websocket)
        changed.set()
        try:
            async for _ in websocket:
                raise AssertionError("nobody says anything")
        finally:
            everybody.discard(websocket)
            changed.set()

    async def crowd(size: int) -> None:
        while len(everybody) != size:
            changed.clear()
            await changed.wait()

    limits = Limits(write_timeout=None, close_timeout=0.1)
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(handler, limits=limits))
        healthy = [
            await stack.enter_async_context(
                websockets.asyncio.client.connect(uri(server), proxy=None)
            )
            for _ in range(3)
        ]
        # It reads only when it is told to.
        stalled = await stack.enter_async_context(await dial(server))
        await stalled.upgrade()
        leaving = await websockets.asyncio.client.connect(uri(server), proxy=None)
        await crowd(5)
        all_of_them = list(everybody)
        missed: set[object] = set()
        for number in range(200):
            if number == 100:
                await leaving.close()
                await crowd(4)
            missed.update(rfc6455.broadcast(all_of_them, f"{number} {message}"))
            for client in healthy:
                assert await client.recv() == f"{number} {message}"
            if number < 100:
                assert (await leaving.recv()) == f"{number} {message}"
        # The one that left and the one that stalled, and no other.
        assert len(missed) == 2


@real_time
async def test_a_token_in_the_subprotocol_lets_in_and_is_not_sent_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Browsers can set no header field but this one."""
    caplog.set_level(logging.INFO)

    def admit(request: Request, offered: Sequence[str]) -> str | None:
        if "bearer.SECRET" not in offered:
            raise HandshakeError("who are you?", 401)
        return "chat" if "chat" in offered else None

    async def handler(websocket: WebSocket) -> None:
        await websocket.send("welcome")

    def connect(token: str) -> websockets.asyncio.client.connect:
        subprotocols = [
            websockets.Subprotocol("chat"),
            websockets.Subprotocol(f"bearer.{token}"),
        ]
        return websockets.asyncio.client.connect(uri(server), subprotocols=subprotocols, proxy=None)

    async with serving(handler, select_subprotocol=admit) as server:
        async with connect("SECRET") as client:
            assert client.subprotocol == "chat"
            assert await client.recv() == "welcome"
            assert client.response is not None
            assert "SECRET" not in str(client.response.headers)
        with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
            await connect("WRONG")
        assert refused.value.response.status_code == 401
    assert "SECRET" not in caplog.text
    assert "WRONG" not in caplog.text


@virtual_time
async def test_a_heartbeat_that_fails_says_so_to_sender_receiver_and_observer() -> None:
    errors: list[ConnectionClosedError] = []
    faults: list[str] = []

    class Faults(rfc6455.Observer):
        def fault(self, connection: object, error: rfc6455.ProtocolError) -> None:
            faults.append(str(error))

    async def handler(websocket: WebSocket) -> None:
        with pytest.raises(ConnectionClosedError) as receiving:
            await websocket.recv()
        with pytest.raises(ConnectionClosedError) as sending:
            await websocket.send("anybody?")
        errors.extend((receiving.value, sending.value))

    async with (
        serving(handler, observer=Faults()) as server,
        await dial(server) as peer,
    ):
        await peer.upgrade()
        await pass_time(60)
        assert server.connections == frozenset()
    assert len(errors) == 2
    for error in errors:
        # Nobody closed: the code is 1006. What we said on our way out tells why.
        assert error.code == 1006
        assert str(error.sent) == "1011 internal error 'keepalive ping timeout'"
    assert ["keepalive ping timeout" in fault for fault in faults] == [True]


@virtual_time
async def test_compression_can_be_skipped_for_one_message_of_a_connection() -> None:
    text = "the same again and again, " * 100

    async def handler(websocket: WebSocket) -> None:
        await websocket.send(text)
        await websocket.send(text, compress=False)
        await websocket.send(text)

    async with serving(handler) as server, await dial(server) as peer:
        field = b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        await peer.upgrade(REQUEST.removesuffix(b"\r\n") + field)
        frames = [await peer.frame() for _ in range(3)]
    assert [bool(frame.rsv) for frame in frames] == [True, False, True]
    assert frames[1].payload == text.encode()
    assert len(frames[0].payload) < len(text) / 10


@virtual_time
async def test_a_health_check_of_tcp_alone_logs_nothing_and_keeps_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A load balancer connects and leaves, thousands of times a day."""
    caplog.set_level(logging.DEBUG)

    async def handler(websocket: WebSocket) -> None:
        raise AssertionError("nobody has connected")

    async with serving(handler) as server:
        for leave in ("end", "reset"):
            for _ in range(100):
                async with await dial(server) as peer:
                    getattr(peer, leave)()
                    await settle()
        await pass_time(1)
        assert server.connections == frozenset()
        assert server._incoming == set()
    assert [r for r in caplog.records if r.name.startswith("rfc6455")] == []
