"""`websockets` and `aiohttp`, as clients and as servers, compressed with each window size.

What else they and we do to each other is in ``tests/transports/test_interop.py``.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import aiohttp.web
import pytest
import websockets.asyncio.client
import websockets.asyncio.server
import websockets.exceptions
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)

import rfc6455
from rfc6455 import PermessageDeflate
from tests.helpers import async_test
from tests.transports.support import serving, uri

from .support import CLOSE, FRAGMENTS, REPETITIVE, answer, send_in_fragments

each_takeover = pytest.mark.parametrize("takeover", [True, False], ids=["takeover", "no takeover"])

# zlib, which they use as it is, cannot compress with a window of 8 bits; it can inflate.
each_size = pytest.mark.parametrize(
    ("ours", "theirs"), [(bits, max(bits, 9)) for bits in range(8, 16)]
)


def deflate(ours: int, theirs: int, takeover: bool = True) -> PermessageDeflate:
    return PermessageDeflate(
        threshold=0,
        window_bits=ours,
        peer_window_bits=theirs,
        context_takeover=takeover,
        peer_context_takeover=takeover,
    )


def agreed(header: str | None, ours: str, own_bits: int, bits: int, takeover: bool) -> None:
    """Checks an answer: what it says of our side (``client`` or ``server``), and of theirs."""
    assert header is not None
    parameters = [parameter.strip() for parameter in header.split(";")]
    assert parameters.pop(0) == "permessage-deflate"
    theirs = {"client": "server", "server": "client"}[ours]
    for side, size in ((ours, own_bits), (theirs, bits)):
        said = [parameter for parameter in parameters if parameter.startswith(f"{side}_max")]
        # 15 is what holds without the parameter.
        assert said in ([f"{side}_max_window_bits={size}"], [] if size == 15 else None)
        assert (f"{side}_no_context_takeover" in parameters) is not takeover


# Clients of ours


@each_takeover
@each_size
@async_test
async def test_websockets_as_client(ours: int, theirs: int, takeover: bool) -> None:
    async with (
        serving(answer, extensions=[deflate(ours, theirs, takeover)]) as server,
        websockets.asyncio.client.connect(
            uri(server),
            extensions=[ClientPerMessageDeflateFactory(client_max_window_bits=True)],
            proxy=None,
        ) as client,
    ):
        assert client.response is not None
        header = client.response.headers.get("Sec-WebSocket-Extensions")
        agreed(header, "server", ours, theirs, takeover)
        for message in (REPETITIVE, "κόσμε " * 9000, "", REPETITIVE[::-1], REPETITIVE):
            await client.send(message)
            assert await client.recv() == message
        await client.send(["Hel", "", "lo"])
        assert await client.recv() == "Hello"
        await client.send(FRAGMENTS)
        assert await client.recv() == FRAGMENTS
        await client.send(CLOSE)
        await client.wait_closed()
        assert (client.close_code, client.close_reason) == (4321, "as you wish")


@each_size
@async_test
async def test_websockets_as_client_asks_for_sizes(ours: int, theirs: int) -> None:
    factory = ClientPerMessageDeflateFactory(
        server_max_window_bits=ours, client_max_window_bits=theirs
    )
    async with (
        serving(answer, extensions=[deflate(15, 15)]) as server,
        websockets.asyncio.client.connect(uri(server), extensions=[factory], proxy=None) as client,
    ):
        assert client.response is not None
        header = client.response.headers.get("Sec-WebSocket-Extensions")
        agreed(header, "server", ours, theirs, True)
        for message in (REPETITIVE, REPETITIVE):
            await client.send(message)
            assert await client.recv() == message


@each_size
@async_test
async def test_aiohttp_as_client(ours: int, theirs: int) -> None:
    # It asks for one size of ours, from 9 on, and leaves its own to us.
    async with (
        serving(answer, extensions=[deflate(ours, theirs)]) as server,
        aiohttp.ClientSession() as session,
        session.ws_connect(uri(server, scheme="http"), compress=theirs) as client,
    ):
        header = client._response.headers.get("Sec-WebSocket-Extensions")
        agreed(header, "server", ours, theirs, True)
        for message in (REPETITIVE, b"", REPETITIVE[::-1], REPETITIVE):
            await client.send_bytes(message)
            assert await client.receive_bytes() == message
        await client.send_str("κόσμε " * 9000)
        assert await client.receive_str() == "κόσμε " * 9000
        await client.send_str(FRAGMENTS)
        assert await client.receive_str() == FRAGMENTS
        await client.send_str(CLOSE)
        close = await client.receive()
        assert (close.data, close.extra) == (4321, "as you wish")


# Servers for us


async def converse(websocket: rfc6455.WebSocket) -> None:
    """Has every kind of message echoed, and closes."""
    for message in (REPETITIVE, "κόσμε " * 9000, "", b"", REPETITIVE[::-1], REPETITIVE):
        await websocket.send(message)
        assert await websocket.recv() == message
    await send_in_fragments(websocket, "Hel", "", "lo")
    assert await websocket.recv() == "Hello"
    await websocket.close(4322, "done")


@each_takeover
@each_size
@async_test
async def test_websockets_as_server(ours: int, theirs: int, takeover: bool) -> None:
    ended = []

    async def handler(websocket: websockets.asyncio.server.ServerConnection) -> None:
        with contextlib.suppress(websockets.exceptions.ConnectionClosedError):
            async for message in websocket:
                await websocket.send(message)
        ended.append((websocket.close_code, websocket.close_reason))

    factory = ServerPerMessageDeflateFactory(
        server_no_context_takeover=not takeover,
        client_no_context_takeover=not takeover,
        server_max_window_bits=theirs,
        client_max_window_bits=ours,
    )
    async with websockets.asyncio.server.serve(
        handler, "127.0.0.1", 0, extensions=[factory], compression=None
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with rfc6455.connect(
            f"ws://127.0.0.1:{port}", extensions=[deflate(15, 15)]
        ) as websocket:
            assert websocket.response is not None
            header = websocket.response.headers.get("Sec-WebSocket-Extensions")
            agreed(header, "client", ours, theirs, takeover)
            await converse(websocket)
    assert ended == [(4322, "done")]


@contextlib.asynccontextmanager
async def aiohttp_server(ended: list[Any]) -> AsyncIterator[str]:
    async def handle(request: aiohttp.web.Request) -> aiohttp.web.WebSocketResponse:
        websocket = aiohttp.web.WebSocketResponse(compress=True)
        await websocket.prepare(request)
        while not websocket.closed:
            message = await websocket.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                await websocket.send_str(message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                await websocket.send_bytes(message.data)
            else:
                ended.append((message.type, message.data, message.extra))
        return websocket

    application = aiohttp.web.Application()
    application.router.add_get("/", handle)
    runner = aiohttp.web.AppRunner(application)
    await runner.setup()
    try:
        site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@each_size
@async_test
async def test_aiohttp_as_server(ours: int, theirs: int) -> None:
    ended: list[Any] = []
    # It grants any size of its own from 9 on, and never limits ours: we limit ourselves.
    async with (
        aiohttp_server(ended) as address,
        rfc6455.connect(address, extensions=[deflate(ours, theirs)]) as websocket,
    ):
        assert websocket.response is not None
        header = websocket.response.headers.get("Sec-WebSocket-Extensions")
        agreed(header, "client", 15, theirs, True)
        await converse(websocket)
    assert ended == [(aiohttp.WSMsgType.CLOSE, 4322, "done")]
