"""Clients that mean ill, and one that does not, whose messages must not wait for theirs."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any, Final

from .figures import percentile, quantiles
from .programs import start

MiB: Final = 2**20
BUDGET: Final = 64 * MiB
"""For unfinished messages, as is the default."""
BASE: Final = 64 * MiB
"""A generous share of memory for the interpreter and what it has loaded."""
PER_CONNECTION: Final = 256 * 1024
"""What a flood of small things may take for each of its connections: a read and what it becomes."""
IN_TIME: Final = 250.0
"""Milliseconds."""
EXPECTED_ENDS: Final = {
    "fragments": "1008",
    "bombs": "1009",
    "half-open": "408",
    "unfinished": "1013",
}
"""What the server says to attackers; they go on until it has."""


async def run(
    *,
    seconds: float = 20.0,
    flooding: int = 20,
    half_open: int = 5_000,
    unfinished: int = 500,
    open_timeout: float = 10.0,
) -> dict[str, Any]:
    """Times the messages of a healthy client, alone and beside each attack.

    Args:
        seconds: for each.
        flooding: connections of those who send as much as they can.
        half_open: of those who do not end their opening handshake.
        unfinished: of those who do not end their message of 1 MiB.
        open_timeout: the server's patience with an opening handshake, in seconds.
    """
    attacks = dict.fromkeys(("pings", "fragments", "bombs", "grenades"), flooding)
    attacks |= {"half-open": half_open, "unfinished": unfinished}
    found = {"no attack": await _one(None, 0, seconds, open_timeout)}
    for kind, count in attacks.items():
        found[kind] = await _one(kind, count, seconds, open_timeout)
    return {"seconds": seconds, "open_timeout": open_timeout, "attacks": found}


async def _one(kind: str | None, count: int, seconds: float, open_timeout: float) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        options = {
            "deflate": True,
            "budget": BUDGET,
            "max_connections": count + 100,
            "limits": {"open_timeout": open_timeout},
        }
        server = await stack.enter_async_context(start("server", options))
        where = {"port": (await server.answer())["port"]}
        healthy = await stack.enter_async_context(start("crowd", {"number": 0, **where}))
        attackers = await stack.enter_async_context(start("attackers", {"number": 1, **where}))
        told: dict[str, Any] = {"sent": 0, "connections": 0, "ends": {}}
        if kind is not None:
            await attackers.ask("attack", kind=kind, count=count)
        used = server.processor_seconds()
        latencies = (await healthy.ask("probe", seconds=seconds))["latencies"]
        used = server.processor_seconds() - used
        during = await server.ask("state")
        if kind in EXPECTED_ENDS:
            await attackers.ask("ended", end=EXPECTED_ENDS[kind])
        if kind is not None:
            told = await attackers.ask("stop")
        if kind != "grenades":
            # Of those, what has been read already takes minutes.
            await server.ask("empty", path="/sink")
        after = await server.ask("state")
        return {
            "attackers": count,
            "sent_mib": round(told["sent"] / MiB, 1),
            "attackers_connections": told["connections"],
            "ends": told["ends"],
            "messages": len(latencies),
            "latency_ms": quantiles(latencies),
            "p99_ms": round(percentile(latencies, 99) / 1000, 2),
            "processor_share": round(used / seconds, 2),
            "budget_mib": round(during["budget"] / MiB, 1),
            "budget_after": after["budget"],
            "rss_mib_peak": round(server.peak() / MiB, 1),
        }


QUICK: dict[str, Any] = {
    "seconds": 0.5,
    "flooding": 4,
    "half_open": 50,
    "unfinished": 100,
    "open_timeout": 0.3,
}


def allowed(one: dict[str, Any]) -> float:
    """Returns the MiB that a server may take under an attack."""
    return float(BASE + BUDGET + one["attackers"] * PER_CONNECTION) / MiB


def faults(result: dict[str, Any]) -> list[str]:
    """Returns what should not have been, but for figures that the machine has a say in."""
    found = []
    for kind, one in result["attacks"].items():
        if not one["messages"]:
            found.append(f"{kind}: the healthy client got nothing back")
        if one["budget_mib"] * MiB > BUDGET:
            found.append(f"{kind}: unfinished messages of {one['budget_mib']} MiB")
        if one["budget_after"] and kind != "grenades":
            found.append(f"{kind}: {one['budget_after']} bytes of nobody's message are kept")
        if one["rss_mib_peak"] > allowed(one):
            found.append(f"{kind}: {one['rss_mib_peak']} MiB of memory")
        if kind in EXPECTED_ENDS and not one["ends"].get(EXPECTED_ENDS[kind]):
            found.append(f"{kind}: the server ended them with {one['ends']}")
    return found


def misses(result: dict[str, Any]) -> list[str]:
    """Returns the figures that are not what they should be."""
    return [
        f"{kind}: the healthy client's 99th percentile is {one['p99_ms']} ms"
        for kind, one in result["attacks"].items()
        if one["p99_ms"] > IN_TIME
    ]
