"""websocket-client, in a thread."""

import websocket

from . import arguments, exchange_sync


def main() -> None:
    """Runs the client."""
    options = arguments()
    connection = websocket.create_connection(options.uri)
    exchange_sync(options, connection.send, connection.recv)
    connection.close()


if __name__ == "__main__":
    main()
