"""websockets: its server with threads."""

from websockets.sync.server import ServerConnection, serve

from . import arguments


def echo(websocket: ServerConnection) -> None:
    """Serves one connection."""
    for message in websocket:
        websocket.send(message)


def main() -> None:
    """Runs the server."""
    options = arguments()
    with serve(echo, "127.0.0.1", options.port, compression=None) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
