"""Connecting through proxies: for HTTP and SOCKS, with and without TLS and credentials.

Knows the proxies of ``proxies.py`` and some that follow a script. What is wrong with a proxy's
answer is judged in ``tests/unit/test_proxy.py``.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from typing import Any

import pytest

import rfc6455
from rfc6455 import HandshakeError, Limits, ProxyError, UsageError, WebSocket, connect
from rfc6455.testing import at_every_step, cancel_after
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
    uri,
    virtual_time,
)


async def check(websocket: WebSocket) -> None:
    """Proves that messages travel both ways."""
    for message in ("text", bytes(range(256)) * 1024):
        await websocket.send(message)
        assert await websocket.recv() == message


# HTTP


@pytest.mark.clause("W018", party="client")
@pytest.mark.parametrize("secure_server", [False, True], ids=["ws", "wss"])
@pytest.mark.parametrize("secure_proxy", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("credentials", ["", "us%20er:pass%3Aword@"], ids=["anonymous", "known"])
@on_each_loop
async def test_a_tunnel(
    secure_server: bool, secure_proxy: bool, credentials: str, tls: TLS
) -> None:
    server_tls = {"ssl": tls.server} if secure_server else {}
    async with (
        serving(echo, **server_tls) as server,
        http_proxy(
            context=tls.server if secure_proxy else None,
            credentials="us er:pass:word" if credentials else None,
        ) as proxy,
    ):
        address = uri(server, scheme="wss" if secure_server else "ws")
        async with connect(
            address,
            ssl=tls.client if secure_server else None,
            proxy=f"http{'s' * secure_proxy}://{credentials}{proxy.address}",
            proxy_ssl=tls.client,
            additional_headers=[("Authorization", "Bearer token"), ("Cookie", "a=b")],
        ) as websocket:
            await check(websocket)
            assert websocket.request is None
        assert websocket.close_code == 1000
        host, port = server.sockets[0].getsockname()
        assert proxy.asked == [f"{host}:{port}"]
        # What is for the server does not reach the proxy ...
        assert b"Bearer" not in proxy.heads[0]
        assert b"Cookie" not in proxy.heads[0]
        # ... and TLS hides it from the proxy all along; without, it can read it there.
        assert (b"Bearer token" in proxy.through) is (not secure_server)


@real_time
async def test_credentials_of_the_proxy_are_not_for_the_server() -> None:
    requests: list[bytes] = []

    async def script(peer: RawPeer, request: bytes) -> None:
        requests.append(request)
        peer.send(accepting(request))

    async with scripted_server(script) as address, http_proxy(credentials="u:secret") as proxy:
        websocket = await connect(address, proxy=f"http://u:secret@{proxy.address}")
        await websocket.close()
    assert b"roxy" not in requests[0]
    assert b"Authorization" not in requests[0]


@real_time
async def test_a_proxy_that_wants_other_credentials() -> None:
    async with serving(echo) as server, http_proxy(credentials="a:b") as proxy:
        with pytest.raises(ProxyError, match="407: it wants credentials") as caught:
            await connect(uri(server), proxy=f"http://a:secret@{proxy.address}")
    assert caught.value.status == 407
    assert caught.value.body == b"sorry\r\n"
    assert ("Proxy-Authenticate", 'Basic realm="test"') in caught.value.headers
    assert "secret" not in str(caught.value)


@real_time
async def test_the_refusal_of_a_server_behind_a_proxy_is_the_servers() -> None:
    async with serving(echo, origins=["https://a"]) as server, http_proxy() as proxy:
        with pytest.raises(HandshakeError) as caught:
            await connect(uri(server), proxy=proxy.address)
    assert caught.value.status == 403
    assert not isinstance(caught.value, ProxyError)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
@on_each_loop
async def test_nobody_listens_where_the_proxy_should_be(scheme: str) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            await connect("ws://localhost/", proxy=f"{scheme}://127.0.0.1:{port}")


@real_time
async def test_the_certificate_behind_a_proxy_is_verified(tls: TLS) -> None:
    async with serving(echo, ssl=tls.server) as server, http_proxy() as proxy:
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(uri(server, scheme="wss"), proxy=proxy.address)
        with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
            await connect(
                uri(server, scheme="wss"),
                proxy=proxy.address,
                ssl=tls.client,
                server_hostname="example.com",
            )
        assert b"GET" not in proxy.through


@real_time
async def test_the_certificate_of_a_proxy_is_verified(tls: TLS) -> None:
    async with serving(echo) as server, http_proxy(context=tls.server) as proxy:
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(uri(server), proxy=f"https://{proxy.address}")
        assert proxy.heads == []


@real_time
async def test_a_proxy_is_no_way_around_a_redirect() -> None:
    """Neither is a proxy's redirect followed, nor does a server's leave the proxy."""

    async def script(peer: RawPeer, request: bytes) -> None:
        peer.send(b"HTTP/1.1 302 X\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")

    async with scripted_server(script) as address:
        with pytest.raises(ProxyError, match="302"):
            await connect("ws://127.0.0.1:2/", proxy=address.replace("ws://", "http://"))
        async with http_proxy() as proxy:
            # The proxy drops the client where it finds nobody.
            with pytest.raises(ProxyError, match="closed before an answer"):
                await connect(address, proxy=proxy.address)
            assert proxy.asked == [address.removeprefix("ws://").rstrip("/"), "127.0.0.1:1"]


@pytest.mark.parametrize("address", ["ws://h/", "wss://h/"])
@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
@on_each_loop
async def test_a_proxy_that_closes_the_tunnel_at_once(address: str, reset: bool) -> None:
    async def script(peer: RawPeer, request: bytes) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        if reset:
            await peer.writer.drain()
            peer.reset()

    async with scripted_server(script) as proxy:
        with pytest.raises((OSError, HandshakeError)) as caught:
            await connect(address, proxy=proxy.replace("ws:", "http:"))
    assert not isinstance(caught.value, TimeoutError)
    assert rfc6455.is_transient(caught.value)


# SOCKS


@pytest.mark.parametrize("scheme", ["socks4", "socks4a", "socks5", "socks5h"])
@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
@on_each_loop
async def test_socks(scheme: str, secure: bool, tls: TLS) -> None:
    options = {"ssl": tls.server} if secure else {}
    async with serving(echo, **options) as server, socks_proxy() as proxy:
        port = server.sockets[0].getsockname()[1]
        async with connect(
            f"{'wss' if secure else 'ws'}://localhost:{port}/",
            ssl=tls.client if secure else None,
            proxy=f"{scheme}://{proxy.address}",
        ) as websocket:
            await check(websocket)
        looked_up_there = scheme in ("socks4a", "socks5h")
        assert proxy.asked == [f"localhost:{port}" if looked_up_there else f"127.0.0.1:{port}"]


@pytest.mark.parametrize(
    ("url", "works"),
    [
        ("socks5h://user:word@", True),
        ("socks5h://user:wrong@", False),
        ("socks5h://", False),
        ("socks4a://user@", True),
        ("socks4a://other@", False),
    ],
)
@real_time
async def test_socks_with_credentials(url: str, works: bool) -> None:
    async with serving(echo) as server, socks_proxy(user="user", password="word") as proxy:
        attempt = connect(uri(server), proxy=url + proxy.address)
        if works:
            async with attempt as websocket:
                await check(websocket)
        else:
            with pytest.raises(ProxyError) as caught:
                await attempt
            assert "wrong" not in str(caught.value)
            assert not rfc6455.is_transient(caught.value)


@real_time
async def test_socks_to_nobody() -> None:
    async with socks_proxy() as proxy:
        with pytest.raises(ProxyError, match="refused") as caught:
            await connect("ws://127.0.0.1:1/", proxy=f"socks5://{proxy.address}")
    assert rfc6455.is_transient(caught.value)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x05", b""])
@pytest.mark.parametrize("scheme", ["socks4", "socks5"])
@real_time
async def test_a_proxy_that_does_not_speak_socks(scheme: str, answer: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with RawPeer(reader, writer) as peer:
            await reader.readexactly(3)
            peer.send(answer)

    async with await asyncio.start_server(script, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises((ProxyError, ConnectionResetError)) as caught:
            await connect("ws://127.0.0.1:1/", proxy=f"{scheme}://127.0.0.1:{port}")
    assert rfc6455.is_transient(caught.value) is not answer.startswith(b"HTTP")


@real_time
async def test_without_the_package_for_socks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_socks", None)
    with pytest.raises(UsageError, match=r"pip install 'rfc6455\[proxy\]'"):
        await connect("ws://127.0.0.1:1/", proxy="socks5://127.0.0.1:1")


# Where the proxy comes from


@on_each_loop
async def test_the_environment_is_asked_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(echo) as server, http_proxy() as proxy:
        monkeypatch.setenv("ws_proxy", f"http://{proxy.address}")
        async with connect(uri(server)):
            assert len(proxy.asked) == 1
        async with connect(uri(server), proxy=None):
            assert len(proxy.asked) == 1
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        async with connect(uri(server)):
            assert len(proxy.asked) == 1


@real_time
async def test_a_socket_needs_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:1")
    async with serving(echo) as server:
        sock = socket.create_connection(server.sockets[0].getsockname())
        async with connect(uri(server), sock=sock) as websocket:
            await check(websocket)


@pytest.mark.parametrize("url", ["ftp://p", "http://p\r\nX: y", "http://a%0Ab:c@p", "http://p:0"])
def test_what_is_no_proxy(url: str) -> None:
    with pytest.raises(UsageError):
        connect("ws://localhost/", proxy=url)


# Time and cancellation


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
@virtual_time
async def test_one_time_limit_holds_for_the_proxy_too(said: bytes) -> None:
    async def script(peer: RawPeer, request: bytes) -> None:
        await asyncio.sleep(6)
        peer.send(said)
        await peer.rest()

    async with scripted_server(script) as address:
        before = descriptors()
        with pytest.raises(TimeoutError):
            await connect(
                "ws://localhost/",
                proxy=address.replace("ws://", "http://"),
                limits=Limits(open_timeout=10),
            )
        assert now() == pytest.approx(10, abs=0.01)
        await settle()
        assert descriptors() == before


@pytest.mark.parametrize("way", ["http", "https", "socks5"])
@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
@virtual_time
async def test_cancelled_at_every_step_leaves_nothing(way: str, secure: bool, tls: TLS) -> None:
    answered = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with RawPeer(reader, writer) as peer:
            try:
                peer.send(accepting(await reader.readuntil(b"\r\n\r\n")))
                answered.set()
                await peer.rest()
            except (OSError, asyncio.IncompleteReadError):
                pass

    options: dict[str, Any] = {"ssl": tls.client, "server_hostname": "localhost"} if secure else {}
    context = tls.server if way == "https" else None
    server = await asyncio.start_server(script, "127.0.0.1", 0, ssl=tls.server if secure else None)
    async with server, socks_proxy() if way == "socks5" else http_proxy(context=context) as proxy:
        port = server.sockets[0].getsockname()[1]
        address = f"{'wss' if secure else 'ws'}://127.0.0.1:{port}/"
        await settle()
        before = descriptors()

        async def attempt(count: int) -> asyncio.Task[Any]:
            attempt = connect(
                address, proxy=f"{way}://{proxy.address}", proxy_ssl=tls.client, **options
            )
            task = await cancel_after(count, attempt._open())
            if not task.cancelled():
                task.result().abort()
            await settle()
            assert descriptors() == before
            return task

        await at_every_step(attempt)
    assert answered.is_set()
