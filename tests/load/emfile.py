"""More clients than the server may open files: it must neither spin, nor stay deaf afterwards."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any, Final

from .programs import start

RECOVERY: Final = 1.0
SPARE: Final = 8
"""Descriptors that a server may lack to its limit, and count as short of them."""
PATIENCE: Final = 60.0
"""Seconds until it must be short of them."""
SPIN: Final = 0.5
"""The share of a core that is taken for spinning."""


async def run(
    *,
    clients: int = 1_000,
    files: int = 256,
    seconds: float = 10.0,
    probes: int = 5,
) -> dict[str, Any]:
    """Connects more clients than there are descriptors, and looks what the server does meanwhile.

    Args:
        clients: that connect, and stay as long as they are let.
        files: that the server may open (RLIMIT_NOFILE).
        seconds: during which descriptors are short.
        probes: clients that come when there are descriptors again, one after the other.
    """
    async with AsyncExitStack() as stack:
        # A server that trusts its own limit on connections never runs out.
        options = {"files": files, "max_connections": 10 * clients, "limits": {"open_timeout": 60}}
        server = await stack.enter_async_context(start("server", options))
        where = {"port": (await server.answer())["port"]}
        crowd = await stack.enter_async_context(start("attackers", {"number": 1, **where}))
        prober = await stack.enter_async_context(start("crowd", {"number": 0, **where}))
        await prober.ask("cycles", count=1, at_once=1)
        before = server.descriptors()

        begin = time.monotonic()
        await crowd.ask("press", count=clients)
        # The kernel tells nobody.
        while server.descriptors() < files - SPARE and time.monotonic() < begin + PATIENCE:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        used, begin = server.processor_seconds(), time.monotonic()
        await asyncio.sleep(seconds)
        share = (server.processor_seconds() - used) / (time.monotonic() - begin)
        most = server.descriptors()
        during = await server.ask("state")

        told = await crowd.ask("stop")
        begin = time.monotonic()
        first = await prober.ask("cycles", count=1, at_once=1)
        recovery = time.monotonic() - begin
        rest = await prober.ask("cycles", count=probes, at_once=1)
        await server.ask("empty", path="/sink")
        return {
            "clients": clients,
            "files": files,
            "connected": told["connections"],
            "open_during": during["connections"],
            "descriptors": {"before": before, "most": most, "after": server.descriptors()},
            "processor_share": round(share, 3),
            "recovery_seconds": round(recovery, 3),
            "probes": {
                name: Counter(first[name]) + Counter(rest[name]) for name in ("codes", "failures")
            },
            "served_after": sum(first["codes"].values()) + sum(rest["codes"].values()),
            "probes_sent": 1 + probes,
        }


QUICK: dict[str, Any] = {"clients": 200, "files": 64, "seconds": 1.5}


def faults(result: dict[str, Any]) -> list[str]:
    """Returns what should not have been, but for figures that the machine has a say in."""
    found = []
    if result["descriptors"]["most"] < result["files"] - SPARE:
        found.append(f"descriptors were not short: {result['descriptors']}")
    if result["served_after"] != result["probes_sent"]:
        found.append(f"afterwards: {result['probes']}")
    if result["descriptors"]["after"] > result["descriptors"]["before"] + 1:
        found.append(f"descriptors stay open: {result['descriptors']}")
    return found


def misses(result: dict[str, Any]) -> list[str]:
    """Returns the figures that are not what they should be."""
    found = []
    if result["recovery_seconds"] > RECOVERY:
        found.append(f"it listened again after {result['recovery_seconds']} s")
    if result["processor_share"] > SPIN:
        found.append(f"it used {result['processor_share']:.0%} of a core meanwhile")
    return found
