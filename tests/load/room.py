"""A message to thousands in one room of the chat, of whom some do not read."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from contextlib import ExitStack
from itertools import chain
from statistics import median
from typing import Any, Final

from rfc6455.codec import encode
from rfc6455.frames import Opcode
from server.client import ChatClient

from .chat import ask_all, chat, speaker
from .figures import percentile, quantiles
from .programs import Program, processor_seconds

ALONE: Final = "lobby"
BESIDE: Final = "beside"
"""A room of the same members, and of those who do not read."""
RECEIVE_BUFFER: Final = 16 * 1024
HANDSHAKE: Final = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def run(
    *,
    members: int = 10_000,
    stalled: int = 10,
    messages: int = 40,
    size: int = 4_000,
    burst: int = 20,
    processes: int = 2,
    under: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Says something, waits until all have heard it, and says the next; at last all at once.

    In turns in a room of the members alone, and in one where the stalled ones are too.

    Args:
        members: how many.
        stalled: how many others read nothing.
        messages: in each of both rooms, one at a time.
        size: of the text of one, in characters.
        burst: messages of 100 characters that are said at once, in the end.
        processes: of members.
        under: the command that the members run under.
    """
    begin = time.monotonic()
    async with (
        chat(members, [ALONE, BESIDE], processes, under) as (server, crowds),
        speaker(server, ALONE, BESIDE) as client,
    ):
        entering = time.monotonic() - begin
        rounds: dict[str, list[list[int]]] = {ALONE: [], BESIDE: []}
        seconds = 0.0
        with ExitStack() as sockets:
            for number in range(stalled):
                _stall(sockets, server.port, number)
            used = processor_seconds(server.pid)
            for number in range(2 * messages):
                room = (ALONE, BESIDE)[number % 2]
                heard, took = await _say(client, crowds, room, [size])
                rounds[room].append(heard)
                seconds += took
            used = processor_seconds(server.pid) - used
            in_burst, took = await _say(client, crowds, ALONE, [100] * burst)
        states = await ask_all(crowds, "state")
    latencies = {room: list(chain.from_iterable(heard)) for room, heard in rounds.items()}
    # Of each message's own, since a moment in which the machine does something else is in few.
    alone, beside = (
        median(percentile(heard, 99) for heard in rounds[room]) for room in (ALONE, BESIDE)
    )
    delivered = sum(map(len, latencies.values()))
    return {
        "members": members,
        "stalled": stalled,
        "messages": messages,
        "size": size,
        "entering_seconds": round(entering, 1),
        "delivered": delivered,
        "deliveries_per_second": round(delivered / seconds),
        "server_microseconds_each": round(used * 1e6 / delivered, 1),
        "alone_ms": quantiles(latencies[ALONE]),
        "beside_stalled_ms": quantiles(latencies[BESIDE]),
        "p99_of_a_message_ms": [round(alone / 1000, 1), round(beside / 1000, 1)],
        "p99_ratio": round(beside / alone, 2),
        "burst": burst,
        "burst_delivered": len(in_burst),
        "burst_deliveries_per_second": round(len(in_burst) / took),
        "burst_ms": quantiles(in_burst),
        "present": sum(one["present"] for one in states),
        "faults": {k: v for one in states for k, v in one["faults"].items()},
        "failures": {k: v for one in states for k, v in one["failures"].items()},
    }


async def _say(
    client: ChatClient, crowds: list[Program], room: str, sizes: list[int]
) -> tuple[list[int], float]:
    """Says messages at once; returns how late each was heard, and when the last was."""
    await ask_all(crowds, "expect", messages=len(sizes))
    begin = time.monotonic()
    texts = [f"{time.monotonic_ns()} ".ljust(size, ".") for size in sizes]
    await asyncio.gather(*(client.request("send", room=room, text=text) for text in texts))
    found = await ask_all(crowds, "collect")
    heard = [late for one in found for late in one["latencies"]]
    return heard, max(one["end"] for one in found) - begin


def _stall(sockets: ExitStack, port: int, number: int) -> None:
    """Lets somebody into a room who will read nothing of what is said."""
    sock = sockets.enter_context(socket.socket())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    sock.settimeout(60)
    sock.connect(("127.0.0.1", port))
    sock.sendall(HANDSHAKE)
    for command in (
        {"type": "hello", "name": f"stalled-{number}"},
        {"type": "join", "id": "joined", "room": BESIDE},
    ):
        sock.sendall(encode(Opcode.TEXT, json.dumps(command).encode(), masking_key=bytes(4)))
    read = b""
    while b'"id":"joined"' not in read:
        read += sock.recv(4096)


QUICK: dict[str, Any] = {"members": 40, "stalled": 2, "messages": 3, "burst": 5}


def faults(result: dict[str, Any]) -> list[str]:
    """Returns what should not have been, but for figures that the machine has a say in."""
    expected = {
        "delivered": 2 * result["messages"] * result["members"],
        "burst_delivered": result["burst"] * result["members"],
        "present": result["members"],
        "faults": {},
        "failures": {},
    }
    return [f"{n}: {result[n]}, not {v}" for n, v in expected.items() if result[n] != v]


def misses(result: dict[str, Any]) -> list[str]:
    """Returns the figures that are not what they should be."""
    ratio = result["p99_ratio"]
    return [f"the 99th percentile of a message is {ratio} times that alone"] if ratio >= 2 else []
