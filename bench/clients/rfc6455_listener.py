"""Ours, with callbacks: a `rfc6455.Listener`."""

import argparse
import asyncio

import rfc6455

from . import Meter, run


class Client(rfc6455.Listener):
    """Sends another message for each that comes back."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.meter = Meter(options)
        self.text = options.text
        self.in_flight = options.in_flight
        self.left = self.meter.every
        self.closed = asyncio.Event()

    def on_open(self, websocket: rfc6455.CallbackWebSocket) -> None:
        """Begins."""
        for _ in range(self.in_flight):
            websocket.push(self.text)

    def on_message(self, websocket: rfc6455.CallbackWebSocket, message: rfc6455.Message) -> None:
        """Goes on."""
        websocket.push(self.text)
        self.left -= 1
        if not self.left:
            assert message == self.text
            self.left = self.meter.every
            if self.meter.count(self.meter.every):
                websocket.abort()

    def on_close(self, websocket: rfc6455.CallbackWebSocket) -> None:
        """Ends."""
        self.closed.set()


async def main(options: argparse.Namespace) -> None:
    """Runs the client."""
    client = Client(options)
    await rfc6455.connect_listener(client, options.uri, extensions=())
    await client.closed.wait()


if __name__ == "__main__":
    run(main)
