"""A running chat, and a client that speaks its protocol, for the tests of the server."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import rfc6455
from server.app import App
from server.config import Config

# Most tests ask as fast as they can.
UNHURRIED = {
    "connection_rate": 0.0,
    "user_rate": 0.0,
    "address_rate": 0.0,
    "max_connections_per_address": 0,
    # And hear at once of who is gone.
    "away_after": 0.0,
}

PATIENT_LIMITS = functools.partial(
    rfc6455.Limits, ping_interval=None, write_timeout=None, close_timeout=60.0
)


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[str]:
    """Runs the chat on a free port, and gives its address without a scheme."""
    with pytest.MonkeyPatch.context() as patch:
        # Nobody who does not read is dropped for another reason before the chat finds them slow.
        patch.setattr("server.app.Limits", PATIENT_LIMITS)
        async with App(Config(host="127.0.0.1", port=0, **UNHURRIED | settings)) as app:
            yield f"127.0.0.1:{app.port}"


class Client:
    """A connected client: sends commands, and keeps the events that come meanwhile."""

    def __init__(self, websocket: rfc6455.WebSocket) -> None:
        self.websocket = websocket
        self.events: list[dict[str, Any]] = []
        self._last_id = 0
        # Of a message with several.
        self._received: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        """The next message, whatever it is."""
        while not self._received:
            message = json.loads(await self.websocket.recv())
            self._received = message if isinstance(message, list) else [message]
        return self._received.pop(0)

    async def post(self, type: str, **fields: Any) -> None:
        """Sends a command and does not wait for its answer."""
        await self.websocket.send(json.dumps({"type": type, **fields}))

    async def ask(self, type: str, **fields: Any) -> dict[str, Any]:
        """Sends a command and returns its answer."""
        self._last_id += 1
        await self.websocket.send(json.dumps({"type": type, "id": self._last_id, **fields}))
        return await self.answer(fields.get("id", self._last_id))

    async def answer(self, request_id: Any) -> dict[str, Any]:
        """The next answer, which must be to this request."""
        while True:
            event = await self.receive()
            if event["type"] in ("ack", "error"):
                assert event["id"] == request_id
                return event
            self.events.append(event)

    async def members(self, room: str) -> dict[str, bool]:
        """The names of a room's members, and whether they are here."""
        answer = await self.ask("members", room=room)
        return {member["name"]: member["online"] for member in answer["members"]}

    async def event(self, type: str) -> dict[str, Any]:
        """The next event of a type; those before it are passed over."""
        while True:
            event = self.events.pop(0) if self.events else await self.receive()
            if event["type"] == type:
                return event


@asynccontextmanager
async def client(address: str, name: str = "", room: str = "") -> AsyncIterator[Client]:
    """Connects a client, and lets it enter under a name and join a room."""
    async with rfc6455.connect(f"ws://{address}/ws") as websocket:
        connected = Client(websocket)
        assert (await connected.receive())["type"] == "welcome"
        if name:
            assert (await connected.ask("hello", name=name))["type"] == "ack"
        if room:
            assert (await connected.ask("join", room=room))["type"] == "ack"
        yield connected


async def stats(address: str) -> dict[str, int]:
    """What the server tells about itself at /api/stats."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET /api/stats HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    found: dict[str, int] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found
