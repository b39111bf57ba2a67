"""websockets, in a thread."""

from websockets.sync.client import connect

from . import arguments, exchange_sync


def main() -> None:
    """Runs the client."""
    options = arguments()
    with connect(options.uri, compression=None) as websocket:
        exchange_sync(options, websocket.send, websocket.recv)


if __name__ == "__main__":
    main()
