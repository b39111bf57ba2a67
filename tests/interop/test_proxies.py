"""Our client through proxies that others wrote: Debian's tinyproxy and microsocks."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import rfc6455
from tests.helpers import async_test
from tests.programs import free_port
from tests.transports.support import echo, serving, uri

pytestmark = pytest.mark.proxies


@contextlib.asynccontextmanager
async def running(port: int, *command: str) -> AsyncIterator[str]:
    """A program that listens on a port. Yields its address, as soon as it does."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                assert process.returncode is None
                await asyncio.sleep(0.01)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def tinyproxy(folder: Path, *settings: str) -> AsyncIterator[str]:
    port = free_port()
    lines = [f"Port {port}", "Listen 127.0.0.1", "Timeout 60", "Allow 127.0.0.1", *settings]
    configuration = folder / "tinyproxy.conf"
    configuration.write_text("\n".join([*lines, ""]))
    async with running(port, "tinyproxy", "-d", "-c", str(configuration)) as address:
        yield address


@contextlib.asynccontextmanager
async def microsocks(*options: str) -> AsyncIterator[str]:
    port = free_port()
    command = ("microsocks", "-i", "127.0.0.1", "-p", str(port), *options)
    async with running(port, *command) as address:
        yield address


async def check(address: str, proxy: str) -> None:
    async with rfc6455.connect(address, proxy=proxy) as websocket:
        for message in ("hello", bytes(200_000)):
            await websocket.send(message)
            assert await websocket.recv() == message
    assert websocket.close_code == 1000


@pytest.mark.clause("W018", party="client")
@async_test
async def test_tinyproxy(tmp_path: Path) -> None:
    async with serving(echo) as server, tinyproxy(tmp_path) as proxy:
        await check(uri(server), f"http://{proxy}")


@async_test
async def test_tinyproxy_with_credentials(tmp_path: Path) -> None:
    async with serving(echo) as server, tinyproxy(tmp_path, "BasicAuth user word") as proxy:
        await check(uri(server), f"http://user:word@{proxy}")
        # To wrong ones it says 401.
        for credentials, status in (("", 407), ("user:wrong@", 401)):
            with pytest.raises(rfc6455.ProxyError) as caught:
                await rfc6455.connect(uri(server), proxy=f"http://{credentials}{proxy}")
            assert caught.value.status == status
            assert b"<html" in caught.value.body


@async_test
async def test_tinyproxy_to_nobody(tmp_path: Path) -> None:
    async with tinyproxy(tmp_path) as proxy:
        with pytest.raises(rfc6455.ProxyError) as caught:
            await rfc6455.connect(f"ws://127.0.0.1:{free_port()}/", proxy=f"http://{proxy}")
        assert caught.value.status in (500, 502)
        assert rfc6455.is_transient(caught.value)


@async_test
async def test_tinyproxy_that_forbids_the_port(tmp_path: Path) -> None:
    async with serving(echo) as server, tinyproxy(tmp_path, "ConnectPort 443") as proxy:
        with pytest.raises(rfc6455.ProxyError) as caught:
            await rfc6455.connect(uri(server), proxy=f"http://{proxy}")
        assert caught.value.status == 403


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
@async_test
async def test_microsocks(scheme: str) -> None:
    async with serving(echo) as server, microsocks() as proxy:
        await check(uri(server), f"{scheme}://{proxy}")
        await check(uri(server).replace("127.0.0.1", "localhost"), f"{scheme}://{proxy}")


@async_test
async def test_microsocks_with_credentials() -> None:
    async with serving(echo) as server, microsocks("-u", "user", "-P", "word") as proxy:
        await check(uri(server), f"socks5h://user:word@{proxy}")
        for credentials in ("", "user:wrong@"):
            with pytest.raises(rfc6455.ProxyError) as caught:
                await rfc6455.connect(uri(server), proxy=f"socks5h://{credentials}{proxy}")
            assert not rfc6455.is_transient(caught.value)


@async_test
async def test_microsocks_to_nobody() -> None:
    async with microsocks() as proxy:
        with pytest.raises(rfc6455.ProxyError) as caught:
            await rfc6455.connect(f"ws://127.0.0.1:{free_port()}/", proxy=f"socks5h://{proxy}")
        assert rfc6455.is_transient(caught.value)
