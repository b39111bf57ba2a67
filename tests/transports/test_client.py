"""Connecting to a server, and every way in which that fails.

Knows real sockets and servers that follow a script. What is wrong with an answer is judged by the
sans-IO handshake; here it is proven that the verdict reaches the caller, and that nothing is left.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

import rfc6455
from rfc6455 import Close, HandshakeError, Limits, UsageError, WebSocket

from .support import (
    RawPeer,
    accepting,
    close,
    now,
    on_each_loop,
    real_time,
    scripted_server,
    serving,
    settle,
    text,
    uri,
    virtual_time,
)

CLIENT = rfc6455.Role.CLIENT


def answering(answer: bytes) -> Any:
    """A script that gives always the same answer."""

    async def script(peer: RawPeer, request: bytes) -> None:
        peer.send(answer)

    return script


# It works


@pytest.mark.clause("W019", party="client")
@on_each_loop
async def test_the_request_has_what_was_asked_for() -> None:
    async def handler(websocket: WebSocket) -> None:
        request = websocket.request
        assert request is not None
        for name in ("Host", "Origin", "Sec-WebSocket-Protocol", "Cookie"):
            await websocket.send(f"{name}: {request.headers.get(name)}")
        await websocket.send(f"{request.path}?{request.query}")

    async with (
        serving(handler, subprotocols=["chat", "superchat"]) as server,
        rfc6455.connect(
            uri(server, "/a?b=c"),
            origin="https://example.com",
            subprotocols=["superchat", "chat"],
            additional_headers=[("Cookie", "d=e")],
        ) as websocket,
    ):
        host, port = server.sockets[0].getsockname()
        assert websocket.subprotocol == "chat"
        assert websocket.request is None
        assert websocket.response is not None
        assert websocket.response.status == 101
        assert websocket.remote_address == (host, port)
        assert [message async for message in websocket] == [
            f"Host: {host}:{port}",
            "Origin: https://example.com",
            "Sec-WebSocket-Protocol: superchat, chat",
            "Cookie: d=e",
            "/a?b=c",
        ]


@on_each_loop
async def test_leaving_the_block_runs_the_closing_handshake() -> None:
    closes: list[Close] = []

    async def script(peer: RawPeer, request: bytes) -> None:
        peer.send(accepting(request))
        closes.append(await peer.close_frame())
        peer.send(close(role=CLIENT))
        peer.end()
        assert await peer.rest() == b""

    async with scripted_server(script) as address:
        async with rfc6455.connect(address) as websocket:
            pass
        assert closes == [Close(1000)]
        assert websocket.close_code == 1000


@on_each_loop
async def test_an_error_in_the_block_is_told_to_the_server() -> None:
    codes: list[int | None] = []

    async def handler(websocket: WebSocket) -> None:
        try:
            await websocket.recv()
        finally:
            codes.append(websocket.close_code)

    async with serving(handler) as server:
        with pytest.raises(RuntimeError, match="application"):
            async with rfc6455.connect(uri(server)):
                raise RuntimeError("application")
    assert codes == [1011]


# The arguments


@pytest.mark.parametrize(
    "address", ["http://localhost/", "localhost:80", "ws:///", "ws://localhost/#fragment", ""]
)
def test_other_uris_are_refused(address: str) -> None:
    with pytest.raises(UsageError):
        rfc6455.connect(address)


@pytest.mark.parametrize(
    "options",
    [
        {"subprotocols": ["a", "a"]},
        {"subprotocols": ["a b"]},
        {"additional_headers": [("Host", "twice")]},
        {"additional_headers": [("X", "a\r\nInjected: b")]},
        {"origin": "https://example.com\r\nInjected: b"},
    ],
)
def test_arguments_that_may_not_stand_in_a_request_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        rfc6455.connect("ws://localhost/", **options)


# The server cannot be reached, or refuses


@pytest.mark.clause("W021", party="client")
@on_each_loop
async def test_nobody_listens() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            await rfc6455.connect(f"ws://127.0.0.1:{port}/")


@pytest.mark.parametrize("status", [200, 301, 401, 403, 404, 426, 500, 503])
@real_time
async def test_another_status_is_an_error_that_tells_it(status: int) -> None:
    answer = b"HTTP/1.1 %d X\r\nContent-Length: 2\r\nLocation: /else\r\n\r\nno" % status
    async with scripted_server(answering(answer)) as address:
        with pytest.raises(HandshakeError, match=str(status)) as caught:
            await rfc6455.connect(address)
    assert caught.value.status == status
    assert ("Location", "/else") in caught.value.headers


@pytest.mark.clause("W076", "W232")
@on_each_loop
async def test_our_own_server_refuses() -> None:
    async with serving(lambda websocket: websocket.close(), origins=["https://a"]) as server:
        with pytest.raises(HandshakeError) as caught:
            await rfc6455.connect(uri(server), origin="https://b")
    assert caught.value.status == 403


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ((b"Accept: ", b"Accept: x"), "Sec-WebSocket-Accept"),
        ((b"Sec-WebSocket-Accept", b"X"), "Sec-WebSocket-Accept"),
        ((b"Upgrade: websocket", b"Upgrade: h2c"), "Upgrade"),
        ((b"Connection: Upgrade", b"Connection: close"), "Connection"),
        ((b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: unasked\r\n\r\n"), "subprotocol"),
        ((b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: unasked\r\n\r\n"), "Extensions"),
        ((b"HTTP/1.1", b"HTTP"), "."),
        ((b"101", b"abc"), "."),
    ],
)
@real_time
async def test_an_answer_that_does_not_open_a_websocket(
    change: tuple[bytes, bytes], reason: str
) -> None:
    async def script(peer: RawPeer, request: bytes) -> None:
        peer.send(accepting(request).replace(*change))
        assert await peer.rest() == b""

    async with scripted_server(script) as address:
        with pytest.raises(HandshakeError, match=reason):
            await rfc6455.connect(address)


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 101 Swit", b"HTTP/1.1 101 X\r\n", b"SSH-2.0-x\r\n"]
)
@on_each_loop
async def test_a_server_that_hangs_up(answer: bytes) -> None:
    async with scripted_server(answering(answer)) as address:
        with pytest.raises(HandshakeError):
            await rfc6455.connect(address)


@on_each_loop
async def test_a_server_that_resets() -> None:
    async def script(peer: RawPeer, request: bytes) -> None:
        sock = peer.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        peer.reset()

    async with scripted_server(script) as address:
        with pytest.raises(ConnectionResetError):
            await rfc6455.connect(address)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 101 Switching Protocols\r\n"])
@virtual_time
async def test_a_server_that_does_not_answer_in_time(answer: bytes) -> None:
    async def script(peer: RawPeer, request: bytes) -> None:
        peer.send(answer)
        await peer.rest()

    async with scripted_server(script) as address:
        with pytest.raises(TimeoutError, match=r"ws://127\.0\.0\.1:\d+ within 10 s"):
            await rfc6455.connect(address, limits=Limits(open_timeout=10))
    assert now() == pytest.approx(10)


@virtual_time
async def test_a_server_that_drips_does_not_extend_the_time() -> None:
    async def script(peer: RawPeer, request: bytes) -> None:
        for octet in accepting(request):
            peer.send(bytes([octet]))
            await asyncio.sleep(1)

    async with scripted_server(script) as address:
        with pytest.raises(TimeoutError):
            await rfc6455.connect(address, limits=Limits(open_timeout=10))
    assert now() == pytest.approx(10)


@virtual_time
async def test_a_listener_that_does_not_accept() -> None:
    """The kernel completes TCP's handshake; nobody ever answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with pytest.raises(TimeoutError):
            await rfc6455.connect(f"ws://127.0.0.1:{listener.getsockname()[1]}/")
        await settle()
        connection, _ = listener.accept()
        with connection:
            # Our side of what the kernel had accepted is gone.
            connection.settimeout(5)
            assert connection.recv(65536).startswith(b"GET / HTTP/1.1\r\n")
            assert connection.recv(65536) == b""


# What comes with the answer


@on_each_loop
async def test_messages_in_the_segment_of_the_answer_are_received() -> None:
    async def script(peer: RawPeer, request: bytes) -> None:
        peer.send(accepting(request) + text("early", CLIENT) + close(4000, role=CLIENT))
        peer.end()
        assert await peer.close_frame() == Close(4000)

    async with scripted_server(script) as address:
        websocket = await rfc6455.connect(address)
        assert await websocket.recv() == "early"
        with pytest.raises(rfc6455.ConnectionClosedError):
            await websocket.recv()
        await websocket.wait_closed()
        assert websocket.close_code == 4000


@on_each_loop
async def test_the_answer_may_come_byte_by_byte() -> None:
    async def script(peer: RawPeer, request: bytes) -> None:
        for octet in accepting(request) + text("early", CLIENT):
            peer.send(bytes([octet]))
            await peer.writer.drain()
        await peer.close_frame()

    async with scripted_server(script) as address:
        websocket = await rfc6455.connect(address)
        assert await websocket.recv() == "early"
        websocket.abort()
        await websocket.wait_closed()
