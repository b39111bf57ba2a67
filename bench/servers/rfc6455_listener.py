"""Ours, with callbacks: a `rfc6455.Listener`."""

import argparse

import rfc6455

from . import run, serve_forever
from .rfc6455_iterate import extensions

everybody: set[rfc6455.CallbackWebSocket] = set()


class Echo(rfc6455.Listener):
    """Serves one connection."""

    def on_message(self, websocket: rfc6455.CallbackWebSocket, message: rfc6455.Message) -> None:
        """Sends back what comes."""
        websocket.push(message)


class Broadcast(rfc6455.Listener):
    """Serves one connection."""

    def on_open(self, websocket: rfc6455.CallbackWebSocket) -> None:
        """Joins."""
        everybody.add(websocket)

    def on_close(self, websocket: rfc6455.CallbackWebSocket) -> None:
        """Leaves."""
        everybody.discard(websocket)

    def on_message(self, websocket: rfc6455.CallbackWebSocket, message: rfc6455.Message) -> None:
        """Sends what comes to all."""
        rfc6455.broadcast(everybody, message)


async def main(options: argparse.Namespace) -> None:
    """Runs the server."""
    listener = Echo if options.workload == "echo" else Broadcast
    offered = extensions(options.deflate)
    # A hundred clients with a mebibyte under way from each are more than the default allows.
    budget = rfc6455.MemoryBudget(1024 * 1024 * 1024)
    async with rfc6455.serve(
        listener, "127.0.0.1", options.port, extensions=offered, memory_budget=budget
    ):
        await serve_forever()


if __name__ == "__main__":
    run(main)
