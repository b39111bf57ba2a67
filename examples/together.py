"""A page that everybody writes on: what one browser sends, all browsers show."""

import asyncio
import contextlib
from pathlib import Path

import rfc6455
from rfc6455 import Request, Response, WebSocket

PAGE = (Path(__file__).parent / "together.html").read_text(encoding="utf-8")

everybody: set[WebSocket] = set()


def plain_http(request: Request) -> Response | None:
    """Answers requests that do not want a WebSocket."""
    if request.wants_websocket:
        return None
    if request.path == "/":
        return Response.text(PAGE, content_type="text/html; charset=utf-8")
    return Response.text("not found\n", 404)


async def handler(websocket: WebSocket) -> None:
    """Hands on what one browser sends."""
    everybody.add(websocket)
    try:
        async for message in websocket:
            sending = [other.send(message) for other in everybody]
            await asyncio.gather(*sending, return_exceptions=True)
    finally:
        everybody.discard(websocket)


async def main() -> None:
    """Runs the server until Ctrl-C."""
    async with rfc6455.serve(
        handler,
        "localhost",
        8765,
        process_request=plain_http,
        origins=["http://localhost:8765"],
        limits=rfc6455.Limits(max_message_size=4096),
    ) as server:
        print("Open http://localhost:8765", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        rfc6455.run(main())
