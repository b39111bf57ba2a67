"""The limit row of event loops: an `asyncio.Protocol`, and frames that were made before."""

import argparse
import asyncio
from typing import cast

from . import Meter, run
from .raw_socket import REQUEST, frame


class Client(asyncio.Protocol):
    """Sends another frame for each that comes back."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.meter = Meter(options)
        self.ours = frame(options.text, masked=True)
        self.theirs = len(frame(options.text, masked=False))
        self.batch = memoryview(self.ours * options.in_flight)
        self.octets = self.messages = 0
        self.response = b""
        self.open = False
        self.over = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for an upgrade."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(REQUEST.encode())

    def data_received(self, data: bytes) -> None:
        """Begins after the answer, and goes on."""
        if not self.open:
            self.response += data
            self.open = self.response.endswith(b"\r\n\r\n")
            if self.open:
                self.transport.write(self.batch)
            return
        whole, self.octets = divmod(self.octets + len(data), self.theirs)
        if whole:
            self.transport.write(self.batch[: whole * len(self.ours)])
            self.messages += whole
            if self.messages >= self.meter.every:
                if self.meter.count(self.messages):
                    self.transport.abort()
                    self.over.set()
                self.messages = 0


async def main(options: argparse.Namespace) -> None:
    """Runs the client."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: Client(options), "127.0.0.1", options.port)
    await client.over.wait()


if __name__ == "__main__":
    run(main)
