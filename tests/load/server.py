"""The server under load: it echoes, and sends to all of a path what the scenario asks for.

What lives here: a server as an application would have it, and what a scenario may ask it.
This file does not know who connects.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections import Counter
from typing import Any, Final

import rfc6455
from rfc6455 import Limits, MemoryBudget, Overflow, PermessageDeflate, WebSocket, broadcast

from .programs import Answer, obey, raise_file_limit, run, say

STAMP: Final = 8
"""Bytes at the start of a message for the time when it was sent."""


class Application:
    """The handler, and the answers to a scenario's questions."""

    def __init__(self, budget: MemoryBudget) -> None:
        self.budget = budget
        self.server: rfc6455.Server | None = None
        self.members: dict[str, set[WebSocket]] = {}
        self.ended: Counter[str] = Counter()
        self.left = asyncio.Event()

    async def handle(self, websocket: WebSocket) -> None:
        """Echoes what comes; with the path ``/sink``, throws it away."""
        assert websocket.request is not None
        path = websocket.request.path
        members = self.members.setdefault(path, set())
        members.add(websocket)
        try:
            async for message in websocket:
                if path != "/sink":
                    await websocket.send(message)
        finally:
            # How it ended is known when TCP has.
            await websocket.wait_closed()
            members.discard(websocket)
            self.ended[str(websocket.close_code)] += 1
            self.left.set()

    async def state(self) -> Answer:
        """Tells what there is at this moment."""
        assert self.server is not None
        return {
            "connections": len(self.server.connections),
            "tasks": len(asyncio.all_tasks()),
            "ended": dict(self.ended),
            "budget": self.budget.used,
        }

    async def empty(self, path: str) -> Answer:
        """Waits until nobody of a path is there."""
        while self.members.get(path):
            self.left.clear()
            await self.left.wait()
        return {}

    async def broadcast(
        self, paths: list[str], size: int, overflow: str = "DROP_NEWEST", key: str | None = None
    ) -> Answer:
        """Sends a message to all of some paths, and tells what waits for those of ``/stalled``."""
        receivers = [w for path in paths for w in self.members.get(path, ())]
        start = time.monotonic_ns()
        message = start.to_bytes(STAMP, "big") + bytes(size - STAMP)
        skipped = broadcast(receivers, message, key=key, overflow=Overflow[overflow])
        slow = self.members.get("/stalled", set())
        return {
            "seconds": (time.monotonic_ns() - start) / 1e9,
            "receivers": len(receivers),
            "skipped": len(skipped),
            "most_unsent": max((w.unsent_size for w in slow), default=0),
            "most_written": max((w._transport.get_write_buffer_size() for w in slow), default=0),
            "dropped": sum(w.dropped for w in slow),
        }


async def main(options: Answer) -> None:
    """Serves, and obeys the scenario; SIGTERM ends it as `drain` says."""
    raise_file_limit(options.pop("files", None))
    drain: dict[str, Any] = options.pop("drain", {})
    budget = MemoryBudget(options.pop("budget", 64 * 2**20))
    extensions = [PermessageDeflate()] if options.pop("deflate", False) else []
    limits = Limits(**options.pop("limits", {}))
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    send_buffer = options.pop("send_buffer", None)
    if send_buffer is not None:
        # Connections have it from the socket that accepted them.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    application = Application(budget)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with rfc6455.serve(
        application.handle,
        sock=listening,
        extensions=extensions,
        limits=limits,
        memory_budget=budget,
        **options,
    ) as server:
        application.server = server
        say({"port": server.sockets[0].getsockname()[1]})
        commands = {name: getattr(application, name) for name in ("state", "empty", "broadcast")}
        tasks = [asyncio.create_task(obey(commands)), asyncio.create_task(ended.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if ended.is_set():
            start = time.monotonic()
            drained = await server.drain(**drain)
            say(
                {
                    "closed": drained.closed,
                    "aborted": drained.aborted,
                    "seconds": time.monotonic() - start,
                    "handlers": dict(application.ended),
                }
            )
        for task in tasks:
            task.cancel()


if __name__ == "__main__":
    run(main)
