"""The limit row: a blocking socket, and frames that were made before."""

import socket

from . import Meter, arguments

REQUEST = (
    "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame(text: str, *, masked: bool) -> bytes:
    """Returns a text frame, masked with zeros."""
    size = len(text)
    bit = 0x80 if masked else 0
    if size < 126:
        header = bytes((0x81, bit | size))
    elif size < 65536:
        header = bytes((0x81, bit | 126)) + size.to_bytes(2, "big")
    else:
        header = bytes((0x81, bit | 127)) + size.to_bytes(8, "big")
    return header + bytes(4 if masked else 0) + text.encode()


def main() -> None:
    """Runs the client."""
    options = arguments()
    ours, theirs = frame(options.text, masked=True), frame(options.text, masked=False)
    batch = memoryview(ours * options.in_flight)
    buffer = bytearray(256 * 1024)
    with socket.create_connection(("127.0.0.1", options.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(REQUEST.encode())
        while not connection.recv(4096).endswith(b"\r\n\r\n"):
            pass
        connection.sendall(ours)
        received = b""
        while len(received) < len(theirs):
            received += connection.recv(len(theirs) - len(received))
        assert received == theirs
        meter = Meter(options)
        connection.sendall(batch)
        octets = messages = 0
        over = False
        while not over:
            octets += connection.recv_into(buffer)
            whole, octets = divmod(octets, len(theirs))
            if whole:
                connection.sendall(batch[: whole * len(ours)])
                messages += whole
            if messages >= meter.every:
                over = meter.count(messages)
                messages = 0


if __name__ == "__main__":
    main()
