"""The limit rows: an event loop and one Python callback per read, with no WebSocket in between.

The opening handshake is answered. In ``echo`` octets then go back as they came. In ``broadcast``
the frame that all get is made once, from a small message that came in one read. In ``handshakes``
whatever comes is taken for a Close.
"""

import argparse
import asyncio
import base64
import hashlib
import re
from collections.abc import Callable
from typing import Final, cast

from . import run, serve_forever

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
everybody: set[asyncio.Transport] = set()


class Raw(asyncio.Protocol):
    """Serves one connection: answers its request, and leaves the rest to another protocol."""

    def __init__(self, opened: Callable[[asyncio.Transport], asyncio.Protocol]) -> None:
        self.opened = opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Waits for the request."""
        self.transport = cast("asyncio.Transport", transport)
        self.request = b""

    def data_received(self, data: bytes) -> None:
        """Answers the request; after that others do."""
        self.request += data
        if not self.request.endswith(b"\r\n\r\n"):
            return
        match = re.search(rb"Sec-WebSocket-Key: (\S+)", self.request)
        assert match is not None
        accept = base64.b64encode(hashlib.sha1(match[1] + GUID).digest())
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self.transport.set_protocol(self.opened(self.transport))


class Echoing(asyncio.Protocol):
    """Writes what it reads."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.data_received = transport.write  # type: ignore[method-assign]


class Broadcasting(asyncio.Protocol):
    """Writes what it reads to all."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        everybody.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leaves."""
        everybody.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        """Makes one frame for all."""
        size = data[1] & 0x7F
        at = 2 if size < 126 else 4
        key, payload = data[at : at + 4], data[at + 4 :]
        pad = (key * (len(payload) // 4 + 1))[: len(payload)]
        octets = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
        frame = bytes((data[0], size)) + data[2:at] + octets.to_bytes(len(payload), "big")
        for other in everybody:
            other.write(frame)


class Closing(asyncio.Protocol):
    """Takes whatever comes for a Close."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Closes with 1000."""
        self.transport.write(b"\x88\x02\x03\xe8")
        self.transport.close()


WORKLOADS: Final = {"echo": Echoing, "broadcast": Broadcasting, "handshakes": Closing}


async def main(options: argparse.Namespace) -> None:
    """Runs the server."""
    loop = asyncio.get_running_loop()
    opened = WORKLOADS[options.workload]
    await loop.create_server(lambda: Raw(opened), "127.0.0.1", options.port)
    await serve_forever()


if __name__ == "__main__":
    run(main)
