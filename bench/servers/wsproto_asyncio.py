"""wsproto: sans-IO, so this drives it with an `asyncio.Protocol`, one write for each read."""

import argparse
import asyncio
from typing import Any, cast

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Message,
    Ping,
    Request,
    TextMessage,
)
from wsproto.extensions import Extension, PerMessageDeflate

from . import run, serve_forever

everybody: set["Serving"] = set()


class Serving(asyncio.Protocol):
    """Serves one connection."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.websocket = WSConnection(ConnectionType.SERVER)
        self.broadcasts = options.workload == "broadcast"
        self.extensions: list[Extension] = [PerMessageDeflate()] if options.deflate else []
        self.parts: list[str] | list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Joins."""
        self.transport = cast("asyncio.Transport", transport)
        everybody.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leaves."""
        everybody.discard(self)

    def data_received(self, data: bytes) -> None:
        """Answers what a read brings."""
        self.websocket.receive_data(data)
        out = []
        for event in self.websocket.events():
            if isinstance(event, TextMessage | BytesMessage):
                self.parts.append(event.data)  # type: ignore[arg-type]
                if event.message_finished:
                    message = type(event)(data=event.data[:0].join(self.parts))  # type: ignore[arg-type]
                    self.parts = []
                    out.append(self.reply(message))
            elif isinstance(event, Request):
                out.append(self.websocket.send(AcceptConnection(extensions=self.extensions)))
            elif isinstance(event, Ping | CloseConnection):
                out.append(self.websocket.send(event.response()))
        self.transport.write(b"".join(out))
        if self.websocket.state.name == "CLOSED":
            self.transport.close()

    def reply(self, message: Message[Any]) -> bytes:
        """Returns what this connection sends; in a broadcast that was sent to all."""
        if not self.broadcasts:
            return self.websocket.send(message)
        for other in everybody:
            other.transport.write(other.websocket.send(message))
        return b""


async def main(options: argparse.Namespace) -> None:
    """Runs the server."""
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Serving(options), "127.0.0.1", options.port)
    await serve_forever()


if __name__ == "__main__":
    run(main)
