"""The commands against an engine that takes its time, as one with a real store would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, cast

import pytest

import rfc6455
from server.chat import Chat
from server.engines.base import Entry
from server.engines.embedded import EmbeddedEngine
from server.session import Session
from tests.helpers import async_test


class SlowEngine(EmbeddedEngine):
    """Takes a snapshot at once, and hands it out only when it may."""

    def __init__(self) -> None:
        super().__init__(100)
        self.reading = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def latest(self, room: str) -> Sequence[Entry]:
        entries = await super().latest(room)
        self.reading.set()
        await self.may_answer.wait()
        return entries


class User(Session):
    """A session without a connection: keeps what it is handed."""

    def __init__(self, chat: Chat) -> None:
        super().__init__(cast("rfc6455.WebSocket", None), max_events=1000, max_size=1000)
        self._chat = chat
        self.heard: list[dict[str, Any]] = []

    def deliver(self, event: str) -> None:
        self.heard.append(json.loads(event))

    answer = deliver

    async def ask(self, type: str, **fields: Any) -> dict[str, Any]:
        await self._chat.receive(self, json.dumps({"type": type, **fields}))
        return next(e for e in reversed(self.heard) if e["type"] in ("ack", "error"))

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.heard]


async def enter(chat: Chat, name: str, room: str = "") -> User:
    user = User(chat)
    assert (await user.ask("hello", name=name))["type"] == "ack"
    if room:
        assert (await user.ask("join", room=room))["type"] == "ack"
    user.heard.clear()
    return user


async def begin_to_join(engine: SlowEngine, user: User, room: str) -> asyncio.Task[dict[str, Any]]:
    engine.reading.clear()
    engine.may_answer.clear()
    task = asyncio.create_task(user.ask("join", room=room))
    await engine.reading.wait()
    return task


@async_test
async def test_who_joins_gets_every_message_once_in_order() -> None:
    engine = SlowEngine()
    chat = Chat(engine)
    ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob")
    await ann.ask("send", room="lobby", text="before")
    joining = await begin_to_join(engine, bob, "lobby")
    await ann.ask("send", room="lobby", text="meanwhile")
    assert (await ann.ask("members", room="lobby"))["members"] == ["Ann"]
    engine.may_answer.set()
    history = (await joining)["history"]
    assert [(e["offset"], e["text"]) for e in history] == [(1, "before"), (2, "meanwhile")]
    await ann.ask("send", room="lobby", text="after")
    assert bob.types == ["room_count", "ack", "message"]
    assert bob.heard[-1]["offset"] == 3


@async_test
async def test_who_is_gone_while_joining_is_in_no_room() -> None:
    engine = SlowEngine()
    chat = Chat(engine)
    ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob")
    joining = await begin_to_join(engine, bob, "lobby")
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
    chat.leave(bob)
    engine.may_answer.set()
    assert ann.types == []
    assert (await ann.ask("members", room="lobby"))["members"] == ["Ann"]
    assert (await User(chat).ask("hello", name="Bob"))["type"] == "ack"


@pytest.mark.parametrize("again", [False, True], ids=["removed", "removed and created again"])
@async_test
async def test_a_room_that_is_removed_while_somebody_joins(again: bool) -> None:
    engine = SlowEngine()
    chat = Chat(engine)
    ann, bob = await enter(chat, "Ann"), await enter(chat, "Bob")
    await ann.ask("create_room", room="tea")
    await ann.ask("join", room="tea")
    await ann.ask("send", room="tea", text="of the old room")
    joining = await begin_to_join(engine, bob, "tea")
    await ann.ask("leave", room="tea")
    if again:
        await ann.ask("create_room", room="tea")
    engine.may_answer.set()
    assert (await joining)["code"] == "no_such_room"


@async_test
async def test_the_events_of_a_leaving_are_not_for_the_one_who_leaves() -> None:
    chat = Chat(SlowEngine())
    ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob", "lobby")
    ann.heard.clear()
    chat.leave(bob)
    assert ann.types == ["left", "room_count"]
    assert bob.types == []


@async_test
async def test_when_the_chat_ends_nobody_hears_of_the_others() -> None:
    chat = Chat(SlowEngine())
    ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob", "lobby")
    ann.heard.clear()
    chat.close()
    chat.leave(bob)
    assert ann.types == []


@async_test
async def test_who_never_said_hello_leaves_without_trace() -> None:
    chat = Chat(SlowEngine())
    ann = await enter(chat, "Ann", "lobby")
    chat.leave(User(chat))
    assert ann.types == []


@async_test
async def test_a_private_message_finds_its_receiver_by_any_form_of_the_name() -> None:
    chat = Chat(SlowEngine())
    ann, zoe = await enter(chat, "Ann"), await enter(chat, "Zoë")
    assert (await ann.ask("private", to="ZOE\u0308", text="hi"))["to"] == "Zoë"
    assert zoe.types == ["private"]
    assert (await ann.ask("private", to="x" * 60_000, text="hi"))["code"] == "no_such_user"


@async_test
async def test_a_private_message_to_oneself_comes_once() -> None:
    chat = Chat(SlowEngine())
    ann = await enter(chat, "Ann")
    await ann.ask("private", to="Ann", text="note")
    assert ann.types == ["private", "ack"]
