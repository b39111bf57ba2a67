"""Other people's threads with ours: `websockets` in both roles, and `websocket-client`.

Knows real sockets, with and without permessage-deflate.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import websocket as websocket_client
import websockets.exceptions
import websockets.sync.client
import websockets.sync.server

import rfc6455
from rfc6455 import ConnectionClosedError, PermessageDeflate
from rfc6455.sync import Server, WebSocket, connect
from tests.transports import support
from tests.transports.test_interop import MESSAGES

from .support import Task, echo, in_asyncio, serving, uri

compressed = pytest.mark.parametrize("compress", [False, True], ids=["plain", "deflate"])


def extensions(compress: bool) -> list[PermessageDeflate]:
    return [PermessageDeflate(threshold=0)] if compress else []


# Clients of others


@contextlib.contextmanager
def websockets_connection(
    server: Server, compress: bool, **options: Any
) -> Iterator[websockets.sync.client.ClientConnection]:
    compression = "deflate" if compress else None
    with websockets.sync.client.connect(
        uri(server), compression=compression, proxy=None, **options
    ) as connection:
        yield connection


@compressed
def test_websockets_gets_its_messages_back(compress: bool) -> None:
    with (
        serving(echo, extensions=extensions(compress)) as server,
        websockets_connection(server, compress) as client,
    ):
        for message in MESSAGES * 2:
            client.send(message)
            assert client.recv() == message
        client.send(["Hel", "", "lo ", "κόσμε"])
        assert client.recv() == "Hello κόσμε"
        assert client.ping().wait(60)


@compressed
def test_our_server_pings_and_closes_websockets(compress: bool) -> None:
    ended: list[int | None] = []

    def handler(websocket: WebSocket) -> None:
        assert websocket.ping() >= 0
        websocket.send("last")
        websocket.close(4321, "the server is done")
        ended.append(websocket.close_code)

    with (
        serving(handler, extensions=extensions(compress)) as server,
        websockets_connection(server, compress) as client,
    ):
        assert client.recv() == "last"
        with pytest.raises(websockets.exceptions.ConnectionClosedError):
            client.recv()
        assert (client.close_code, client.close_reason) == (4321, "the server is done")
    assert ended == [4321]


def test_websockets_agrees_on_a_subprotocol_and_is_refused() -> None:
    with serving(echo, subprotocols=["b", "a"], origins=[None]) as server:
        with websockets_connection(server, False, subprotocols=["a", "b"]) as client:
            assert client.subprotocol == "b"
        with pytest.raises(websockets.exceptions.InvalidStatus, match="403"):
            websockets_connection(server, False, origin="https://a").__enter__()


def test_websocket_client_gets_its_messages_back() -> None:
    with serving(echo) as server:
        client = websocket_client.create_connection(uri(server))
        for message in MESSAGES:
            if isinstance(message, str):
                client.send(message)
            else:
                client.send_binary(message)
            assert client.recv() == message
        client.close()


# Servers of others


@contextlib.contextmanager
def websockets_server(handler: Any, compress: bool) -> Iterator[str]:
    compression = "deflate" if compress else None
    with websockets.sync.server.serve(handler, "127.0.0.1", 0, compression=compression) as server:
        serving_ = Task(server.serve_forever)
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        server.shutdown()
        serving_.result()


@compressed
def test_websockets_gives_our_messages_back(compress: bool) -> None:
    def handler(connection: websockets.sync.server.ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with (
        websockets_server(handler, compress) as address,
        connect(address, extensions=extensions(compress)) as websocket,
    ):
        for message in MESSAGES * 2:
            websocket.send(message)
            assert websocket.recv() == message
        websocket.send(["Hel", "", "lo ", "κόσμε"])
        assert websocket.recv() == "Hello κόσμε"
        assert websocket.ping() >= 0


@compressed
def test_websockets_sends_fragments_and_closes(compress: bool) -> None:
    def handler(connection: websockets.sync.server.ServerConnection) -> None:
        connection.send([b"", bytes(70_000), b"end"])
        connection.close(4321, "the server is done")

    with websockets_server(handler, compress) as address:
        websocket = connect(address, extensions=extensions(compress)).open()
        assert websocket.recv() == bytes(70_000) + b"end"
        with pytest.raises(ConnectionClosedError) as caught:
            websocket.recv()
        assert (caught.value.code, caught.value.reason) == (4321, "the server is done")
        websocket.wait_closed()


# Ours on asyncio


@compressed
def test_our_client_on_asyncio_with_our_server_of_threads(compress: bool) -> None:
    async def exchange() -> None:
        async with rfc6455.connect(uri(server), extensions=extensions(compress)) as websocket:
            for message in MESSAGES:
                await websocket.send(message)
                assert await websocket.recv() == message
            assert await websocket.ping() >= 0
        assert websocket.close_code == 1000

    with serving(echo, extensions=extensions(compress)) as server:
        asyncio.run(exchange())


@compressed
def test_our_client_of_threads_with_our_server_on_asyncio(compress: bool) -> None:
    with (
        in_asyncio(support.serving(support.echo, extensions=extensions(compress))) as server,
        connect(support.uri(server), extensions=extensions(compress)) as websocket,
    ):
        for message in MESSAGES:
            websocket.send(message)
            assert websocket.recv() == message
    assert websocket.close_code == 1000
