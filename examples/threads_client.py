"""A client without asyncio: one thread receives, others send."""

import threading

from rfc6455.sync import WebSocket, connect


def count(websocket: WebSocket, name: str) -> None:
    """Sends three messages from a thread of its own."""
    for number in range(3):
        websocket.send(f"{name} {number}")


def main() -> None:
    """Talks to threads_server.py."""
    with connect("ws://localhost:8765") as websocket:
        threads = [threading.Thread(target=count, args=(websocket, name)) for name in "ab"]
        for thread in threads:
            thread.start()
        received = [websocket.recv(timeout=10) for _ in range(6)]
        for thread in threads:
            thread.join()
        print(sorted(map(str, received)))
        print(f"one round trip: {websocket.ping() * 1000:.1f} ms")


if __name__ == "__main__":
    main()
