"""Everybody hears everybody, without asyncio: each connection has a thread."""

import contextlib
import json
import threading
from datetime import UTC, datetime

from rfc6455 import Overflow
from rfc6455.sync import WebSocket, broadcast, serve

everybody: set[WebSocket] = set()
lock = threading.Lock()
"""Whoever has it knows who is there, and speaks alone: all hear all in the same order."""


def event(kind: str, **fields: object) -> str:
    """Makes an event."""
    return json.dumps({"type": kind, **fields, "timestamp": datetime.now(UTC).isoformat()})


def tell(receivers: set[WebSocket], text: str) -> None:
    """Tells many; who reads so slowly that a message would be missing is disconnected."""
    broadcast(receivers, text, overflow=Overflow.DISCONNECT)


def said(message: str | bytes) -> str | None:
    """Returns what a client says, or None where it makes no sense."""
    try:
        text = json.loads(message)["message"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return text if isinstance(text, str) else None


def talk(websocket: WebSocket) -> None:
    """Serves one connection."""
    with lock:
        everybody.add(websocket)
        websocket.push(event("system", message="Welcome!"))
        tell(everybody - {websocket}, event("user_joined", count=len(everybody)))
    try:
        for message in websocket:
            text = said(message)
            if text is None:
                websocket.send(event("error", message='say {"message": "..."}'))
                continue
            with lock:
                tell(everybody, event("message", message=text))
    finally:
        with lock:
            everybody.discard(websocket)
            tell(everybody, event("user_left", count=len(everybody)))


def main() -> None:
    """Runs the server until Ctrl-C."""
    with serve(talk, "localhost", 8765) as server:
        print("Talk at ws://localhost:8765", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
