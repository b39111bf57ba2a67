"""tornado: a WebSocketHandler."""

import argparse
from typing import Any

from tornado.web import Application
from tornado.websocket import WebSocketHandler

from . import run, serve_forever

everybody: set["Echo"] = set()
deflates = False


class Echo(WebSocketHandler):
    """Serves one connection."""

    def get_compression_options(self) -> dict[str, Any] | None:
        """Compresses if that is measured."""
        return {} if deflates else None

    def on_message(self, message: str | bytes) -> None:
        """Sends back what comes."""
        self.write_message(message, isinstance(message, bytes))


class Broadcast(Echo):
    """Serves one connection."""

    def open(self, *args: str, **kwargs: str) -> None:
        """Joins."""
        everybody.add(self)

    def on_close(self) -> None:
        """Leaves."""
        everybody.discard(self)

    def on_message(self, message: str | bytes) -> None:
        """Sends what comes to all."""
        for other in everybody:
            other.write_message(message, isinstance(message, bytes))


async def main(options: argparse.Namespace) -> None:
    """Runs the server."""
    global deflates
    deflates = options.deflate is not None
    handler = Echo if options.workload == "echo" else Broadcast
    Application([("/", handler)]).listen(options.port, "127.0.0.1")
    await serve_forever()


if __name__ == "__main__":
    run(main)
