"""picows: its own interface, callbacks for frames."""

import argparse

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from . import Meter, run


class Client(WSListener):
    """Sends another message for each that comes back."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.meter = Meter(options)
        self.message = options.text.encode()
        self.in_flight = options.in_flight
        self.left = self.meter.every
        self.checked = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Begins."""
        for _ in range(self.in_flight):
            transport.send(WSMsgType.TEXT, self.message)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Goes on."""
        if not self.checked:
            self.checked = True
            assert frame.get_payload_as_bytes() == self.message
        transport.send(WSMsgType.TEXT, self.message)
        self.left -= 1
        if not self.left:
            self.left = self.meter.every
            if self.meter.count(self.meter.every):
                transport.disconnect()


async def main(options: argparse.Namespace) -> None:
    """Runs the client."""
    transport, _ = await ws_connect(lambda: Client(options), options.uri)
    await transport.wait_disconnected()


if __name__ == "__main__":
    run(main)
