"""A message to thousands, of whom many do not read: the others must not notice."""

from __future__ import annotations

import asyncio
import itertools
import socket
from contextlib import AsyncExitStack, ExitStack
from typing import Any, Final

from .figures import percentile, quantiles
from .programs import Program, raise_file_limit, start

MiB: Final = 2**20
POLICIES: Final[dict[str, dict[str, Any]]] = {
    "drop newest": {"overflow": "DROP_NEWEST"},
    "drop oldest": {"overflow": "DROP_OLDEST"},
    "latest of a key": {"overflow": "DROP_OLDEST", "key": "price"},
    "disconnect": {"overflow": "DISCONNECT"},
}
HANDSHAKE: Final = (
    b"GET /stalled HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
RECEIVE_BUFFER: Final = 16 * 1024
"""Of a client that stalls: the kernel is not to read megabytes for it."""
SEND_BUFFER: Final = 64 * 1024
"""Of the server's connections: nor is it to keep megabytes before our own queues fill."""


async def run(
    *,
    receivers: int = 5_000,
    stalled: int = 1_000,
    messages: int = 100,
    size: int = 16 * 1024,
    processes: int = 2,
) -> dict[str, Any]:
    """Broadcasts with each policy, in turns to the healthy alone and to all.

    A message is sent when all healthy receivers have had the one before. So that those who stall
    stay, the server does not drop those who take nothing (`Limits.write_timeout`).

    Args:
        receivers: how many, those that stall among them.
        stalled: how many of them read nothing.
        messages: to all, with each policy; between them as many go to the healthy alone.
        size: of a message, in bytes.
        processes: of clients.
    """
    results = {}
    for name, policy in POLICIES.items():
        results[name] = await _one(
            policy, receivers - stalled, stalled, messages, max(size, 64), processes
        )
    return {
        "receivers": receivers,
        "stalled": stalled,
        "messages": messages,
        "size": size,
        "policies": results,
    }


async def _one(
    policy: dict[str, Any], healthy: int, stalled: int, messages: int, size: int, processes: int
) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        limits = {"write_timeout": None, "ping_interval": None}
        options: dict[str, Any] = {"limits": limits, "max_connections": healthy + stalled + 10}
        options["send_buffer"] = SEND_BUFFER
        server = await stack.enter_async_context(start("server", options))
        port = (await server.answer())["port"]
        crowds = [
            await stack.enter_async_context(start("crowd", {"number": number, "port": port}))
            for number in range(processes)
        ]
        share = healthy // processes
        await asyncio.gather(*(crowd.ask("open", count=share, path="/healthy") for crowd in crowds))
        sockets = stack.enter_context(ExitStack())
        raise_file_limit()
        await asyncio.to_thread(_stall, sockets, port, stalled)
        empty = server.memory()["rss"]

        healthy_alone: list[int] = []
        beside: list[int] = []
        unsent = written = skipped = 0
        for number in range(2 * messages):
            to_all = number % 2 == 1
            paths = ["/healthy", "/stalled"] if to_all else ["/healthy"]
            told, latencies = await _broadcast(server, crowds, share, paths, size, policy)
            (beside if to_all else healthy_alone).extend(latencies)
            unsent = max(unsent, told["most_unsent"])
            written = max(written, told["most_written"])
            skipped += told["skipped"]
        if policy == POLICIES["disconnect"]:
            await server.ask("empty", path="/stalled")
        state = await server.ask("state")
        found = [await crowd.ask("state") for crowd in crowds]
        alone_p99, beside_p99 = percentile(healthy_alone, 99), percentile(beside, 99)
        return {
            "delivered": len(healthy_alone) + len(beside),
            "expected": 2 * messages * share * processes,
            "healthy_open": sum(one["open"] for one in found),
            "healthy": share * processes,
            "stalled_open": state["connections"] - share * processes,
            "skipped": skipped,
            "dropped": told["dropped"],
            "alone_ms": quantiles(healthy_alone),
            "beside_stalled_ms": quantiles(beside),
            "p99_ratio": round(beside_p99 / alone_p99, 2),
            "most_unsent": unsent,
            "most_written": written,
            "rss_mib_before": round(empty / MiB, 1),
            "rss_mib_peak": round(server.peak() / MiB, 1),
        }


def _stall(sockets: ExitStack, port: int, count: int) -> None:
    """Opens WebSockets of which nobody will read a message."""
    for number in range(count):
        sock = sockets.enter_context(socket.socket())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.settimeout(60)
        sock.bind((f"127.0.9.{1 + number // 2000}", 0))
        sock.connect(("127.0.0.1", port))
        sock.sendall(HANDSHAKE)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += sock.recv(4096)


async def _broadcast(
    server: Program,
    crowds: list[Program],
    share: int,
    paths: list[str],
    size: int,
    policy: dict[str, Any],
) -> tuple[dict[str, Any], list[int]]:
    await asyncio.gather(*(crowd.ask("expect", count=share) for crowd in crowds))
    collecting = asyncio.gather(*(crowd.ask("collect") for crowd in crowds))
    told = await server.ask("broadcast", paths=paths, size=size, **policy)
    latencies = [one["latencies"] for one in await collecting]
    return told, list(itertools.chain.from_iterable(latencies))


QUICK: dict[str, Any] = {"receivers": 60, "stalled": 20, "messages": 6, "size": 512 * 1024}


def faults(result: dict[str, Any]) -> list[str]:
    """Returns what should not have been, but for figures that the machine has a say in."""
    found = []
    for name, one in result["policies"].items():
        if one["delivered"] != one["expected"]:
            found.append(f"{name}: {one['delivered']} of {one['expected']} were delivered")
        if one["healthy_open"] != one["healthy"]:
            found.append(f"{name}: healthy receivers lost their connections")
        if one["most_unsent"] - one["most_written"] > MiB:
            found.append(f"{name}: {one['most_unsent']} bytes waited for one receiver")
        stay = 0 if name == "disconnect" else result["stalled"]
        if one["stalled_open"] != stay:
            found.append(f"{name}: {one['stalled_open']} stalled receivers are there")
    return found


def misses(result: dict[str, Any]) -> list[str]:
    """Returns the figures that are not what they should be."""
    return [
        f"{name}: the 99th percentile is {one['p99_ratio']} times that without stalled receivers"
        for name, one in result["policies"].items()
        if one["p99_ratio"] >= 2
    ]
