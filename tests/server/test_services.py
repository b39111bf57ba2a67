"""What other services publish over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from rfc6455 import Headers, Request
from server.app import App
from server.chat import Chat
from server.config import Config, ConfigError
from server.engines.base import EngineError
from server.engines.embedded import EmbeddedEngine
from server.http import Pages
from server.services import MAX_FEED_KEYS, RATE, Services
from tests.helpers import async_test

from .support import client, running

TOKEN = "the services' token"
SETTINGS: dict[str, Any] = {"api_token": TOKEN, "feeds": ("prices=0.1",)}


class Service:
    def __init__(self, http: aiohttp.ClientSession, token: str) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {token}"}

    async def post(self, path: str, body: Any, key: str = "", **headers: str) -> tuple[int, Any]:
        fields = self._headers | headers | ({"Idempotency-Key": key} if key else {})
        async with self._http.post(f"/api/{path}", json=body, headers=fields) as response:
            text = await response.text()
            return response.status, json.loads(text) if text.startswith("{") else text


@asynccontextmanager
async def service(address: str, token: str = TOKEN) -> AsyncIterator[Service]:
    async with aiohttp.ClientSession(f"http://{address}") as http:
        yield Service(http, token)


@async_test
async def test_a_notification_reaches_those_who_subscribe() -> None:
    async with (
        running(**SETTINGS) as address,
        service(address) as orders,
        client(address, "Ann") as ann,
        client(address, "Bob") as bob,
    ):
        await ann.ask("subscribe", pattern="orders.*")
        await bob.ask("subscribe", pattern="news.*")
        body = {"topic": "orders.7", "title": "Shipped", "text": "It is", "data": {"a": [1]}}
        status, answer = await orders.post("notifications", body)
        assert status == 201
        event = await ann.event("notification")
        assert event.items() >= (body | {"offset": answer["offset"]}).items()
        await bob.ask("list_rooms")
        assert not [event for event in bob.events if event["type"] == "notification"]


@async_test
async def test_a_message_reaches_the_room() -> None:
    async with (
        running(**SETTINGS) as address,
        service(address) as deploys,
        client(address, "Ann", "lobby") as ann,
    ):
        body = {"room": "lobby", "text": "done", "from": "Deploys"}
        status, answer = await deploys.post("messages", body)
        assert (status, answer["offset"]) == (201, 1)
        event = await ann.event("message")
        assert (event["from"], event["user"], event["text"]) == ("Deploys", "service", "done")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("notifications", {"topic": "orders.7", "title": "Shipped"}),
        ("messages", {"room": "lobby", "text": "done"}),
    ],
)
@async_test
async def test_what_is_sent_again_is_said_once(path: str, body: Any, tmp_path: Path) -> None:
    settings = SETTINGS | {"database": str(tmp_path / "chat.db")}
    async with running(**settings) as address, service(address) as sender:
        first = await sender.post(path, body, "key-1")
        assert await sender.post(path, body, "key-1") == first
        _, other = await sender.post(path, body, "key-2")
        assert other["offset"] == first[1]["offset"] + 1
    # It holds across a restart.
    async with running(**settings) as address, service(address) as sender:
        assert await sender.post(path, body, "key-1") == first


@async_test
async def test_a_feed_tells_the_latest() -> None:
    async with (
        running(**SETTINGS) as address,
        service(address) as market,
        client(address, "Ann") as ann,
    ):
        assert (await ann.ask("watch", feed="prices"))["values"] == {}
        for price in (1, 2, 3):
            values = {"APRI": price}
            assert (await market.post("feeds", {"feed": "prices", "values": values}))[0] == 202
        heard = await ann.event("feed")
        while heard["value"] != 3:
            heard = await ann.event("feed")
        assert (await ann.ask("watch", feed="prices"))["values"] == {"APRI": 3}


@pytest.mark.parametrize("path", ["notifications", "messages", "feeds"])
@pytest.mark.parametrize("token", ["", "the services' toke", "The services' token"])
@async_test
async def test_nobody_publishes_without_the_token(path: str, token: str) -> None:
    async with running(**SETTINGS) as address, service(address, token) as stranger:
        status, answer = await stranger.post(path, {"topic": "a", "title": "b"})
        assert (status, answer["error"]) == (401, "unauthenticated")


@async_test
async def test_without_a_token_in_the_settings_nobody_publishes() -> None:
    async with running() as address, service(address, "") as stranger:
        assert (await stranger.post("notifications", {"topic": "a", "title": "b"}))[0] == 401


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("notifications", {"topic": "a"}, 400, "bad_body"),
        ("notifications", {"topic": "a b", "title": "x"}, 400, "invalid_topic"),
        ("notifications", {"topic": "a.*", "title": "x"}, 400, "invalid_topic"),
        ("notifications", {"topic": "a", "title": "x" * 5000}, 413, "too_long"),
        ("notifications", {"topic": "a", "title": "x", "data": "y" * 20_000}, 413, "too_long"),
        ("notifications", {"topic": "a", "title": "x", "extra": 1}, 400, "bad_body"),
        ("messages", {"room": "nowhere", "text": "x"}, 404, "no_such_room"),
        ("messages", {"room": "*", "text": "x"}, 400, "invalid_room"),
        ("messages", {"room": "lobby", "text": ""}, 400, "bad_fields"),
        ("messages", {"room": "lobby", "text": "x", "from": "a\u202eb"}, 400, "invalid_name"),
        ("feeds", {"feed": "nowhere", "values": {}}, 404, "no_such_feed"),
        ("feeds", {"feed": "prices", "values": {"": 1}}, 400, "bad_body"),
        (
            "feeds",
            {"feed": "prices", "values": dict.fromkeys(map(str, range(MAX_FEED_KEYS + 1)), 0)},
            409,
            "too_many",
        ),
    ],
)
@async_test
async def test_what_does_not_fit_is_refused(path: str, body: Any, status: int, code: str) -> None:
    async with running(**SETTINGS) as address, service(address) as sender:
        found, answer = await sender.post(path, body)
        assert (found, answer["error"]) == (status, code)


@async_test
async def test_a_body_is_bounded() -> None:
    async with running(**SETTINGS) as address, service(address) as sender:
        status, _ = await sender.post("messages", {"room": "lobby", "text": "x" * 70_000})
        assert status == 413


@pytest.mark.parametrize("key", ["a b", "x" * 129, "\xff"])
@async_test
async def test_a_key_is_visible_and_short(key: str) -> None:
    pages = Pages()
    Services(Chat(EmbeddedEngine(None)), {}, TOKEN).add_to(pages)
    headers = Headers([("Authorization", f"Bearer {TOKEN}"), ("Idempotency-Key", key)])
    request = Request("POST", "/api/messages", "/api/messages", "", headers)
    response = await pages.respond(request)
    assert json.loads(response.body)["error"] == "bad_key"


@async_test
async def test_an_engine_that_refuses_and_too_many_requests() -> None:
    class Full(EmbeddedEngine):
        async def append(self, *appends: Any) -> Any:
            raise EngineError("the disk is full")

    pages = Pages()
    chat = Chat(Full(None))
    Services(chat, {}, TOKEN, now=lambda: 0.0).add_to(pages)
    headers = Headers([("Authorization", f"Bearer {TOKEN}"), ("Content-Type", "application/json")])
    body = b'{"topic": "a", "title": "b"}'
    request = Request("POST", "/", "/api/notifications", "", headers, body)
    for _ in range(int(RATE.burst)):
        response = await pages.respond(request)
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
    response = await pages.respond(request)
    assert (response.status, response.headers["Retry-After"]) == (429, "1")


@pytest.mark.parametrize("feed", ["prices", "prices=x", "a b=1", "prices=0", "prices=1e9"])
def test_a_feed_has_a_name_and_an_interval(feed: str) -> None:
    with pytest.raises(ConfigError, match="feeds: "):
        App(Config(feeds=(feed,)))
