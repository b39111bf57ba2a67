"""Rooms that people join and leave, without asyncio; see rooms.py."""

import contextlib
import json
import re
import threading
from collections import defaultdict

from rfc6455 import Overflow, Router
from rfc6455.sync import WebSocket, broadcast, serve

ROOM = re.compile("[A-Za-z0-9_.-]{1,64}")
ROOMS_OF_ONE = 50

router = Router()


class Rooms:
    """Who is where. A room is there as long as somebody is in it."""

    def __init__(self) -> None:
        self._members: defaultdict[str, dict[WebSocket, str]] = defaultdict(dict)
        self._rooms: defaultdict[WebSocket, set[str]] = defaultdict(set)
        self.lock = threading.Lock()
        """To be held by whoever calls a method."""

    def of(self, websocket: WebSocket) -> list[str]:
        """The rooms that somebody is in."""
        return sorted(self._rooms.get(websocket, ()))

    def users(self, room: str) -> list[str]:
        """The names of those who are in a room."""
        return sorted(set(self._members.get(room, {}).values()))

    def join(self, room: str, websocket: WebSocket, user: str) -> None:
        """Lets somebody into a room, and tells all who are there."""
        self._members[room][websocket] = user
        self._rooms[websocket].add(room)
        self.tell(room, {"room": room, "users": self.users(room)})

    def leave(self, room: str, websocket: WebSocket) -> None:
        """Lets somebody out, and tells those who stay; the last one takes the room along."""
        self._rooms[websocket].remove(room)
        if not self._rooms[websocket]:
            del self._rooms[websocket]
        del self._members[room][websocket]
        if not self._members[room]:
            del self._members[room]
        self.tell(room, {"room": room, "users": self.users(room)})

    def tell(self, room: str, event: object) -> None:
        """Tells everybody in a room, without waiting for anybody."""
        members = self._members.get(room, {})
        broadcast(members, json.dumps(event), overflow=Overflow.DISCONNECT)


rooms = Rooms()


def obey(websocket: WebSocket, user: str, message: str | bytes) -> object:
    """Does what a message asks for, and returns the answer, if any.

    It asks for ``{"join": room}``, ``{"leave": room}``, ``{"say": text, "room": room}`` or
    ``{"rooms": null}``.
    """
    mine = rooms.of(websocket)
    match json.loads(message):
        case {"join": str(room)} if ROOM.fullmatch(room) and len(mine) < ROOMS_OF_ONE:
            rooms.join(room, websocket, user)
        case {"leave": str(room)} if room in mine:
            rooms.leave(room, websocket)
        case {"say": str(text), "room": str(room)} if room in mine:
            rooms.tell(room, {"room": room, "from": user, "text": text})
            return None
        case {"rooms": None}:
            return {"rooms": mine}
        case _:
            return {"error": "no command, or not there"}
    return {"rooms": rooms.of(websocket)}


@router.websocket("/<string(maxlength=64):user>")
def chat(websocket: WebSocket, user: str) -> None:
    """Serves one connection of somebody who is believed; see threads_tokens.py for who is not."""
    try:
        for message in websocket:
            try:
                with rooms.lock:
                    answer = obey(websocket, user, message)
            except (ValueError, RecursionError):
                answer = {"error": "this is not JSON"}
            if answer is not None:
                websocket.send(json.dumps(answer))
    finally:
        with rooms.lock:
            for room in rooms.of(websocket):
                rooms.leave(room, websocket)


def main() -> None:
    """Runs the server until Ctrl-C."""
    with serve(router, "localhost", 8765) as server:
        print("Rooms at ws://localhost:8765/your-name", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
