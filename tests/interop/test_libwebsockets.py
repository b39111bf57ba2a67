"""Our client with the test server of libwebsockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import rfc6455
from tests.helpers import async_test

pytestmark = pytest.mark.libwebsockets


@asynccontextmanager
async def lws_server() -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *("libwebsockets-test-server", "-p", str(port), "-i", "lo"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield f"ws://127.0.0.1:{port}/"
    finally:
        process.terminate()
        await process.communicate()


async def connect(uri: str, subprotocol: str) -> rfc6455.WebSocket:
    """Connects as soon as the server listens; it does not say when that is."""
    while True:
        try:
            return await rfc6455.connect(uri, subprotocols=[subprotocol])
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)


@async_test
async def test_messages_are_mirrored() -> None:
    async with lws_server() as uri:
        async with await connect(uri, "lws-mirror-protocol") as websocket:
            assert websocket.subprotocol == "lws-mirror-protocol"
            for text in ("hello", "x" * 125, "y" * 126, "z" * 3000):
                await websocket.send(text)
                assert await websocket.recv() == text
        assert websocket.close_code == 1000


@async_test
async def test_a_stream_of_messages_and_a_ping() -> None:
    async with lws_server() as uri:
        async with await connect(uri, "dumb-increment-protocol") as websocket:
            assert [await websocket.recv() for _ in range(5)] == ["0", "1", "2", "3", "4"]
            assert await websocket.ping() >= 0
        assert websocket.close_code == 1000
