"""The Python client of the chat, against the chat, over sockets that break."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import pytest

import rfc6455
from examples.chat_bot import answer
from server.app import App
from server.client import MAX_EVENTS, ChatClient, ChatError, Event
from server.config import Config
from tests.helpers import async_test

from .support import UNHURRIED, running

SMALL_BUFFERS = {"extensions": (), "limits": rfc6455.Limits(max_queued_size=4096)}


def at_once() -> Iterator[float]:
    """Delays that make no test wait, and let everything else run."""
    return itertools.repeat(0.0)


@asynccontextmanager
async def chatting(
    address: str, name: str, *rooms: str, **options: Any
) -> AsyncIterator[ChatClient]:
    async with ChatClient(f"ws://{address}/ws", name, delays=at_once, **options) as chat:
        for room in rooms:
            await chat.join(room)
        yield chat


async def take(chat: ChatClient, count: int, type: str = "message") -> list[Event]:
    """The next events of a type."""
    events: list[Event] = []
    async for event in chat:
        if event["type"] == type:
            events.append(event)
        if len(events) == count:
            break
    return events


class Restarting:
    """A chat that is stopped and started again at the same port."""

    def __init__(self, **settings: Any) -> None:
        self._settings: dict[str, Any] = UNHURRIED | settings
        self._port = 0
        self._app: App | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    async def start(self) -> None:
        self._app = App(Config(host="127.0.0.1", port=self._port, **self._settings))
        await self._app.__aenter__()
        self._port = self._app.port

    async def stop(self) -> None:
        assert self._app is not None
        await self._app.__aexit__()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


@async_test
async def test_messages_and_their_confirmation() -> None:
    async with (
        running() as address,
        chatting(address, "Ann", "lobby") as ann,
        chatting(address, "Bob", "lobby") as bob,
    ):
        assert ann.name == "Ann"
        deliveries = [ann.send("lobby", str(number)) for number in range(20)]
        assert [await delivery for delivery in deliveries] == list(range(1, 21))
        assert all(delivery.is_done for delivery in deliveries)
        assert [event["text"] for event in await take(bob, 20)] == [str(n) for n in range(20)]
        assert await bob.send_private("Ann", "psst") == 1
        assert (await take(ann, 1, "private"))[0]["text"] == "psst"
        with pytest.raises(ChatError) as caught:
            await ann.send_private("Nobody", "psst")
        assert caught.value.code == "no_such_user"
        with pytest.raises(ChatError) as caught:
            await ann.join("nowhere")
        assert caught.value.code == "no_such_room"
        await bob.leave("lobby")
        assert bob.position("lobby") is None


@async_test
async def test_a_refused_name_ends_the_attempt() -> None:
    async with running() as address, chatting(address, "Ann"):
        with pytest.raises(ChatError) as caught:
            async with chatting(address, "ANN"):
                pass
        assert caught.value.code == "name_taken"


@async_test
async def test_nothing_is_lost_over_restarts_of_the_server(tmp_path: Path) -> None:
    async with (
        Restarting(database=str(tmp_path / "db")) as server,
        chatting(server.address, "Ann", "lobby") as ann,
        chatting(server.address, "Bob", "lobby") as bob,
    ):
        user = ann.user
        deliveries = [ann.send("lobby", "0")]
        await deliveries[0]
        for number in range(1, 4):
            await server.stop()
            await take(ann, 1, "disconnected")
            deliveries.append(ann.send("lobby", str(number)))
            await server.start()
            assert await deliveries[-1] == number + 1
        events = []
        async for event in bob:
            events.append(event)
            if event.get("text") == "3":
                break
        assert [e["offset"] for e in events if e["type"] == "message"] == [1, 2, 3, 4]
        entered = [e["recovered"] for e in events if e["type"] == "entered"]
        # Bob may have come back once for two restarts.
        assert entered[:2] == [False, True]
        assert all(entered[1:])
        assert ann.user == user


@async_test
async def test_a_server_that_forgot_everything_says_so() -> None:
    async with Restarting() as server, chatting(server.address, "Ann", "lobby") as ann:
        await ann.request("create_room", room="tea")
        await ann.join("tea")
        await ann.send("tea", "before")
        await server.stop()
        delivery = ann.send("tea", "after")
        await server.start()
        assert await delivery == 1
        events = [event async for event in _until(ann, "after")]
        entered = [e["recovered"] for e in events if e["type"] == "entered" and e["room"] == "tea"]
        assert entered == [False, False]


async def _until(chat: ChatClient, text: str) -> AsyncIterator[Event]:
    async for event in chat:
        yield event
        if event.get("text") == text:
            break


@async_test
async def test_private_messages_are_recovered(tmp_path: Path) -> None:
    async with (
        Restarting(database=str(tmp_path / "db")) as server,
        chatting(server.address, "Ann") as ann,
        chatting(server.address, "Bob") as bob,
    ):
        await ann.send_private("Bob", "1")
        await server.stop()
        deliveries = [ann.send_private("Bob", text) for text in "23"]
        await server.start()
        assert [await delivery for delivery in deliveries] == [2, 3]
        assert [e["text"] for e in await take(bob, 3, "private")] == list("123")
        # Once only: the next is the next.
        await ann.send_private("Bob", "4")
        assert (await take(bob, 1, "private"))[0]["text"] == "4"


@async_test
async def test_notifications_are_recovered(tmp_path: Path) -> None:
    async with (
        Restarting(database=str(tmp_path / "db")) as server,
        chatting(server.address, "Ann") as ann,
    ):
        await ann.request("subscribe", pattern="a.#")
        await _notify(server, "a.1")
        await server.stop()
        events = await take(ann, 1, "notification")
        await take(ann, 1, "disconnected")
        await server.start()
        await _notify(server, "a.2")
        events += await take(ann, 1, "notification")
        assert [event["topic"] for event in events] == ["a.1", "a.2"]


async def _notify(server: Restarting, topic: str) -> None:
    assert server._app is not None
    await server._app._chat.broadcasts.notify(topic, "title")


@async_test
async def test_the_queue_is_bounded_and_its_end_is_told() -> None:
    async with running() as address:
        async with chatting(address, "Ann", max_queued=2) as ann:
            # Without the room they wait.
            deliveries = [ann.send("lobby", text) for text in "12"]
            with pytest.raises(ChatError) as caught:
                ann.send("lobby", "3")
            assert caught.value.code == "queue_full"
        for delivery in deliveries:
            with pytest.raises(ChatError) as caught:
                await delivery
            assert caught.value.code == "closed"
        with pytest.raises(ChatError):
            await ann.request("list_rooms")


@async_test
async def test_what_is_refused_for_its_rate_is_sent_later() -> None:
    async with (
        running(connection_rate=1000.0, connection_burst=8.0) as address,
        chatting(address, "Ann", "lobby") as ann,
    ):
        deliveries = [ann.send("lobby", str(number)) for number in range(40)]
        assert [await delivery for delivery in deliveries] == list(range(1, 41))
        assert [e["text"] for e in await take(ann, 40)] == [str(n) for n in range(40)]


@async_test
async def test_who_comes_back_to_much_gets_all_of_it(tmp_path: Path) -> None:
    async with (
        Restarting(database=str(tmp_path / "db")) as server,
        chatting(server.address, "Ann", "lobby", is_listening=False) as ann,
    ):
        for number in range(600):
            await ann.send("lobby", str(number))
        async with chatting(server.address, "Bob") as bob:
            answer = await bob.request("join", room="lobby")
            await bob.request("leave", room="lobby")
            await bob.join("lobby", {"epoch": answer["epoch"], "offset": 0})
            events = await take(bob, 600)
            assert [e["offset"] for e in events] == list(range(1, 601))
            assert bob.position("lobby") == {"epoch": answer["epoch"], "offset": 600}


@async_test
async def test_a_token_is_renewed_before_it_ends(tmp_path: Path) -> None:
    secret = "s" * 32
    settings: dict[str, Any] = {"auth": "token", "jwt_secret": secret, "token_lifetime": 60.0}
    async with running(**settings) as address:
        given = 0

        async def token() -> str:
            nonlocal given
            given += 1
            return _token(secret, 30.5 if given == 1 else 600.0)

        async with ChatClient(f"ws://{address}/ws", token=token, delays=at_once) as ann:
            assert (ann.name, ann.secret) == ("Ann", None)
            while given < 2:
                await ann.request("list_rooms")
            await ann.join("lobby")


def _token(secret: str, seconds: float) -> str:
    import time

    import jwt

    claims = {"sub": "Ann", "exp": int(time.time() + seconds) + 1, "iat": int(time.time())}
    return jwt.encode(claims, secret, "HS256")


class Stalling(ChatClient):
    """A client that can stop to read."""

    def __init__(self, uri: str, name: str) -> None:
        super().__init__(uri, name, delays=at_once, options=SMALL_BUFFERS)
        self.may_read = asyncio.Event()
        self.may_read.set()

    async def _receive(self, event: Event) -> None:
        await self.may_read.wait()
        await super()._receive(event)


@async_test
async def test_who_is_too_slow_comes_back_and_misses_nothing() -> None:
    async with (
        running() as address,
        chatting(address, "Ann", "lobby", is_listening=False) as ann,
        Stalling(f"ws://{address}/ws", "Bob") as bob,
    ):
        await bob.join("lobby")
        bob.may_read.clear()
        sent = 0
        while (await ann.request("members", room="lobby"))["online"] == 2:
            await ann.send("lobby", f"{sent} {'x' * 3900}")
            sent += 1
        bob.may_read.set()
        events = [event async for event in _until(bob, f"{sent - 1} {'x' * 3900}")]
        assert [e["offset"] for e in events if e["type"] == "message"] == list(range(1, sent + 1))
        assert "4408" in next(e["reason"] for e in events if e["type"] == "disconnected")
        entered = [e["recovered"] for e in events if e["type"] == "entered"]
        assert entered[0] is False
        assert all(entered[1:])


@async_test
async def test_a_server_that_restarts_says_when_to_come_back() -> None:
    async with App(Config(host="127.0.0.1", port=0)) as app:
        uri = f"ws://127.0.0.1:{app.port}/ws"
        # Without the hint it would come back in an hour.
        async with ChatClient(uri, "Ann", delays=lambda: itertools.repeat(3600.0)) as chat:
            await chat.join("lobby")
            (visitor,) = app._gate.visitors
            app._gate.dismiss(visitor, 1012, "restarting retry-after=0")
            assert visitor.leaving is not None
            await visitor.leaving
            assert await chat.send("lobby", "back") == 1


@pytest.mark.parametrize("code", ["expelled", "left"])
@async_test
async def test_who_is_put_out_stays_out(code: str) -> None:
    async with running() as address, chatting(address, "Ann") as ann:
        await ann.request("create_room", room="tea")
        await ann.join("tea")
        async with chatting(address, "Bob", "tea") as bob:
            if code == "expelled":
                await ann.request("moderate", room="tea", user="Bob", action="kick")
            else:
                async with chatting(address, "Bob", "tea", secret=bob.secret) as other:
                    await other.leave("tea")
            (event,) = await take(bob, 1, "expelled")
            assert (event["room"], event["code"]) == ("tea", code)
            assert bob.position("tea") is None
            members = (await ann.request("members", room="tea"))["members"]
            assert [member["name"] for member in members] == ["Ann"]


@async_test
async def test_a_room_that_was_joined_elsewhere_is_told_of() -> None:
    async with (
        running() as address,
        chatting(address, "Ann") as ann,
        chatting(address, "Ann", secret=ann.secret) as other,
    ):
        await other.join("lobby")
        (event,) = await take(ann, 1, "room_joined")
        assert event["room"] == "lobby"


@async_test
async def test_who_takes_no_events_gets_answers_and_later_all_events() -> None:
    async with (
        running() as address,
        chatting(address, "Ann", "lobby", is_listening=False) as ann,
        chatting(address, "Bob", "lobby") as bob,
    ):
        await bob.request("subscribe", pattern="#")
        count = MAX_EVENTS + 700
        for number in range(count):
            await ann.send("lobby", str(number))
        # Nobody takes Bob's events yet.
        await bob.send_private("Bob", "note")
        assert await bob.send("lobby", "mine") == count + 1
        assert bob._events.qsize() <= MAX_EVENTS
        texts: dict[str, list[str]] = {"message": [], "private": []}
        async for event in bob:
            if event["type"] in texts:
                texts[event["type"]].append(event["text"])
            if len(texts["message"]) > count and texts["private"]:
                break
        assert texts["message"] == [*(str(number) for number in range(count)), "mine"]
        assert texts["private"] == ["note"]


@async_test
async def test_the_bot_of_the_examples_answers_when_it_is_spoken_to() -> None:
    async with running() as address, chatting(address, "Ann", "lobby") as ann:
        bot = asyncio.create_task(answer(f"ws://{address}/ws"))
        await take(ann, 1, "joined")
        await ann.send("lobby", "Hello?")
        await ann.send("lobby", "Hello, Echo!")
        texts = [event["text"] for event in await take(ann, 3)]
        assert texts == ["Hello?", "Hello, Echo!", "Ann: Hello, Echo!"]
        bot.cancel()
        with pytest.raises(asyncio.CancelledError):
            await bot
