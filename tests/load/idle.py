"""Connections that do nothing, as many as one process may have."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

from .programs import start


async def run(
    *,
    connections: int = 19_000,
    seconds: float = 1800.0,
    processes: int = 2,
    few: int = 1_000,
    ping_interval: float = 20.0,
    settle: float = 5.0,
    windows: int = 30,
    under: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Opens connections, leaves them alone for a time, and looks at what they cost.

    Args:
        connections: how many.
        seconds: for how long.
        processes: of clients.
        few: with how many the memory is compared.
        ping_interval: of the server's Pings, in seconds.
        settle: seconds in which what the handshakes leave behind goes away.
        windows: equal parts of that time, of which the busiest is told.
        under: the command that the clients run under.
    """
    async with AsyncExitStack() as stack:
        limits = {"ping_interval": ping_interval}
        options = {"max_connections": connections + 100, "limits": limits}
        server = await stack.enter_async_context(start("server", options))
        port = (await server.answer())["port"]
        crowds = [
            await stack.enter_async_context(
                start("crowd", {"number": number, "port": port}, under=under)
            )
            for number in range(processes)
        ]

        async def grow(total: int) -> None:
            share, rest = divmod(total, processes)
            present = [(await crowd.ask("state"))["open"] for crowd in crowds]
            wanted = [share + (number < rest) - present[number] for number in range(processes)]
            await asyncio.gather(
                *(
                    crowd.ask("open", count=count, count_pings=True)
                    for crowd, count in zip(crowds, wanted, strict=True)
                )
            )

        begin = time.monotonic()
        await grow(few)
        await asyncio.sleep(settle)
        small = server.memory()
        await grow(connections)
        opening = time.monotonic() - begin - settle
        await asyncio.sleep(settle)
        large = server.memory()
        opened = await server.ask("state")

        shares = []
        for _ in range(windows):
            begin, used = time.monotonic(), server.processor_seconds()
            await asyncio.sleep(seconds / windows)
            shares.append((server.processor_seconds() - used) / (time.monotonic() - begin))

        late = server.memory()
        state = await server.ask("state")
        # On a busy machine the last ones may still be on their way.
        found = [
            await crowd.ask_until(lambda told: told["pings"] >= told["open"], "state")
            for crowd in crowds
        ]
        per_connection = 1 / 1024 / max(connections - few, 1)
        return {
            "connections": connections,
            "seconds": seconds,
            "opened": opened["connections"],
            "opening_seconds": round(opening, 1),
            "still_open": state["connections"],
            "open_clients": sum(one["open"] for one in found),
            "ended": sum((Counter(one["ended"]) for one in found), Counter(state["ended"])),
            "failures": sum((Counter(one["failures"]) for one in found), Counter()),
            "pings": sum(one["pings"] for one in found),
            "processor_share": round(statistics.mean(shares), 4),
            "most_processor_share": round(max(shares), 4),
            "pss_kib_per_connection": round((large["pss"] - small["pss"]) * per_connection, 2),
            "pss_kib_at_the_end": round((late["pss"] - small["pss"]) * per_connection, 2),
            "rss_mib": round(late["rss"] / 2**20, 1),
        }


QUICK: dict[str, Any] = {
    "connections": 200,
    "seconds": 1.0,
    "few": 50,
    "ping_interval": 0.3,
    "settle": 0.2,
}


def faults(result: dict[str, Any]) -> list[str]:
    """Returns what should not have been, but for figures that the machine has a say in."""
    found = [
        f"{name}: {result[name]}"
        for name in ("opened", "still_open", "open_clients")
        if result[name] != result["connections"]
    ]
    found += [f"{name}: {result[name]}" for name in ("ended", "failures") if result[name]]
    if result["pings"] < result["connections"]:
        found.append(f"only {result['pings']} pings")
    return found


def misses(result: dict[str, Any]) -> list[str]:
    """Returns the figures that are not what they should be."""
    return [
        f"{name}: {result[name]}, more than {most}"
        for name, most in {"pss_kib_at_the_end": 12.0, "processor_share": 0.15}.items()
        if result[name] > most
    ]
