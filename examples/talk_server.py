"""Everybody hears everybody: who comes, who goes, and what is said, as JSON."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime

import rfc6455
from rfc6455 import Overflow, WebSocket

everybody: set[WebSocket] = set()


def event(kind: str, **fields: object) -> str:
    """Makes an event."""
    return json.dumps({"type": kind, **fields, "timestamp": datetime.now(UTC).isoformat()})


def tell(receivers: set[WebSocket], text: str) -> None:
    """Tells many; who reads so slowly that a message would be missing is disconnected."""
    rfc6455.broadcast(receivers, text, overflow=Overflow.DISCONNECT)


def said(message: str | bytes) -> str | None:
    """Returns what a client says, or None where it makes no sense."""
    try:
        text = json.loads(message)["message"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return text if isinstance(text, str) else None


async def talk(websocket: WebSocket) -> None:
    """Serves one connection."""
    everybody.add(websocket)
    try:
        await websocket.send(event("system", message="Welcome!"))
        tell(everybody - {websocket}, event("user_joined", count=len(everybody)))
        async for message in websocket:
            text = said(message)
            if text is None:
                await websocket.send(event("error", message='say {"message": "..."}'))
            else:
                tell(everybody, event("message", message=text))
    finally:
        everybody.discard(websocket)
        tell(everybody, event("user_left", count=len(everybody)))


async def main() -> None:
    """Runs the server until Ctrl-C."""
    async with rfc6455.serve(talk, "localhost", 8765) as server:
        print("Talk at ws://localhost:8765", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
