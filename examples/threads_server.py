"""An echo server without asyncio: each connection has a thread."""

import contextlib

from rfc6455.sync import WebSocket, serve


def echo(websocket: WebSocket) -> None:
    """Serves one connection."""
    for message in websocket:
        websocket.send(message)


def main() -> None:
    """Runs the server until Ctrl-C."""
    with serve(echo, "localhost", 8765) as server:
        print("Echo at ws://localhost:8765", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
