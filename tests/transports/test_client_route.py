"""How a client gets to a server: names and addresses, turns, sockets, TLS, the log.

Knows real sockets; what names mean is made up where a test needs several addresses.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from rfc6455 import (
    HandshakeError,
    Headers,
    Limits,
    ProxyError,
    Request,
    Response,
    UsageError,
    WebSocket,
    connect,
    serve,
    unix_connect,
)
from rfc6455.asyncio import dialing
from rfc6455.asyncio.dialing import open_socket, resolve
from rfc6455.testing import at_every_step, cancel_after
from rfc6455.way import Address, interleave
from tests.hazards.test_sockets_lifecycle import descriptors

from .conftest import TLS
from .proxies import http_proxy, socks_proxy
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


def port_of(address: str) -> int:
    return int(address.rstrip("/").rpartition(":")[2])


# Arguments


@pytest.mark.parametrize(
    ("address", "options"),
    [
        ("ws://h/", {"ssl": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)}),
        ("ws://h/", {"server_hostname": "h"}),
        ("ws://h/", {"path": "/a", "host": "h"}),
        ("ws://h/", {"path": "/a", "port": 1}),
        ("ws://h/", {"path": "/a", "proxy": "http://p"}),
        ("ws://h/", {"path": "/a", "local_addr": ("127.0.0.1", 0)}),
        ("ws://u:p@h/", {"additional_headers": [("Authorization", "x")]}),
        ("ws://u%0A:p@h/", {}),
        ("ws://h/", {"user_agent": "a\r\nb: c"}),
    ],
)
def test_arguments_that_exclude_each_other(address: str, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        connect(address, **options)


def test_a_socket_excludes_the_others() -> None:
    with socket.socket() as sock:
        for options in ({"path": "/a"}, {"host": "h"}, {"proxy": "http://p"}):
            with pytest.raises(UsageError):
                connect("ws://h/", sock=sock, **options)  # type: ignore[arg-type]


# What is sent


@real_time
async def test_the_request_names_the_client_and_its_user() -> None:
    requests: list[Request] = []

    async def handler(websocket: WebSocket) -> None:
        assert websocket.request is not None
        requests.append(websocket.request)

    async with serving(handler) as server:
        for options in ({}, {"user_agent": "mine"}, {"user_agent": None}):
            address = uri(server).replace("//", "//us%20er:pass@")
            async with connect(address, **options):
                pass
    agents = [request.headers.get("User-Agent") for request in requests]
    assert agents[0] is not None
    assert agents[0].startswith("rfc6455/")
    assert agents[1:] == ["mine", None]
    assert {request.headers["Authorization"] for request in requests} == {"Basic dXMgZXI6cGFzcw=="}


@real_time
async def test_a_refusal_comes_with_its_body() -> None:
    def process_request(request: Request) -> Response:
        return Response(403, Headers([("X-Why", "because")]), b"x" * 100_000)

    async with serving(echo, process_request=process_request) as server:
        with pytest.raises(HandshakeError, match="403") as caught:
            await connect(uri(server), limits=Limits(max_body_size=1000))
    assert caught.value.status == 403
    assert ("X-Why", "because") in caught.value.headers
    assert caught.value.body == b"x" * 1000


# Names and addresses


@on_each_loop
async def test_host_and_port_may_be_other_ones(tls: TLS) -> None:
    hosts: list[str] = []

    async def handler(websocket: WebSocket) -> None:
        assert websocket.request is not None
        hosts.append(websocket.request.headers["Host"])

    async with serving(handler, ssl=tls.server) as server:
        host, port = server.sockets[0].getsockname()
        # The certificate is still asked for the name in the URI.
        async with connect("wss://localhost/", host=host, port=port, ssl=tls.client):
            pass
        with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
            await connect("wss://example.com/", host=host, port=port, ssl=tls.client)
        async with connect(
            "wss://example.com/",
            host=host,
            port=port,
            ssl=tls.client,
            server_hostname="localhost",
        ):
            pass
    assert hosts == ["localhost", "example.com"]


@on_each_loop
async def test_the_local_address_may_be_chosen() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.send(websocket.remote_address[0])

    async with serving(handler) as server:
        async with connect(uri(server), local_addr=("127.0.0.9", 0)) as websocket:
            assert await websocket.recv() == "127.0.0.9"
            assert websocket.local_address[0] == "127.0.0.9"
        with pytest.raises(OSError, match="no local address"):
            await connect(uri(server), local_addr=("::1", 0))


@on_each_loop
async def test_small_messages_are_not_held_back() -> None:
    async with serving(echo) as server, http_proxy() as http, socks_proxy() as socks:
        for proxy in (None, http.address, f"socks5://{socks.address}"):
            async with connect(uri(server), proxy=proxy) as websocket:
                sock = websocket._transport.get_extra_info("socket")
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


@real_time
async def test_a_name_without_an_address() -> None:
    with pytest.raises(socket.gaierror):
        await connect("ws://does-not-exist.invalid/")


@real_time
async def test_names_are_looked_up() -> None:
    addresses = await resolve("localhost", 80)
    assert ("127.0.0.1", 80) in [address.place for address in addresses]
    assert (await resolve("::1", 80))[0].place == ("::1", 80)


# Happy eyeballs


def at(port: int, host: str = "127.0.0.1") -> Address:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return Address(family, (host, port))


def full_listener() -> tuple[socket.socket, list[socket.socket]]:
    """A listener that answers nobody: its queue is full. Returns it, and who fills the queue."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = []
    for _ in range(4):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(listener.getsockname())
        waiting.append(sock)
    return listener, waiting


@real_time
async def test_an_address_that_refuses_is_followed_by_the_next() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        addresses = [at(unused.getsockname()[1]), at(listener.getsockname()[1])]
        for delay in (0.25, None):
            with await open_socket(addresses, delay=delay) as sock:
                assert sock.getpeername() == listener.getsockname()


@virtual_time
async def test_an_address_that_does_not_answer_is_joined_by_the_next_in_time() -> None:
    silent, waiting = full_listener()
    before = descriptors()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        addresses = [at(silent.getsockname()[1]), at(listener.getsockname()[1])]
        with await open_socket(addresses, delay=0.25) as sock:
            assert sock.getpeername() == listener.getsockname()
        assert now() == pytest.approx(0.25, abs=0.01)
        # None waits for the first to fail, however long that takes.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await open_socket(addresses, delay=None)
    await settle()
    assert descriptors() == before
    for sock in (silent, *waiting):
        sock.close()


@real_time
async def test_when_all_fail_the_first_error_is_raised_and_the_others_are_told() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(ConnectionRefusedError) as caught:
            await open_socket([at(port), at(port), at(port)])
    assert len(caught.value.__notes__) == 2


@real_time
async def test_errors_are_no_garbage_that_waits_to_be_collected() -> None:
    async def fail() -> None:
        # One address, and two.
        for attempt in (connect("ws://127.0.0.1:1/")._open(), open_socket([at(1), at(1)])):
            with contextlib.suppress(ConnectionRefusedError):
                await attempt

    await fail()
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            await fail()
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_families_take_turns() -> None:
    addresses = [at(1, "::1"), at(2, "::1"), at(3, "::1"), at(4), at(5)]
    ports = [address.place[1] for address in interleave(addresses)]
    assert ports == [1, 4, 2, 5, 3]


@virtual_time
async def test_a_race_cancelled_at_every_step_leaves_nothing() -> None:
    silent, waiting = full_listener()
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        addresses = [at(silent.getsockname()[1]), *[at(listener.getsockname()[1])] * 2]
        before = descriptors()

        async def attempt(count: int) -> asyncio.Task[Any]:
            task = await cancel_after(count, open_socket(addresses, delay=0))
            if not task.cancelled():
                task.result().close()
            await settle()
            gc.collect()
            assert descriptors() == before
            return task

        await at_every_step(attempt)
    for sock in (silent, *waiting):
        sock.close()


# One at a time


class Counting:
    """A server that takes a second for each handshake, and counts how many are under way."""

    seconds = 1.0

    def __init__(self) -> None:
        self.under_way = 0
        self.most = 0

    async def __call__(self, peer: RawPeer, request: bytes) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(self.seconds)
        self.under_way -= 1
        if b"GET /refuse" in request:
            peer.send(b"HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n")
        else:
            peer.send(accepting(request))
            await peer.close_frame()


@pytest.mark.clause("W013", "W014", "W015", party="client")
@virtual_time
async def test_one_handshake_at_a_time_with_an_address() -> None:
    counting = Counting()
    async with scripted_server(counting) as address:
        # Also one that fails makes room for the next.
        paths = ["", "refuse", "", "refuse", ""]
        results = await asyncio.gather(
            *(connect(address + path)._open() for path in paths), return_exceptions=True
        )
        assert [type(result) for result in results] == [
            HandshakeError if path else WebSocket for path in paths
        ]
        assert counting.most == 1
        assert now() == pytest.approx(5, abs=0.01)
        for result in results:
            if isinstance(result, WebSocket):
                await result.close()
    gc.collect()
    assert len(dialing._locks[asyncio.get_running_loop()]) == 0


@virtual_time
async def test_other_names_of_an_address_wait_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(host: str, port: int) -> list[Address]:
        return [at(port)]

    monkeypatch.setattr("rfc6455.asyncio.route.resolve", resolve)
    counting = Counting()
    async with scripted_server(counting) as address:
        for websocket in await asyncio.gather(
            connect(address.replace("127.0.0.1", "a"))._open(),
            connect(address.replace("127.0.0.1", "b"))._open(),
        ):
            await websocket.close()
    assert counting.most == 1


@virtual_time
async def test_handshakes_with_other_addresses_do_not_wait() -> None:
    counting = Counting()
    async with scripted_server(counting) as first, scripted_server(counting) as second:
        for websocket in await asyncio.gather(connect(first)._open(), connect(second)._open()):
            await websocket.close()
    assert counting.most == 2


@virtual_time
async def test_the_application_may_have_them_all_at_once() -> None:
    counting = Counting()
    async with scripted_server(counting) as address:
        attempts = [connect(address, one_at_a_time=False)._open() for _ in range(5)]
        for websocket in await asyncio.gather(*attempts):
            await websocket.close()
    assert counting.most == 5


@virtual_time
async def test_waiting_for_a_turn_does_not_count_towards_the_time_limit() -> None:
    counting = Counting()
    async with scripted_server(counting) as address:
        limits = Limits(open_timeout=1.5)
        attempts = [connect(address, limits=limits)._open() for _ in range(10)]
        for websocket in await asyncio.gather(*attempts):
            await websocket.close()
        assert now() == pytest.approx(10, abs=0.01)
        # Once its turn has come, it does.
        counting.seconds = 5
        first = asyncio.create_task(connect(address)._open())
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            await connect(address, limits=limits)
        assert now() == pytest.approx(10 + 5 + 1.5, abs=0.01)
        await (await first).close()


@virtual_time
async def test_who_waits_for_a_turn_can_be_cancelled() -> None:
    counting = Counting()
    async with scripted_server(counting) as address:
        first = asyncio.create_task(connect(address)._open())
        second = asyncio.create_task(connect(address)._open())
        third = asyncio.create_task(connect(address)._open())
        await asyncio.sleep(0.75)
        second.cancel()
        await (await first).close()
        await (await third).close()
        assert second.cancelled()
    assert counting.most == 1
    assert now() == pytest.approx(2, abs=0.01)


@pytest.mark.clause("W016", party="client")
@virtual_time
async def test_behind_a_proxy_each_name_is_a_host_of_its_own() -> None:
    counting = Counting()
    async with scripted_server(counting) as address, http_proxy() as proxy:
        port = port_of(address)

        async def open_all(*names: str) -> None:
            attempts = [
                connect(f"ws://{name}:{port}/", proxy=proxy.address)._open() for name in names
            ]
            for websocket in await asyncio.gather(*attempts):
                await websocket.close()

        await open_all("127.0.0.1", "127.0.0.1")
        assert counting.most == 1
        await open_all("127.0.0.1", "[::ffff:127.0.0.1]")
        assert counting.most == 2


# Sockets


@on_each_loop
async def test_a_unix_socket() -> None:
    with unix_listener() as sock:
        async with serve(echo, sock=sock):
            for path in (sock.getsockname(), Path(sock.getsockname())):
                async with unix_connect(path) as websocket:
                    await websocket.send("hello")
                    assert await websocket.recv() == "hello"


@on_each_loop
async def test_tls_on_a_unix_socket(tls: TLS) -> None:
    with unix_listener() as sock:
        async with serve(echo, sock=sock, ssl=tls.server):
            path = sock.getsockname()
            async with unix_connect(path, "wss://localhost/", ssl=tls.client) as websocket:
                await websocket.send("hello")
                assert await websocket.recv() == "hello"
            with pytest.raises(ssl.SSLCertVerificationError):
                await unix_connect(path, "wss://example.com/", ssl=tls.client)


@real_time
async def test_no_unix_socket_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await unix_connect(tmp_path / "none")


@on_each_loop
async def test_a_connected_socket_may_be_given() -> None:
    async with serving(echo) as server:
        sock = socket.create_connection(server.sockets[0].getsockname())
        local = sock.getsockname()
        async with connect("ws://example.com/", sock=sock) as websocket:
            assert websocket.local_address == local
            await websocket.send("hello")
            assert await websocket.recv() == "hello"
    with unix_listener() as listener:
        async with serve(echo, sock=listener):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(listener.getsockname())
            async with connect("ws://example.com/", sock=sock) as websocket:
                await websocket.send("hello")
                assert await websocket.recv() == "hello"


@virtual_time
async def test_a_given_socket_is_closed_whatever_happens() -> None:
    async def script(peer: RawPeer, request: bytes) -> None:
        peer.send(b"HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n")

    async with scripted_server(script) as address:
        port = port_of(address)
        # A task that is cancelled before its first step has not begun.
        for step in range(1, 100):
            sock = socket.create_connection(("127.0.0.1", port))
            task = await cancel_after(step, connect(address, sock=sock)._open())
            await settle()
            assert sock.fileno() == -1
            if not task.cancelled():
                assert isinstance(task.exception(), HandshakeError)
                break
        else:
            raise AssertionError("never refused")
        unconnected = socket.socket()
        with pytest.raises(OSError, match=r"."):
            await connect(address, sock=unconnected)
        assert unconnected.fileno() == -1


# TLS


@real_time
async def test_http_1_1_is_asked_for(tls: TLS, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that would rather speak HTTP/2 does not."""
    tls.server.set_alpn_protocols(["h2", "http/1.1"])
    create = ssl.create_default_context
    monkeypatch.setattr(
        "ssl.create_default_context", lambda: create(cadata=certificate_of(tls.client))
    )
    async with (
        serving(echo, ssl=tls.server) as server,
        connect(uri(server, scheme="wss")) as websocket,
    ):
        ssl_object = websocket._transport.get_extra_info("ssl_object")
        assert ssl_object.selected_alpn_protocol() == "http/1.1"


def certificate_of(context: ssl.SSLContext) -> bytes:
    return context.get_ca_certs(binary_form=True)[0]


# The log


@real_time
async def test_steps_are_told_at_debug_level_without_secrets(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)

    def process_request(request: Request) -> Response | None:
        if "again" in request.query:
            return None
        return Response(302, Headers([("Location", "/?again&token=secret")]))

    async with (
        serving(echo, process_request=process_request) as server,
        http_proxy(credentials="u:secret") as proxy,
    ):
        host = uri(server).rstrip("/")
        address = uri(server).replace("//", "//user:secret@") + "?token=secret"
        options: dict[str, Any] = {
            "proxy": f"http://u:secret@{proxy.address}",
            "additional_headers": [("Cookie", "secret")],
        }
        async with connect(address, **options):
            pass
        options["proxy"] = f"http://u:wrong-secret@{proxy.address}"
        with pytest.raises(ProxyError) as caught:
            await connect(address, **options)
    told = [r.getMessage() for r in caplog.records if r.name == "rfc6455.client"]
    assert told[:3] == [
        f"connecting to {host}, proxy: http://{proxy.address}",
        f"redirected to {host}",
        f"connecting to {host}, proxy: http://{proxy.address}",
    ]
    assert "secret" not in caplog.text
    assert "secret" not in str(caught.value) + repr(caught.value)
