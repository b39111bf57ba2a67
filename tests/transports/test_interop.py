"""Other people's clients with our server, and our client with other people's servers.

Knows `websockets` and `aiohttp`, over real sockets, with and without permessage-deflate.
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

import rfc6455
from rfc6455 import ConnectionClosedError, PermessageDeflate, WebSocket

from .support import echo, on_each_loop, receive_all, serving, uri

MESSAGES: tuple[str | bytes, ...] = (
    "text",
    b"binary",
    "",
    b"",
    "κόσμε " * 1000,
    bytes(range(256)) * 2000,
    "x" * 125,
    "x" * 126,
    b"x" * 65535,
    b"x" * 65536,
)

compressed = pytest.mark.parametrize("compress", [False, True], ids=["plain", "deflate"])


def extensions(compress: bool) -> list[PermessageDeflate]:
    return [PermessageDeflate(threshold=0)] if compress else []


def uses_deflate(websocket: WebSocket) -> bool:
    return bool(websocket._core.extensions)


# `websockets` as the client


@contextlib.asynccontextmanager
async def websockets_client(
    server: rfc6455.Server, compress: bool, **options: Any
) -> AsyncIterator[websockets.asyncio.client.ClientConnection]:
    async with websockets.asyncio.client.connect(
        uri(server), compression="deflate" if compress else None, proxy=None, **options
    ) as websocket:
        yield websocket


@compressed
@on_each_loop
async def test_websockets_client_gets_its_messages_back(compress: bool) -> None:
    in_use: list[bool] = []

    async def handler(websocket: WebSocket) -> None:
        in_use.append(uses_deflate(websocket))
        await echo(websocket)

    async with (
        serving(handler, extensions=extensions(compress)) as server,
        websockets_client(server, compress) as client,
    ):
        for message in MESSAGES * 2:
            await client.send(message)
            assert await client.recv() == message
    assert in_use == [compress]


@compressed
@on_each_loop
async def test_websockets_client_sends_fragments(compress: bool) -> None:
    async with (
        serving(echo, extensions=extensions(compress)) as server,
        websockets_client(server, compress) as client,
    ):
        await client.send(["Hel", "", "lo ", "κόσμε"])
        assert await client.recv() == "Hello κόσμε"
        await client.send([b"", bytes(70_000), b"end"])
        assert await client.recv() == bytes(70_000) + b"end"


@compressed
@on_each_loop
async def test_websockets_client_and_our_server_ping_each_other(compress: bool) -> None:
    latencies: list[float] = []

    async def handler(websocket: WebSocket) -> None:
        latencies.append(await websocket.ping())
        latencies.append(await websocket.ping(b"payload"))
        await echo(websocket)

    async with (
        serving(handler, extensions=extensions(compress)) as server,
        websockets_client(server, compress) as client,
    ):
        await (await client.ping())
        await client.send("done")
        assert await client.recv() == "done"
    assert len(latencies) == 2


@compressed
@on_each_loop
async def test_websockets_client_closes(compress: bool) -> None:
    ended: list[tuple[int | None, str]] = []

    async def handler(websocket: WebSocket) -> None:
        await receive_all(websocket)
        await websocket.wait_closed()
        ended.append((websocket.close_code, websocket.close_reason))

    async with serving(handler, extensions=extensions(compress)) as server:
        async with websockets_client(server, compress) as client:
            await client.send("x")
            await client.close(4321, "the client is done")
        assert client.close_code == 4321
    assert ended == [(4321, "the client is done")]


@compressed
@on_each_loop
async def test_our_server_closes_a_websockets_client(compress: bool) -> None:
    ended: list[int | None] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.send("last")
        await websocket.close(4321, "the server is done")
        ended.append(websocket.close_code)

    async with (
        serving(handler, extensions=extensions(compress)) as server,
        websockets_client(server, compress) as client,
    ):
        assert await client.recv() == "last"
        with pytest.raises(websockets.exceptions.ConnectionClosedError):
            await client.recv()
        assert (client.close_code, client.close_reason) == (4321, "the server is done")
    assert ended == [4321]


@on_each_loop
async def test_websockets_client_agrees_on_a_subprotocol() -> None:
    async with (
        serving(echo, subprotocols=["b", "a"]) as server,
        websockets_client(server, False, subprotocols=["a", "b"]) as client,
    ):
        assert client.subprotocol == "b"


@on_each_loop
async def test_websockets_client_is_refused() -> None:
    async with serving(echo, origins=["https://example.com"]) as server:
        with pytest.raises(websockets.exceptions.InvalidStatus, match="403"):
            async with websockets_client(server, False):
                pass


# `aiohttp` as the client


@contextlib.asynccontextmanager
async def aiohttp_client(
    server: rfc6455.Server, compress: bool, **options: Any
) -> AsyncIterator[aiohttp.ClientWebSocketResponse[Any]]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            uri(server, scheme="http"), compress=15 if compress else 0, **options
        ) as websocket,
    ):
        yield websocket


@compressed
@on_each_loop
async def test_aiohttp_client_gets_its_messages_back(compress: bool) -> None:
    in_use: list[bool] = []

    async def handler(websocket: WebSocket) -> None:
        in_use.append(uses_deflate(websocket))
        await echo(websocket)

    async with (
        serving(handler, extensions=extensions(compress)) as server,
        aiohttp_client(server, compress) as client,
    ):
        for message in MESSAGES * 2:
            if isinstance(message, str):
                await client.send_str(message)
            else:
                await client.send_bytes(message)
            assert (await client.receive()).data == message
    assert in_use == [compress]


@compressed
@on_each_loop
async def test_aiohttp_client_pings(compress: bool) -> None:
    async with (
        serving(echo, extensions=extensions(compress)) as server,
        aiohttp_client(server, compress, autoping=False) as client,
    ):
        await client.ping(b"payload")
        answer = await client.receive()
        assert (answer.type, bytes(answer.data)) == (aiohttp.WSMsgType.PONG, b"payload")


@compressed
@on_each_loop
async def test_aiohttp_client_closes(compress: bool) -> None:
    ended: list[tuple[int | None, str]] = []

    async def handler(websocket: WebSocket) -> None:
        await receive_all(websocket)
        await websocket.wait_closed()
        ended.append((websocket.close_code, websocket.close_reason))

    async with (
        serving(handler, extensions=extensions(compress)) as server,
        aiohttp_client(server, compress) as client,
    ):
        await client.send_str("x")
        await client.close(code=4321, message=b"the client is done")
        assert client.close_code == 4321
    assert ended == [(4321, "the client is done")]


@compressed
@on_each_loop
async def test_our_server_closes_an_aiohttp_client(compress: bool) -> None:
    ended: list[int | None] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.send("last")
        await websocket.close(4321, "the server is done")
        ended.append(websocket.close_code)

    async with (
        serving(handler, extensions=extensions(compress)) as server,
        aiohttp_client(server, compress) as client,
    ):
        assert (await client.receive()).data == "last"
        message = await client.receive()
        assert (message.data, message.extra) == (4321, "the server is done")
    # aiohttp answers every Close with 1000.
    assert ended == [1000]


@on_each_loop
async def test_aiohttp_client_gets_pages_from_our_server() -> None:
    def process_request(request: rfc6455.Request) -> rfc6455.Response:
        return rfc6455.Response(body=request.body or b"page")

    async with (
        serving(echo, process_request=process_request) as server,
        aiohttp.ClientSession() as session,
    ):
        for _ in range(3):
            async with session.get(uri(server, scheme="http")) as response:
                assert await response.read() == b"page"
        async with session.head(uri(server, scheme="http")) as response:
            assert response.headers["Content-Length"] == "4"
        async with session.post(uri(server, scheme="http"), data=b"x" * 60_000) as response:
            assert await response.read() == b"x" * 60_000


# `websockets` as the server


@contextlib.asynccontextmanager
async def websockets_server(handler: Any, compress: bool) -> AsyncIterator[str]:
    async with websockets.asyncio.server.serve(
        handler, "127.0.0.1", 0, compression="deflate" if compress else None
    ) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"


@compressed
@on_each_loop
async def test_our_client_gets_its_messages_back_from_websockets(compress: bool) -> None:
    async def handler(websocket: websockets.asyncio.server.ServerConnection) -> None:
        async for message in websocket:
            await websocket.send(message)

    async with (
        websockets_server(handler, compress) as address,
        rfc6455.connect(address, extensions=extensions(compress)) as websocket,
    ):
        assert uses_deflate(websocket) is compress
        for message in MESSAGES * 2:
            await websocket.send(message)
            assert await websocket.recv() == message
        await websocket.ping()
    assert websocket.close_code == 1000


@compressed
@on_each_loop
async def test_our_client_gets_fragments_from_websockets(compress: bool) -> None:
    async def handler(websocket: websockets.asyncio.server.ServerConnection) -> None:
        await websocket.send(["Hel", "", "lo ", "κόσμε"])
        await (await websocket.ping())
        await websocket.send([b"", bytes(70_000), b"end"])

    async with (
        websockets_server(handler, compress) as address,
        rfc6455.connect(address, extensions=extensions(compress)) as websocket,
    ):
        messages = [message async for message in websocket]
    assert messages == ["Hello κόσμε", bytes(70_000) + b"end"]
    assert websocket.close_code == 1000


@compressed
@on_each_loop
async def test_either_side_closes_with_websockets_as_the_server(compress: bool) -> None:
    ended: list[int | None] = []

    async def handler(websocket: websockets.asyncio.server.ServerConnection) -> None:
        if await websocket.recv() == "you":
            await websocket.close(4321, "the server is done")
        else:
            await websocket.wait_closed()
        ended.append(websocket.close_code)

    async with websockets_server(handler, compress) as address:
        websocket = await rfc6455.connect(address, extensions=extensions(compress))
        await websocket.send("you")
        with pytest.raises(ConnectionClosedError):
            await websocket.recv()
        await websocket.wait_closed()
        assert (websocket.close_code, websocket.close_reason) == (4321, "the server is done")

        websocket = await rfc6455.connect(address, extensions=extensions(compress))
        await websocket.send("I")
        await websocket.close(4322, "the client is done")
        assert websocket.close_code == 4322
    assert ended == [4321, 4322]


# `aiohttp` as the server


@contextlib.asynccontextmanager
async def aiohttp_server(handler: Any, compress: bool) -> AsyncIterator[str]:
    async def answer(request: aiohttp.web.Request) -> aiohttp.web.WebSocketResponse:
        websocket = aiohttp.web.WebSocketResponse(compress=compress)
        await websocket.prepare(request)
        await handler(websocket)
        return websocket

    application = aiohttp.web.Application()
    application.router.add_get("/", answer)
    runner = aiohttp.web.AppRunner(application)
    await runner.setup()
    try:
        site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@compressed
@on_each_loop
async def test_our_client_gets_its_messages_back_from_aiohttp(compress: bool) -> None:
    async def handler(websocket: aiohttp.web.WebSocketResponse) -> None:
        async for message in websocket:
            if message.type is aiohttp.WSMsgType.TEXT:
                await websocket.send_str(message.data)
            else:
                await websocket.send_bytes(message.data)

    async with (
        aiohttp_server(handler, compress) as address,
        rfc6455.connect(address, extensions=extensions(compress)) as websocket,
    ):
        assert uses_deflate(websocket) is compress
        for message in MESSAGES * 2:
            await websocket.send(message)
            assert await websocket.recv() == message
        await websocket.ping()
    assert websocket.close_code == 1000


@compressed
@on_each_loop
async def test_either_side_closes_with_aiohttp_as_the_server(compress: bool) -> None:
    ended: list[int | None] = []

    async def handler(websocket: aiohttp.web.WebSocketResponse) -> None:
        if (await websocket.receive()).data == "you":
            await websocket.close(code=4321, message=b"the server is done")
        else:
            await websocket.receive()
        ended.append(websocket.close_code)

    async with aiohttp_server(handler, compress) as address:
        websocket = await rfc6455.connect(address, extensions=extensions(compress))
        await websocket.send("you")
        with pytest.raises(ConnectionClosedError):
            await websocket.recv()
        await websocket.wait_closed()
        assert (websocket.close_code, websocket.close_reason) == (4321, "the server is done")

        websocket = await rfc6455.connect(address, extensions=extensions(compress))
        await websocket.send("I")
        await websocket.close(4322)
        # aiohttp answers every Close with 1000.
        assert websocket.close_code == 1000
    assert ended == [4321, 4322]
