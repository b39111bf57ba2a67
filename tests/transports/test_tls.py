"""WebSocket over TLS: the same behaviour, a certificate that is verified, one time limit for all.

Knows a self-signed certificate that openssl makes for the run.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

import pytest

import rfc6455
from rfc6455 import (
    ConnectionClosedError,
    ConnectionClosedOK,
    Limits,
    Request,
    Response,
    WebSocket,
)

from .conftest import TLS
from .support import (
    BAD_FRAME,
    REQUEST,
    RawPeer,
    close,
    dial,
    echo,
    now,
    on_each_loop,
    real_time,
    receive_all,
    serving,
    settle,
    text,
    uri,
    virtual_time,
)


async def dial_tls(server: rfc6455.Server, context: ssl.SSLContext) -> RawPeer:
    host, port = server.sockets[0].getsockname()
    return RawPeer(*await asyncio.open_connection(host, port, ssl=context))


@pytest.mark.clause("W022", "W024", "W072", "W237")
@on_each_loop
async def test_messages_of_all_sizes_are_echoed(tls: TLS) -> None:
    async with (
        serving(echo, ssl=tls.server) as server,
        rfc6455.connect(uri(server, scheme="wss"), ssl=tls.client) as websocket,
    ):
        for message in ("text", b"binary", "", "é" * 70_000, bytes(1 << 20)):
            await websocket.send(message)
            assert await websocket.recv() == message
    assert websocket.close_code == 1000


@on_each_loop
async def test_either_side_may_close(tls: TLS) -> None:
    codes: list[int | None] = []

    async def handler(websocket: WebSocket) -> None:
        if await websocket.recv() == "you":
            await websocket.close(4001, "the server is done")
        else:
            await receive_all(websocket)
            await websocket.wait_closed()
        codes.append(websocket.close_code)

    async with serving(handler, ssl=tls.server) as server:
        address = uri(server, scheme="wss")
        websocket = await rfc6455.connect(address, ssl=tls.client)
        await websocket.send("you")
        with pytest.raises(ConnectionClosedError, match="4001"):
            await websocket.recv()
        await websocket.wait_closed()

        websocket = await rfc6455.connect(address, ssl=tls.client)
        await websocket.send("I")
        await websocket.close(4002)
        assert websocket.close_code == 4002
    assert codes == [4001, 4002]


@on_each_loop
async def test_the_end_of_the_server_gives_1001(tls: TLS) -> None:
    async with serving(echo, ssl=tls.server) as server:
        websocket = await rfc6455.connect(uri(server, scheme="wss"), ssl=tls.client)
        receiver = asyncio.create_task(websocket.recv())
    with pytest.raises(ConnectionClosedOK):
        await receiver
    await websocket.wait_closed()
    assert websocket.close_code == 1001


@on_each_loop
async def test_a_bad_frame_is_answered_behind_earlier_replies(tls: TLS) -> None:
    async with serving(echo, ssl=tls.server) as server, await dial_tls(server, tls.client) as peer:
        await peer.upgrade()
        peer.send(text("a") + text("b") + BAD_FRAME)
        assert [await peer.message(), await peer.message()] == ["a", "b"]
        assert (await peer.close_frame()).code == 1002
        assert await peer.rest() == b""


@on_each_loop
async def test_pages_are_served(tls: TLS) -> None:
    def process_request(request: Request) -> Response:
        return Response(body=bytes(300_000))

    async with (
        serving(echo, ssl=tls.server, process_request=process_request) as server,
        await dial_tls(server, tls.client) as peer,
    ):
        peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert len((await peer.answer())[2]) == 300_000


@on_each_loop
async def test_a_slow_reader_makes_send_wait(tls: TLS) -> None:
    blocked, finished = asyncio.Event(), asyncio.Event()

    async def handler(websocket: WebSocket) -> None:
        for _ in range(1000):
            sending = asyncio.create_task(websocket.send(bytes(100_000)))
            if not (await asyncio.wait([sending], timeout=0))[0]:
                break
        blocked.set()
        await sending
        finished.set()

    async with (
        serving(handler, ssl=tls.server) as server,
        await dial_tls(server, tls.client) as peer,
    ):
        await peer.upgrade()
        await blocked.wait()
        assert not finished.is_set()
        while not finished.is_set():
            await peer.frame()
        peer.send(close())
        await peer.rest()


# Certificates


@pytest.mark.clause("W023", party="client")
@on_each_loop
async def test_an_unknown_certificate_is_refused_by_default(tls: TLS) -> None:
    async with serving(echo, ssl=tls.server) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            await rfc6455.connect(uri(server, scheme="wss"))
        assert server.connections == frozenset()


@real_time
async def test_a_certificate_for_another_name_is_refused(tls: TLS) -> None:
    # The certificate names 127.0.0.1, not 127.0.0.2; both are this machine.
    async with rfc6455.serve(echo, "127.0.0.2", 0, ssl=tls.server) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
            await rfc6455.connect(f"wss://127.0.0.2:{port}/", ssl=tls.client)


@pytest.mark.clause("W025", party="client")
@real_time
async def test_the_name_is_sent_to_the_server(tls: TLS) -> None:
    names: list[Any] = []
    tls.server.sni_callback = lambda ssl_object, name, context: names.append(name)
    async with serving(echo, ssl=tls.server) as server:
        port = server.sockets[0].getsockname()[1]
        async with rfc6455.connect(f"wss://localhost:{port}/", ssl=tls.client):
            pass
    assert names == ["localhost"]


# Who does not speak TLS


@pytest.mark.clause("W072", "W201", party="server")
@pytest.mark.parametrize("data", [REQUEST, b"\x16\x03\x01", b"", b"\x00" * 1000])
@virtual_time
async def test_a_client_that_does_not_finish_the_handshake_is_dropped_in_time(
    data: bytes, tls: TLS
) -> None:
    async with serving(echo, ssl=tls.server, limits=Limits(open_timeout=10)) as server:
        async with await dial(server) as peer:
            peer.send(data)
            assert b"HTTP" not in await peer.rest()
        assert now() <= 10.001
        await settle()
        assert server._incoming == set()


@virtual_time
async def test_one_time_limit_holds_for_tls_and_request_together(tls: TLS) -> None:
    async with serving(echo, ssl=tls.server, limits=Limits(open_timeout=10)) as server:
        sock = socket.socket(server.sockets[0].family, socket.SOCK_STREAM)
        sock.connect(server.sockets[0].getsockname())
        sock.setblocking(False)
        # The server has accepted, and waits for TLS.
        await asyncio.sleep(8)
        reader, writer = await asyncio.open_connection(
            sock=sock, ssl=tls.client, server_hostname="localhost"
        )
        async with RawPeer(reader, writer) as peer:
            assert (await peer.answer())[0] == 408
    assert now() == pytest.approx(10, abs=0.01)


@virtual_time
async def test_what_comes_before_tls_never_reaches_the_parser(
    tls: TLS, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that sends plain bytes and ends its side at once (CVE-2023-40217)."""
    handled: list[WebSocket] = []

    async def handler(websocket: WebSocket) -> None:
        handled.append(websocket)

    async with serving(handler, ssl=tls.server) as server, await dial(server) as peer:
        peer.send(REQUEST + text("plain"))
        peer.end()
        assert b"HTTP" not in await peer.rest()
    assert handled == []
    assert caplog.records == []


@real_time
async def test_a_client_without_tls_fails_to_connect(tls: TLS) -> None:
    async with serving(echo, ssl=tls.server) as server:
        with pytest.raises((rfc6455.HandshakeError, ConnectionResetError)):
            await rfc6455.connect(uri(server))
