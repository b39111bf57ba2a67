"""Who may come in: so many altogether, so many of one address, also behind proxies.

Knows TCP where the address of a client matters, and Unix domain sockets as those of a proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import Any

import pytest

from rfc6455 import Limits, Request, Server, UsageError, WebSocket, serve

from .support import (
    REQUEST,
    RawPeer,
    close,
    dial,
    echo,
    on_each_loop,
    pass_time,
    serving,
    settle,
    virtual_time,
)


def forwarded(*addresses: str) -> bytes:
    lines = "".join(f"X-Forwarded-For: {address}\r\n" for address in addresses)
    return REQUEST[:-2] + lines.encode() + b"\r\n"


async def status(server: Server, data: bytes = REQUEST) -> int:
    """What a client is answered, that leaves again if it is let in."""
    async with await dial(server) as peer:
        peer.send(data)
        got, _ = await peer.head()
        if got == 101:
            peer.send(close())
            await peer.rest()
        return got


async def until(condition: Any) -> None:
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


@on_each_loop
async def test_one_of_an_address_too_many_gets_429_until_another_leaves() -> None:
    async with (
        serving(echo, max_connections_per_address=2) as server,
        await dial(server) as first,
        await dial(server) as second,
    ):
        await first.upgrade()
        # One that has not asked yet counts as well.
        await until(lambda: len(server._incoming) == 1)
        assert await status(server) == 429
        assert await status(server) == 429
        await second.upgrade()
        assert await status(server) == 429
        first.send(close())
        await first.rest()
        await until(lambda: len(server.connections) == 1)
        assert await status(server) == 101
        second.send(close())
        await second.rest()
        await until(lambda: not server.connections and not server._incoming)
        assert not server._groups


@on_each_loop
async def test_another_address_has_places_of_its_own() -> None:
    async with serving(echo, max_connections_per_address=1) as server, await dial(server) as first:
        await first.upgrade()
        assert await status(server) == 429
        sock = socket.socket()
        sock.bind(("127.0.0.2", 0))
        sock.connect(server.sockets[0].getsockname())
        async with await RawPeer.over(sock) as other:
            await other.upgrade()
            other.send(close())
            await other.rest()
        first.send(close())


@virtual_time
async def test_d10_behind_a_proxy_the_clients_address_counts() -> None:
    async with serving(
        echo, max_connections_per_address=1, trusted_proxies=["unix", "10.0.0.0/8"]
    ) as server:
        async with contextlib.AsyncExitStack() as stack:
            peers = []
            for address in ("203.0.113.1", "203.0.113.2, 10.0.0.1", "2001:db8:1:2::1"):
                peers.append(await stack.enter_async_context(await dial(server)))
                await peers[-1].upgrade(forwarded(address))
            for address, expected in (
                ("203.0.113.1", 429),
                ("203.0.113.3, 203.0.113.1", 429),
                ("1.2.3.4, 203.0.113.2:1234", 429),
                ("2001:db8:1:2:ffff::2", 429),
                ("2001:db8:1:3::1", 101),
                ("203.0.113.1, 203.0.113.4", 101),
            ):
                assert await status(server, forwarded(address)) == expected, address
            # Who is not told apart by anything is not counted.
            assert await status(server) == 101
            for peer in peers:
                peer.send(close())
                await peer.rest()
        await settle()
        assert not server._groups


@virtual_time
async def test_the_clients_address_is_that_of_the_last_untrusted_one() -> None:
    seen: list[str] = []

    def process_request(request: Request) -> None:
        seen.append(request.client_address)

    for trusted, expected in (([], ""), (["unix"], "10.0.0.1"), (["unix", "10.0.0.1"], "9.9.9.9")):
        async with serving(
            echo, process_request=process_request, trusted_proxies=trusted
        ) as server:
            assert await status(server, forwarded("1.1.1.1, 9.9.9.9", "10.0.0.1")) == 101
        assert seen.pop() == expected


@on_each_loop
async def test_the_clients_address_is_that_of_the_socket() -> None:
    addresses: list[str] = []

    async def handler(websocket: WebSocket) -> None:
        assert websocket.request is not None
        addresses.append(websocket.request.client_address)

    async with serving(handler) as server:
        assert await status(server, forwarded("1.1.1.1")) == 101
    assert addresses == ["127.0.0.1"]


@pytest.mark.parametrize("proxies", [["somebody"], ["10.0.0.1/8"]])
def test_what_is_no_network_is_refused_at_the_start(proxies: list[str]) -> None:
    with pytest.raises(UsageError):
        serve(echo, trusted_proxies=proxies)


@virtual_time
async def test_e4_a_flood_over_the_limit_is_not_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Who is over the limit is answered; but they do not pile up while they do not read."""
    caplog.set_level(logging.DEBUG)
    async with (
        serving(echo, max_connections=1, limits=Limits(close_timeout=5)) as server,
        await dial(server) as first,
    ):
        await first.upgrade()
        peers = []
        for _ in range(200):
            peers.append(await dial(server))
            await settle()
            assert len(server._incoming) <= 17
        for peer in peers:
            assert (await peer.answer())[0] == 503
        assert len(server._incoming) == 16
        await pass_time(5)
        assert not server._incoming
        assert await status(server) == 503
        for peer in peers:
            await peer.__aexit__()
        first.send(close())
    assert len(caplog.records) <= 25
