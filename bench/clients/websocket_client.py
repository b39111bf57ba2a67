"""websocket-client, in a thread; without validating UTF-8, which it does in Python, at its wish."""

import websocket

from . import arguments, exchange_sync


def main() -> None:
    """Runs the client."""
    options = arguments()
    connection = websocket.create_connection(options.uri, skip_utf8_validation=True)
    exchange_sync(options, connection.send, connection.recv)
    connection.close()


if __name__ == "__main__":
    main()
