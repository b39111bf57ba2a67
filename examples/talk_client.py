"""Talks to talk_server.py: each line that is typed is said; the end of the input ends it."""

import json
import sys
import threading

from rfc6455 import ConnectionClosed
from rfc6455.sync import WebSocket, connect

SHOWN = {
    "system": "* {message}",
    "message": "> {message}",
    "user_joined": "* somebody came, {count} are here",
    "user_left": "* somebody went, {count} are here",
}


def show(websocket: WebSocket) -> None:
    """Prints what comes, in a thread of its own."""
    try:
        for message in websocket:
            event = json.loads(message)
            print(SHOWN.get(event["type"], "! {message}").format(**event), flush=True)
    except ConnectionClosed as error:
        print(f"! {error}", flush=True)


def main() -> None:
    """Says what is typed."""
    with connect("ws://localhost:8765") as websocket:
        shower = threading.Thread(target=show, args=(websocket,))
        shower.start()
        try:
            for line in sys.stdin:
                websocket.send(json.dumps({"message": line.rstrip("\n")}))
        except ConnectionClosed:
            print("! nobody hears it", flush=True)
        websocket.close()
        shower.join()


if __name__ == "__main__":
    main()
