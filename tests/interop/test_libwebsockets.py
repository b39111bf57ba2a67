"""Our client with the test server of libwebsockets.

Debian builds it without extensions: it declines compression, whichever size is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import rfc6455
from tests.helpers import async_test
from tests.programs import free_port

from .support import send_in_fragments

pytestmark = pytest.mark.libwebsockets


@asynccontextmanager
async def lws_server() -> AsyncIterator[str]:
    port = free_port()
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


async def connect(
    uri: str, subprotocol: str, *extensions: rfc6455.PermessageDeflate
) -> rfc6455.WebSocket:
    """Connects as soon as the server listens; it does not say when that is."""
    while True:
        try:
            return await rfc6455.connect(uri, subprotocols=[subprotocol], extensions=extensions)
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)


@async_test
async def test_messages_are_mirrored() -> None:
    async with lws_server() as uri:
        async with await connect(uri, "lws-mirror-protocol") as websocket:
            assert websocket.subprotocol == "lws-mirror-protocol"
            for message in ("hello", "x" * 125, "y" * 126, "z" * 3000, "hé€😀" * 100):
                await websocket.send(message)
                assert await websocket.recv() == message
        assert websocket.close_code == 1000


@async_test
async def test_fragments_are_mirrored() -> None:
    async with lws_server() as uri:
        websocket = await connect(uri, "lws-mirror-protocol")
        await send_in_fragments(websocket, "hel", "", "lo")
        # It puts nothing together: each fragment comes back as a message.
        assert [await websocket.recv() for _ in range(3)] == ["hel", "", "lo"]
        await websocket.close(4000, "done")
        assert websocket.close_code == 4000


@async_test
async def test_binary_messages_come_back_as_text() -> None:
    async with lws_server() as uri, await connect(uri, "lws-mirror-protocol") as websocket:
        for message in (b"hello", "hé€😀".encode() * 100):
            await websocket.send(message)
            assert await websocket.recv() == message.decode()


@async_test
async def test_a_stream_of_messages_and_a_ping() -> None:
    async with lws_server() as uri:
        async with await connect(uri, "dumb-increment-protocol") as websocket:
            assert [await websocket.recv() for _ in range(5)] == ["0", "1", "2", "3", "4"]
            assert await websocket.ping() >= 0
        assert websocket.close_code == 1000


@async_test
async def test_it_closes() -> None:
    async with lws_server() as uri:
        websocket = await connect(uri, "dumb-increment-protocol")
        await websocket.send("closeme\n")
        async for message in websocket:
            assert str(message).isdigit()
        assert (websocket.close_code, websocket.close_reason) == (1001, "seeya")


@pytest.mark.parametrize("bits", range(8, 16))
@async_test
async def test_it_declines_compression(bits: int) -> None:
    deflate = rfc6455.PermessageDeflate(threshold=0, window_bits=bits, peer_window_bits=bits)
    async with (
        lws_server() as uri,
        await connect(uri, "lws-mirror-protocol", deflate) as websocket,
    ):
        assert websocket.response is not None
        assert "Sec-WebSocket-Extensions" not in websocket.response.headers
        await websocket.send("x" * 3000)
        assert await websocket.recv() == "x" * 3000
