"""Ours, in a thread."""

from rfc6455.sync import connect

from . import arguments, exchange_sync


def main() -> None:
    """Runs the client."""
    options = arguments()
    with connect(options.uri, extensions=()) as websocket:
        exchange_sync(options, websocket.send, websocket.recv)


if __name__ == "__main__":
    main()
