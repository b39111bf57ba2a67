"""Ours with threads: a thread for each connection."""

from rfc6455.sync import WebSocket, serve

from . import arguments


def echo(websocket: WebSocket) -> None:
    """Serves one connection."""
    for message in websocket:
        websocket.send(message)


def main() -> None:
    """Runs the server."""
    options = arguments()
    with serve(
        echo, "127.0.0.1", options.port, extensions=(), max_connections=20_000, backlog=1000
    ) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
