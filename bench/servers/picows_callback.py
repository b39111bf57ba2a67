"""picows: its own interface, callbacks for frames. It has no permessage-deflate."""

import argparse

from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)

from . import run, serve_forever

everybody: set[WSTransport] = set()


class Echo(WSListener):
    """Serves one connection."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Sends back what comes."""
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        else:
            transport.send(frame.msg_type, frame.get_payload_as_memoryview())


class Broadcast(WSListener):
    """Serves one connection."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Joins."""
        everybody.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Leaves."""
        everybody.discard(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Sends what comes to all."""
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        else:
            payload = frame.get_payload_as_bytes()
            for other in everybody:
                other.send(frame.msg_type, payload)


async def main(options: argparse.Namespace) -> None:
    """Runs the server."""
    listener = Echo if options.workload == "echo" else Broadcast

    def factory(request: WSUpgradeRequest) -> WSListener:
        return listener()

    await ws_create_server(factory, "127.0.0.1", options.port)
    await serve_forever()


if __name__ == "__main__":
    run(main)
