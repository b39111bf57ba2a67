"""Connecting from a thread, and every way in which that fails, comes later or leads elsewhere.

Knows servers and proxies on asyncio, which run in another thread. What is wrong with an answer is
judged by the sans-IO handshake; here it is proven that the verdict reaches the caller.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import rfc6455
from rfc6455 import Close, HandshakeError, Limits, ProxyError, Role, UsageError
from rfc6455.sync import WebSocket, connect, dialing, unix_connect
from rfc6455.way import Address
from tests.transports import support
from tests.transports.conftest import TLS
from tests.transports.proxies import http_proxy, socks_proxy
from tests.transports.support import RawPeer, accepting, close, scripted_server, text

from .support import Task, in_asyncio, until

Script = Callable[[RawPeer, bytes], Coroutine[Any, Any, None]]


def answering(answer: bytes) -> Script:
    """A script that gives always the same answer."""

    async def script(peer: RawPeer, request: bytes) -> None:
        peer.send(answer)

    return script


def redirecting(location: str) -> Script:
    return answering(
        f"HTTP/1.1 302 X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    )


def check(websocket: WebSocket) -> None:
    """Proves that messages travel both ways."""
    for message in ("text", bytes(range(256)) * 1024):
        websocket.send(message)
        assert websocket.recv() == message


# It works


def test_our_server_on_asyncio_gives_messages_back() -> None:
    with (
        in_asyncio(support.serving(support.echo)) as server,
        connect(support.uri(server)) as websocket,
    ):
        check(websocket)
        assert websocket.ping() >= 0
        assert websocket.request is None
        assert websocket.response is not None
        assert websocket.response.status == 101
        assert websocket.remote_address == server.sockets[0].getsockname()
    assert websocket.close_code == 1000


def test_the_request_has_what_was_asked_for() -> None:
    async def handler(websocket: rfc6455.WebSocket) -> None:
        request = websocket.request
        assert request is not None
        for name in ("Origin", "Sec-WebSocket-Protocol", "Cookie", "User-Agent", "Authorization"):
            await websocket.send(f"{name}: {request.headers.get(name)}")
        await websocket.send(f"{request.path}?{request.query}")

    with (
        in_asyncio(support.serving(handler, subprotocols=["chat", "superchat"])) as server,
        connect(
            support.uri(server, "/a?b=c").replace("//", "//us:pw@"),
            origin="https://example.com",
            subprotocols=["superchat", "chat"],
            additional_headers=[("Cookie", "d=e")],
            user_agent="me/1",
        ) as websocket,
    ):
        assert websocket.subprotocol == "chat"
        assert list(websocket) == [
            "Origin: https://example.com",
            "Sec-WebSocket-Protocol: superchat, chat",
            "Cookie: d=e",
            "User-Agent: me/1",
            "Authorization: Basic dXM6cHc=",
            "/a?b=c",
        ]


def test_what_came_behind_the_answer_is_received() -> None:
    async def script(peer: RawPeer, request: bytes) -> None:
        peer.send(accepting(request) + text("a", Role.CLIENT) + close(role=Role.CLIENT))
        assert await peer.close_frame() == Close(1000)

    with in_asyncio(scripted_server(script)) as address, connect(address) as websocket:
        assert list(websocket) == ["a"]


def test_leaving_the_block_runs_the_closing_handshake() -> None:
    closes: list[Close] = []

    async def script(peer: RawPeer, request: bytes) -> None:
        peer.send(accepting(request))
        closes.append(await peer.close_frame())
        peer.send(close(1011, role=Role.CLIENT))
        peer.end()

    with in_asyncio(scripted_server(script)) as address:
        with pytest.raises(RuntimeError, match="application"), connect(address):
            raise RuntimeError("application")
        assert closes == [Close(1011)]


# The way


def test_by_a_socket_that_is_given() -> None:
    with in_asyncio(support.serving(support.echo)) as server:
        sock = socket.create_connection(server.sockets[0].getsockname())
        with connect("ws://example.com/", sock=sock) as websocket:
            check(websocket)


def test_by_a_unix_domain_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(os.fspath(path))
        with (
            in_asyncio(rfc6455.serve(support.echo, sock=sock)),
            unix_connect(path) as websocket,
        ):
            check(websocket)


def test_by_another_address_than_that_of_the_uri() -> None:
    with in_asyncio(support.serving(support.echo)) as server:
        host, port = server.sockets[0].getsockname()
        with connect(
            "ws://example.com/", host=host, port=port, local_addr=("127.0.0.1", 0)
        ) as websocket:
            check(websocket)


def test_over_tls_with_another_name(tls: TLS) -> None:
    with in_asyncio(support.serving(support.echo, ssl=tls.server)) as server:
        address = support.uri(server, scheme="wss")
        host, port = server.sockets[0].getsockname()
        with connect(address, ssl=tls.client) as websocket:
            check(websocket)
        with pytest.raises(OSError, match=r"(?i)certificate"):
            connect(address).open()
        with pytest.raises(OSError, match=r"(?i)mismatch"):
            connect("wss://example.com/", host=host, port=port, ssl=tls.client).open()
        with connect(
            "wss://example.com/",
            host=host,
            port=port,
            ssl=tls.client,
            server_hostname="localhost",
        ) as websocket:
            check(websocket)


@pytest.mark.parametrize("secure_server", [False, True], ids=["ws", "wss"])
@pytest.mark.parametrize("secure_proxy", [False, True], ids=["http", "https"])
def test_by_an_http_proxy(secure_server: bool, secure_proxy: bool, tls: TLS) -> None:
    options = {"ssl": tls.server} if secure_server else {}
    with (
        in_asyncio(support.serving(support.echo, **options)) as server,
        in_asyncio(
            http_proxy(context=tls.server if secure_proxy else None, credentials="us er:pass")
        ) as proxy,
        connect(
            support.uri(server, scheme="wss" if secure_server else "ws"),
            ssl=tls.client if secure_server else None,
            proxy=f"http{'s' * secure_proxy}://us%20er:pass@{proxy.address}",
            proxy_ssl=tls.client,
            additional_headers=[("Cookie", "a=b")],
        ) as websocket,
    ):
        check(websocket)
        for message in (bytes(1 << 20), "x" * 100_000):
            sender = Task(websocket.send, message)
            assert websocket.recv() == message
            sender.result()
        host, port = server.sockets[0].getsockname()
        assert proxy.asked == [f"{host}:{port}"]
        assert b"Cookie" not in proxy.heads[0]
        assert (b"Cookie" in proxy.through) is not secure_server


@pytest.mark.parametrize("scheme", ["socks4", "socks4a", "socks5", "socks5h"])
def test_by_a_socks_proxy(scheme: str) -> None:
    with (
        in_asyncio(support.serving(support.echo)) as server,
        in_asyncio(socks_proxy()) as proxy,
        connect(support.uri(server), proxy=f"{scheme}://{proxy.address}") as websocket,
    ):
        check(websocket)
        assert len(proxy.asked) == 1


def test_a_proxy_that_refuses() -> None:
    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 X\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def proxy() -> asyncio.Server:
        return await asyncio.start_server(ask, "127.0.0.1", 0)

    with in_asyncio(_Awaited(proxy)) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ProxyError, match="credentials") as caught:
            connect("ws://example.com/", proxy=f"http://127.0.0.1:{port}").open()
        assert caught.value.status == 407


class _Awaited:
    """A server of asyncio as a context that begins when it is entered."""

    def __init__(self, make: Callable[[], Coroutine[Any, Any, asyncio.Server]]) -> None:
        self._make = make

    async def __aenter__(self) -> asyncio.Server:
        self._server = await self._make()
        return self._server

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()


def test_a_proxy_that_is_not_there() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        for scheme in ("http", "socks5"):
            with pytest.raises(ConnectionRefusedError):
                connect(
                    "ws://example.com/", proxy=f"{scheme}://127.0.0.1:{sock.getsockname()[1]}"
                ).open()


# Several addresses


def at(port: int, host: str = "127.0.0.1") -> Address:
    return Address(socket.AF_INET, (host, port))


def test_the_first_address_that_answers_is_taken() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as good,
        socket.socket() as refusing,
        socket.socket() as full,
    ):
        refusing.bind(("127.0.0.1", 0))
        # A backlog that is full does not answer: as behind a router that drops packets.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        stuck = [socket.socket() for _ in range(3)]
        for sock in stuck:
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        ports = [s.getsockname()[1] for s in (full, refusing, good)]
        with dialing.open_socket([at(p) for p in ports], None, delay=0.01) as sock:
            assert sock.getpeername() == good.getsockname()
        for sock in stuck:
            sock.close()


def test_the_error_of_the_first_address_is_raised() -> None:
    with socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))
        port = refusing.getsockname()[1]
        with pytest.raises(ConnectionRefusedError) as caught:
            dialing.open_socket([at(port), at(port, "127.0.0.2")], None)
        assert "127.0.0.1" in str(caught.value)
        assert "127.0.0.2" in caught.value.__notes__[0]
        with pytest.raises(OSError, match="no local address"):
            dialing.open_socket([at(port)], None, local_addr=("::1", 0))


def test_handshakes_with_one_address_take_turns() -> None:
    asked: list[bytes] = []
    go_on = threading.Event()

    async def script(peer: RawPeer, request: bytes) -> None:
        asked.append(request)
        await asyncio.get_running_loop().run_in_executor(None, go_on.wait, 10)
        peer.send(accepting(request))
        await peer.close_frame()
        peer.send(close(role=Role.CLIENT))

    def open_and_close(one_at_a_time: bool) -> None:
        with connect(address, one_at_a_time=one_at_a_time):
            pass

    with in_asyncio(scripted_server(script)) as address:
        first = Task(open_and_close, True)
        until(lambda: len(asked) == 1)
        waiting = Task(open_and_close, True)
        second = Task(open_and_close, False)
        until(lambda: len(asked) == 2)
        go_on.set()
        for task in (first, second, waiting):
            task.result()
        assert len(asked) == 3


def test_waiting_for_a_turn_moves_the_deadline() -> None:
    place = ("192.0.2.1", 80)
    waits = threading.Event()

    def take_turn() -> float | None:
        waits.set()
        with dialing.turn([place], 100.0) as deadline:
            return deadline

    with dialing.turn([place], None) as deadline:
        assert deadline is None
        task = Task(take_turn)
        waits.wait(60)
        began = time.monotonic()
        until(lambda: time.monotonic() > began)
    later = task.result()
    assert later is not None
    assert later > 100


# Redirects


def test_a_redirect_is_followed_without_secrets() -> None:
    seen: list[rfc6455.Request] = []

    async def handler(websocket: rfc6455.WebSocket) -> None:
        assert websocket.request is not None
        seen.append(websocket.request)
        await support.echo(websocket)

    with (
        in_asyncio(support.serving(handler)) as server,
        in_asyncio(scripted_server(redirecting(support.uri(server, "/there")))) as address,
        connect(address, additional_headers=[("Cookie", "a=b"), ("X-Own", "kept")]) as websocket,
    ):
        check(websocket)
    (request,) = seen
    assert request.path == "/there"
    assert "Cookie" not in request.headers
    assert request.headers["X-Own"] == "kept"


def test_redirects_are_bounded() -> None:
    with in_asyncio(scripted_server(redirecting("/again"))) as address:
        with pytest.raises(HandshakeError, match="more than 5"):
            connect(address).open()
        with pytest.raises(HandshakeError, match="302") as caught:
            connect(address, max_redirects=0).open()
        assert caught.value.status == 302


# Failures


@pytest.mark.parametrize("address", ["http://localhost/", "ws:///", "ws://localhost/#fragment", ""])
def test_other_uris_are_refused(address: str) -> None:
    with pytest.raises(UsageError):
        connect(address)


@pytest.mark.parametrize(
    "options",
    [
        {"subprotocols": ["a", "a"]},
        {"additional_headers": [("Host", "twice")]},
        {"origin": "https://example.com\r\nInjected: b"},
        {"path": "/socket", "host": "localhost"},
        {"server_hostname": "localhost"},
    ],
)
def test_arguments_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        connect("ws://localhost/", **options)


def test_nobody_listens() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            connect(f"ws://127.0.0.1:{sock.getsockname()[1]}/").open()


@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_another_status_is_an_error_that_tells_it(status: int) -> None:
    answer = b"HTTP/1.1 %d X\r\nContent-Length: 2\r\nX-Y: z\r\n\r\nno" % status
    with (
        in_asyncio(scripted_server(answering(answer))) as address,
        pytest.raises(HandshakeError, match=str(status)) as caught,
    ):
        connect(address).open()
    assert (caught.value.status, caught.value.body) == (status, b"no")
    assert ("X-Y", "z") in caught.value.headers


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 101 Swit", b"SSH-2.0-x\r\n"])
def test_a_server_that_hangs_up(answer: bytes) -> None:
    with (
        in_asyncio(scripted_server(answering(answer))) as address,
        pytest.raises((HandshakeError, ConnectionResetError)),
    ):
        connect(address).open()


def test_a_server_that_drips_does_not_extend_the_time(tls: TLS) -> None:
    async def script(peer: RawPeer, request: bytes) -> None:
        for octet in itertools.cycle(b"HTTP/1.1 101 Switching Protocols\r\nA: "):
            peer.send(bytes([octet]))
            await asyncio.sleep(0.002)

    with in_asyncio(scripted_server(script)) as address:
        with pytest.raises(TimeoutError):
            connect(address, limits=Limits(open_timeout=0.05)).open()
        # In the handshake of TLS, the server waits for the head of a request.
        with pytest.raises(TimeoutError):
            connect(
                address.replace("ws:", "wss:"), ssl=tls.client, limits=Limits(open_timeout=0.05)
            ).open()


# Again and again


def test_iteration_connects_again_when_the_connection_has_ended() -> None:
    async def handler(websocket: rfc6455.WebSocket) -> None:
        await websocket.send("hello")

    received = []
    with in_asyncio(support.serving(handler)) as server:
        for websocket in connect(support.uri(server), backoff=lambda: itertools.repeat(0.0)):
            received += list(websocket)
            if len(received) == 3:
                break
    assert received == ["hello"] * 3


def test_iteration_tries_again_after_errors_of_the_network() -> None:
    attempts = iter([b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n", b""])

    async def script(peer: RawPeer, request: bytes) -> None:
        if (answer := next(attempts, None)) is not None:
            peer.send(answer)
            return
        peer.send(accepting(request) + text("at last", Role.CLIENT) + close(role=Role.CLIENT))
        assert await peer.close_frame() == Close(1000)

    with in_asyncio(scripted_server(script)) as address:
        for websocket in connect(address, backoff=lambda: itertools.repeat(0.0)):
            assert websocket.recv() == "at last"
            break


def test_iteration_raises_what_would_fail_again() -> None:
    answer = b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n"
    with (
        in_asyncio(scripted_server(answering(answer))) as address,
        pytest.raises(HandshakeError, match="404"),
    ):
        next(iter(connect(address)))


def test_iteration_gives_up_when_the_delays_run_out() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = f"ws://127.0.0.1:{sock.getsockname()[1]}/"
        delays: list[float] = [0.0, 0.0]
        with pytest.raises(ConnectionRefusedError):
            next(iter(connect(address, backoff=lambda: delays)))


def test_a_socket_that_was_given_is_closed_when_there_is_no_connection() -> None:
    unconnected = socket.socket()
    with pytest.raises(OSError, match=r"."):
        connect("ws://localhost/", sock=unconnected).open()
    assert unconnected.fileno() == -1
    ours, theirs = socket.socketpair()
    with theirs:
        refused = Task(connect("ws://localhost/", sock=ours).open)
        theirs.sendall(b"HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(HandshakeError):
            refused.result()
    assert ours.fileno() == -1


def test_a_socket_that_was_given_cannot_be_connected_again() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(UsageError, match="socket"):
        iter(connect("ws://localhost/", sock=ours))
