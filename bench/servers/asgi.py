"""An ASGI application in uvicorn; the variant is its ``--ws``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from . import arguments

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

everybody: set[Send] = set()


def reply(event: dict[str, Any]) -> dict[str, Any]:
    """Returns the event that sends what came."""
    text = event.get("text")
    if text is not None:
        return {"type": "websocket.send", "text": text}
    return {"type": "websocket.send", "bytes": event["bytes"]}


async def echo(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Serves one connection."""
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send(reply(event))


async def broadcast(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Serves one connection."""
    await receive()
    await send({"type": "websocket.accept"})
    everybody.add(send)
    try:
        while (event := await receive())["type"] == "websocket.receive":
            message = reply(event)
            for other in list(everybody):
                await other(message)
    finally:
        everybody.discard(send)


def main() -> None:
    """Runs the server."""
    options = arguments()
    application: Any = echo if options.workload == "echo" else broadcast
    import uvicorn

    uvicorn.run(
        application,
        host="127.0.0.1",
        port=options.port,
        loop=options.loop,
        ws=options.variant,
        lifespan="off",
        log_level="warning",
        ws_per_message_deflate=options.deflate is not None,
    )


if __name__ == "__main__":
    main()
