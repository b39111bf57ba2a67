"""Rooms by path, a page, numbers as JSON, and a form, on one port."""

import asyncio
import contextlib

import rfc6455
from rfc6455 import Request, Response, Router, WebSocket

router = Router()
rooms: dict[str, set[WebSocket]] = {}


@router.websocket("/rooms/<room>", origins=["http://localhost:8765", None])
async def chat(websocket: WebSocket, room: str) -> None:
    """Hands on what one member of a room says to all of them."""
    members = rooms.setdefault(room, set())
    members.add(websocket)
    try:
        async for message in websocket:
            sending = [member.send(message) for member in members]
            await asyncio.gather(*sending, return_exceptions=True)
    finally:
        members.discard(websocket)
        if not members:
            del rooms[room]


@router.websocket("/countdown/<int:start>")
async def countdown(websocket: WebSocket, start: int) -> None:
    """Counts down, and closes."""
    for number in range(start, 0, -1):
        await websocket.send(str(number))


@router.http("/")
def page(request: Request) -> Response:
    """A page of HTML."""
    return Response.html("<!doctype html><title>Rooms</title><h1>Rooms</h1>")


@router.http("/rooms")
def numbers(request: Request) -> Response:
    """How many are in which room."""
    return Response.json({room: len(members) for room, members in rooms.items()})


@router.http("/rooms/<room>", methods=["POST"])
async def announce(request: Request, room: str) -> Response:
    """Says something in a room, from outside of it."""
    members = rooms.get(room, set())
    text = request.body.decode(errors="replace")
    await asyncio.gather(*(member.send(text) for member in members), return_exceptions=True)
    return Response.json({"receivers": len(members)})


async def main() -> None:
    """Runs the server until Ctrl-C."""
    async with rfc6455.serve(router, "localhost", 8765) as server:
        print("Rooms at http://localhost:8765", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        rfc6455.run(main())
