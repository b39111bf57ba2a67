"""Events one way and requests the other, where WebSocket is blocked: the same chat."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from rfc6455 import Headers, Request
from server import fallback
from server.app import App
from server.config import Config
from server.fallback import MAX_UNREAD, MAX_WAITING, EventStream
from server.http import HttpError
from server.tokens import Role, Tokens, secret_key
from tests.helpers import async_test

from .support import client, running

SECRET = "a secret of more than thirty-two bytes"
OURS = Tokens([secret_key(SECRET)])


class Events:
    """A client of the fallback."""

    def __init__(self, http: aiohttp.ClientSession, response: aiohttp.ClientResponse) -> None:
        self._http = http
        self.response = response
        self.connection = ""
        self.number = 0
        self.kept: list[dict[str, Any]] = []

    async def event(self) -> tuple[str, Any]:
        """The next event: its type, and its data; ``("", None)`` at the end."""
        kind, data = "message", ""
        async for line in self.response.content:
            text = line.decode().rstrip("\n")
            if text.startswith("event: "):
                kind = text.removeprefix("event: ")
            elif text.startswith("data: "):
                data += text.removeprefix("data: ")
            elif not text and data:
                return kind, json.loads(data)
        return "", None

    async def post(self, *messages: str, **fields: Any) -> int:
        body = {"connection": self.connection, "number": self.number + 1, "messages": messages}
        async with self._http.post("/events", json=body | fields) as response:
            if response.status == 202 and "number" not in fields:
                self.number += 1
            return response.status

    async def ask(self, type: str, **fields: Any) -> dict[str, Any]:
        assert await self.post(json.dumps({"type": type, "id": 1, **fields})) == 202
        while True:
            _, event = await self.event()
            if event["type"] in ("ack", "error"):
                found: dict[str, Any] = event
                return found
            self.kept.append(event)

    async def told(self, type: str) -> dict[str, Any]:
        while True:
            event = self.kept.pop(0) if self.kept else (await self.event())[1]
            if event["type"] == type:
                found: dict[str, Any] = event
                return found


@asynccontextmanager
async def events(address: str, name: str = "", **options: Any) -> AsyncIterator[Events]:
    async with (
        aiohttp.ClientSession(f"http://{address}") as http,
        http.get("/events", **options) as response,
    ):
        assert response.status == 200
        opened = Events(http, response)
        kind, data = await opened.event()
        assert kind == "open"
        opened.connection = data["connection"]
        assert (await opened.event())[1]["type"] == "welcome"
        if name:
            assert (await opened.ask("hello", name=name))["type"] == "ack"
        yield opened


@async_test
async def test_both_ways_lead_into_the_same_room() -> None:
    async with running() as address, client(address, "Ann", "lobby") as ann:
        async with events(address, "Bob") as bob:
            assert bob.response.headers["Content-Type"] == "text/event-stream"
            assert bob.response.headers["Cache-Control"] == "no-store"
            assert (await bob.ask("join", room="lobby"))["members"] == ["Ann", "Bob"]
            await bob.ask("send", room="lobby", text="hello\nworld")
            assert (await ann.event("message"))["text"] == "hello\nworld"
            await bob.told("message")
            await ann.ask("send", room="lobby", text="hi Bob")
            assert (await bob.told("message"))["text"] == "hi Bob"
        # The client is gone with its connection.
        assert (await ann.event("left"))["user"] == "Bob"


@async_test
async def test_who_comes_back_gets_what_was_missed() -> None:
    async with running() as address, client(address, "Ann", "lobby") as ann:
        async with events(address, "Bob") as bob:
            joined = await bob.ask("join", room="lobby")
        for text in ("one", "two"):
            await ann.ask("send", room="lobby", text=text)
        async with events(address, "Bob") as bob:
            since = {"epoch": joined["epoch"], "offset": joined["offset"]}
            joined = await bob.ask("join", room="lobby", since=since)
            assert joined["recovered"] is True
            assert [message["text"] for message in joined["history"]] == ["one", "two"]


@async_test
async def test_a_request_that_is_sent_again_is_carried_out_once() -> None:
    async with running() as address, events(address, "Ann") as ann:
        await ann.ask("join", room="lobby")
        said = json.dumps({"type": "send", "room": "lobby", "text": "once"})
        assert await ann.post(said) == 202
        assert await ann.post(said, number=ann.number) == 202
        assert await ann.post(said, number=ann.number + 2) == 409
        assert (await ann.told("message"))["offset"] == 1
        assert (await ann.told("ack"))["offset"] == 1
        assert len((await ann.ask("history", room="lobby"))["history"]) == 1


@async_test
async def test_several_commands_are_carried_out_in_order() -> None:
    async with running() as address, events(address, "Ann") as ann:
        commands = [{"type": "join", "room": "lobby"}]
        commands += [{"type": "send", "room": "lobby", "text": str(n)} for n in range(20)]
        assert await ann.post(*map(json.dumps, commands)) == 202
        heard = [(await ann.told("message"))["text"] for _ in range(20)]
        assert heard == [str(n) for n in range(20)]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"connection": "x"}, 404),
        ({"connection": 7}, 400),
        ({"number": "1"}, 400),
        ({"messages": "x"}, 400),
        ({"messages": ["x"] * (MAX_UNREAD + 1)}, 400),
        ({"extra": 1}, 400),
    ],
)
@async_test
async def test_requests_that_do_not_fit(fields: dict[str, Any], status: int) -> None:
    async with running() as address, events(address, "Ann") as ann:
        assert await ann.post(**fields) == status
        assert (await ann.ask("list_rooms"))["type"] == "ack"


@async_test
async def test_nobody_speaks_for_a_connection_without_its_secret() -> None:
    async with running() as address, events(address, "Ann") as ann, events(address, "Bob") as bob:
        assert ann.connection != bob.connection
        assert len(ann.connection) >= 32


@async_test
async def test_pages_of_others_may_not_open_it() -> None:
    async with (
        running() as address,
        aiohttp.ClientSession(f"http://{address}") as http,
        http.get("/events", headers={"Origin": "https://evil.example"}) as response,
    ):
        assert response.status == 403


@async_test
async def test_tokens_count_as_they_do_elsewhere() -> None:
    token = OURS.issue("Ann", Role.USER)
    async with running(auth="token", jwt_secret=SECRET) as address:
        async with events(address) as ann:
            assert (await ann.ask("hello", token=token))["name"] == "Ann"
        headers = {"Authorization": f"Bearer {token}"}
        async with events(address, headers=headers) as ann:
            assert (await ann.ask("hello"))["name"] == "Ann"
        async with events(address) as stranger:
            assert (await stranger.ask("hello", name="Ann"))["code"] == "unauthenticated"
            assert await stranger.event() == (
                "close",
                {"code": 4401, "reason": "say hello with a token first"},
            )
            assert await stranger.event() == ("", None)
        async with (
            aiohttp.ClientSession(f"http://{address}") as http,
            http.get("/events", headers={"Authorization": f"Bearer {token}x"}) as response,
        ):
            assert response.status == 401


@pytest.mark.parametrize("excess", [0, 1])
@async_test
async def test_a_command_has_a_largest_size(excess: int) -> None:
    async with running(max_message_size=2000) as address, events(address, "Ann") as ann:
        assert await ann.post(" " * (2000 + excess)) == 202
        kind, event = await ann.event()
        if excess:
            assert (kind, event["code"]) == ("close", 1009)
        else:
            assert event["code"] == "bad_json"


@async_test
async def test_a_client_may_say_goodbye() -> None:
    async with running() as address, events(address, "Ann") as ann, client(address, "Bob") as bob:
        await ann.ask("join", room="lobby")
        await bob.ask("join", room="lobby")
        assert await ann.post(close=True) == 202
        left = await bob.event("left")
        # A guest who will not be back is a member no longer.
        assert (left["user"], left.get("away", False)) == ("Ann", False)
        assert await ann.post() == 404


@async_test
async def test_the_end_of_the_server_is_told() -> None:
    async with (
        App(Config(host="127.0.0.1", port=0, drain_seconds=0)) as app,
        events(f"127.0.0.1:{app.port}", "Ann") as ann,
    ):
        app.drain()
        kind, close = await ann.event()
        while kind == "message":
            kind, close = await ann.event()
        assert (kind, close["code"]) == ("close", 1012)
        assert "retry-after=" in close["reason"]
        await app.serve_forever()


# Without a socket


def stream() -> EventStream:
    return EventStream(Request("GET", "/events", "/events", "", Headers()), 1000)


@async_test
async def test_silence_is_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback, "KEEPALIVE", 0.0)
    pieces = stream().pieces()
    assert (await anext(pieces)).startswith(b"event: open")
    assert await anext(pieces) == b":\n\n"
    await pieces.aclose()


@async_test
async def test_who_does_not_read_makes_the_sender_wait() -> None:
    slow = stream()
    pieces = slow.pieces()
    await anext(pieces)
    for number in range(MAX_WAITING):
        await slow.send(str(number))
    waiting = asyncio.create_task(slow.send("more"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    assert await anext(pieces) == b"data: 0\n\n"
    await waiting
    await pieces.aclose()
    assert slow.close_code == 1006


@async_test
async def test_who_sends_too_much_has_to_wait() -> None:
    flooded = stream()
    await flooded.take(fallback.Commands("x", 1, ["x"] * MAX_UNREAD))
    with pytest.raises(HttpError) as caught:
        await flooded.take(fallback.Commands("x", 2, ["x"]))
    assert caught.value.status == 429
    await flooded.recv()
    await flooded.take(fallback.Commands("x", 2, ["x"]))
