"""Redirects of the opening handshake, between real servers. The policy is ``redirect``'s."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from rfc6455 import (
    HandshakeError,
    Headers,
    Limits,
    Request,
    Response,
    WebSocket,
    connect,
    serve,
    unix_connect,
)
from rfc6455.redirect import MAX_REDIRECTS

from .conftest import TLS
from .support import (
    RawPeer,
    accepting,
    echo,
    now,
    on_each_loop,
    real_time,
    scripted_server,
    serving,
    settle,
    unix_listener,
    uri,
    virtual_time,
)

SECRETS = [("Authorization", "Bearer secret"), ("cookie", "secret"), ("Cookie", "secret")]


@contextlib.asynccontextmanager
async def redirecting(location: str, status: int = 302) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that redirects everything. Yields its URI, and the requests that it got."""
    requests: list[bytes] = []

    async def script(peer: RawPeer, request: bytes) -> None:
        requests.append(request)
        peer.send(
            b"HTTP/1.1 %d X\r\nLocation: %s\r\nContent-Length: 4\r\n\r\npage"
            % (status, location.encode())
        )

    async with scripted_server(script) as address:
        yield address, requests


@contextlib.asynccontextmanager
async def recording() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that accepts everything, and answers a Close by the end."""
    requests: list[bytes] = []

    async def script(peer: RawPeer, request: bytes) -> None:
        requests.append(request)
        peer.send(accepting(request))
        await peer.close_frame()

    async with scripted_server(script) as address:
        yield address, requests


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@on_each_loop
async def test_it_is_followed_to_another_server(status: int) -> None:
    async with serving(echo) as server, redirecting(uri(server, "/b"), status) as (address, asked):
        async with connect(f"{address}a") as websocket:
            await websocket.send("hello")
            assert await websocket.recv() == "hello"
        assert len(asked) == 1


@pytest.mark.parametrize("scheme", ["http", "ws"])
@real_time
async def test_credentials_stay_where_they_belong(scheme: str) -> None:
    async with (
        recording() as (target, got),
        redirecting(target.replace("ws:", f"{scheme}:")) as (address, asked),
        connect(
            address.replace("//", "//user:secret@"),
            additional_headers=[("X-Other", "stays"), *SECRETS[1:]],
            origin="https://example.com",
            subprotocols=["chat"],
        ),
    ):
        pass
    assert b"Authorization: Basic dXNlcjpzZWNyZXQ=\r\n" in asked[0]
    assert b"secret" in asked[0]
    assert b"secret" not in got[0]
    assert b"uthorization" not in got[0]
    assert b"ookie" not in got[0]
    for field in (b"X-Other: stays", b"Origin: https://example.com", b"Protocol: chat"):
        assert field in got[0]


@real_time
async def test_credentials_go_along_on_the_same_server() -> None:
    requests: list[bytes] = []

    async def script(peer: RawPeer, request: bytes) -> None:
        requests.append(request)
        if len(requests) == 1:
            peer.send(b"HTTP/1.1 308 X\r\nLocation: /b?c\r\nContent-Length: 0\r\n\r\n")
        else:
            peer.send(accepting(request))
            await peer.close_frame()

    async with (
        scripted_server(script) as address,
        connect(f"{address}a", additional_headers=SECRETS),
    ):
        pass
    assert requests[1].startswith(b"GET /b?c HTTP/1.1\r\n")
    assert requests[1].count(b"secret") == 3
    keys = [request.split(b"Sec-WebSocket-Key: ")[1][:24] for request in requests]
    assert keys[0] != keys[1]


@real_time
async def test_it_may_lead_to_tls_and_never_back(tls: TLS, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rfc6455.asyncio.client.default_context", lambda: tls.client)
    async with (
        serving(echo, ssl=tls.server) as server,
        redirecting(uri(server, scheme="https")) as (address, _),
        connect(address) as websocket,
    ):
        await websocket.send("hello")
        assert await websocket.recv() == "hello"

    async with recording() as (target, got):

        def process_request(request: Request) -> Response:
            return Response(302, Headers([("Location", target)]))

        async with serving(echo, ssl=tls.server, process_request=process_request) as server:
            with pytest.raises(HandshakeError, match="wss to ws"):
                await connect(uri(server, scheme="wss"), ssl=tls.client)
    assert got == []


@pytest.mark.parametrize("limit", [0, 1, MAX_REDIRECTS])
@virtual_time
async def test_a_loop_ends(limit: int) -> None:
    async with redirecting("/") as (address, asked):
        with pytest.raises(HandshakeError) as caught:
            await connect(address, max_redirects=limit)
    assert len(asked) == limit + 1
    assert caught.value.status == 302
    assert caught.value.body == b"page"
    assert ("redirects" in str(caught.value)) is (limit > 0)


@virtual_time
async def test_one_time_limit_holds_for_all_hops() -> None:
    async def script(peer: RawPeer, request: bytes) -> None:
        await asyncio.sleep(3)
        peer.send(b"HTTP/1.1 302 X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")

    async with scripted_server(script) as address:
        with pytest.raises(TimeoutError):
            await connect(address, limits=Limits(open_timeout=10))
    assert now() == pytest.approx(10, abs=0.01)
    await settle()


@real_time
async def test_where_the_way_was_given_a_redirect_to_elsewhere_is_an_error() -> None:
    async with recording() as (target, got), redirecting(target) as (address, _):
        port = int(address.rstrip("/").rpartition(":")[2])
        for options in ({"host": "127.0.0.1"}, {"port": port}):
            with pytest.raises(HandshakeError, match="another server"):
                await connect(address, **options)
        sock = socket.create_connection(("127.0.0.1", port))
        with pytest.raises(HandshakeError, match="cannot be connected again"):
            await connect(address, sock=sock)
    assert got == []


@real_time
async def test_a_redirect_on_a_unix_socket() -> None:
    locations = iter(["/b", "ws://127.0.0.1:1/"])

    def process_request(request: Request) -> Response | None:
        if request.path == "/b":
            return None
        return Response(302, Headers([("Location", next(locations))]))

    async def handler(websocket: WebSocket) -> None:
        assert websocket.request is not None
        await websocket.send(websocket.request.path)

    with unix_listener() as sock:
        async with serve(handler, sock=sock, process_request=process_request):
            async with unix_connect(sock.getsockname()) as websocket:
                assert await websocket.recv() == "/b"
            with pytest.raises(HandshakeError, match="another server"):
                await unix_connect(sock.getsockname())
