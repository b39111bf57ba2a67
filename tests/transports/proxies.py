"""Real proxies for tests, on real sockets: one for HTTP that opens tunnels, and one for SOCKS.

What lives here: servers that do what a proxy does, and remember what they were asked. They do not
know what travels through them.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """A proxy that runs, and what it was asked.

    Attributes:
        address: host and port where it listens.
        asked: for each connection, what it was asked for.
        heads: the heads of HTTP requests.
        through: what clients sent through the tunnels.
    """

    address: str = ""
    asked: list[str] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    through: bytearray = field(default_factory=bytearray)


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Ask = Callable[
    [Proxy, asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, "Streams | None"]
]


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: bytearray
) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            seen += data
            writer.write(data)
            await writer.drain()
    # TLS has no half that could end alone.
    if writer.can_write_eof():
        with contextlib.suppress(OSError):
            writer.write_eof()
    else:
        writer.close()


@contextlib.asynccontextmanager
async def _running(ask: Ask, context: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    proxy = Proxy()
    tasks: set[asyncio.Task[None]] = set()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            streams = await ask(proxy, reader, writer)
            if streams is not None:
                writers.append(streams[1])
                await asyncio.gather(
                    _copy(reader, streams[1], proxy.through), _copy(streams[0], writer, bytearray())
                )
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            for each in writers:
                each.close()
            for each in writers:
                with contextlib.suppress(OSError):
                    await each.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(serve_one(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    host, port = server.sockets[0].getsockname()
    proxy.address = f"{host}:{port}"
    async with server:
        yield proxy
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def http_proxy(
    *,
    context: ssl.SSLContext | None = None,
    credentials: str | None = None,
    answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n",
) -> contextlib.AbstractAsyncContextManager[Proxy]:
    """A proxy that opens tunnels.

    Args:
        context: for TLS with its clients.
        credentials: ``user:password``, without which it answers 407.
        answer: what it says when a tunnel is open.
    """
    wanted = credentials and b"Basic " + base64.b64encode(credentials.encode())

    async def ask(
        proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Streams | None:
        head = await reader.readuntil(b"\r\n\r\n")
        proxy.heads.append(head)
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        assert method == "CONNECT"
        proxy.asked.append(target)
        if wanted and b"\r\nProxy-Authorization: " + wanted + b"\r\n" not in head:
            writer.write(
                b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                b'Proxy-Authenticate: Basic realm="test"\r\nContent-Length: 7\r\n\r\nsorry\r\n'
            )
            return None
        host, _, port = target.rpartition(":")
        streams = await asyncio.open_connection(host.strip("[]"), int(port))
        writer.write(answer)
        return streams

    return _running(ask, context)


def socks_proxy(
    *, user: str | None = None, password: str = ""
) -> contextlib.AbstractAsyncContextManager[Proxy]:
    """A proxy for SOCKS 4, 4a and 5 (RFC 1928, RFC 1929)."""

    async def socks4(
        proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Streams | None:
        assert await reader.readexactly(1) == b"\x01"
        port = int.from_bytes(await reader.readexactly(2), "big")
        address = await reader.readexactly(4)
        identity = (await reader.readuntil(b"\0"))[:-1].decode()
        host = socket.inet_ntoa(address)
        if address[:3] == bytes(3) and address[3]:
            host = (await reader.readuntil(b"\0"))[:-1].decode()
        proxy.asked.append(f"{host}:{port}")
        if user is not None and identity != user:
            writer.write(b"\0\x5d" + bytes(6))
            return None
        streams = await asyncio.open_connection(host, port)
        writer.write(b"\0\x5a" + bytes(6))
        return streams

    async def socks5(
        proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Streams | None:
        methods = await reader.readexactly((await reader.readexactly(1))[0])
        method = 0 if user is None else 2
        if method not in methods:
            writer.write(b"\x05\xff")
            return None
        writer.write(bytes([5, method]))
        if method == 2:
            assert await reader.readexactly(1) == b"\x01"
            given = [
                (await reader.readexactly((await reader.readexactly(1))[0])).decode()
                for _ in range(2)
            ]
            writer.write(b"\x01" + bytes([given != [user, password]]))
            if given != [user, password]:
                return None
        version, command, _, kind = await reader.readexactly(4)
        assert (version, command) == (5, 1)
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            family, size = {1: (socket.AF_INET, 4), 4: (socket.AF_INET6, 16)}[kind]
            host = socket.inet_ntop(family, await reader.readexactly(size))
        port = int.from_bytes(await reader.readexactly(2), "big")
        proxy.asked.append(f"{host}:{port}")
        try:
            streams = await asyncio.open_connection(host, port)
        except ConnectionRefusedError:
            writer.write(b"\x05\x05\0\x01" + bytes(6))
            return None
        writer.write(b"\x05\0\0\x01" + bytes(6))
        return streams

    async def ask(
        proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Streams | None:
        version = (await reader.readexactly(1))[0]
        return await {4: socks4, 5: socks5}[version](proxy, reader, writer)

    return _running(ask)
