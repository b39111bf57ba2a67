"""What clients have done to other chats, done to this one.

Names of rooms that are more than names, envelopes that are not what they claim, one message to very
many, code that would run what a client sends, and what is left of clients who have gone.
"""

from __future__ import annotations

import ast
import asyncio
import gc
import json
import weakref
from pathlib import Path
from typing import Any

import pytest

from rfc6455 import PreparedMessage
from server import logs, protocol
from server.app import App
from server.chat import Chat
from server.config import Config
from server.conversation import Conversation
from server.engines.embedded import EmbeddedEngine
from server.session import Session
from tests.helpers import ROOT, async_test

from .support import client, running

SOURCES = sorted((ROOT / "server").rglob("*.py"))

# Names of rooms (D6)

NAMES = [
    "",
    "*",
    "a:*",
    "room:lobby",
    "room\r\nPUBLISH x",
    "{a}b",
    "../lobby",
    "..%2flobby",
    "a/b",
    "a,b",
    "$priv",
    "\0",
    "lobby\0",
    " lobby",
    "lobby ",
    "l\u00f6bby",
    "lo\u0308bby",
    "\u202elobby",
    "\uff4c\uff4f\uff42\uff42\uff59",
    "x" * 65,
    "x" * 10_000,
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:30])
@async_test
async def test_a_name_that_is_more_than_one_is_refused_everywhere(name: str) -> None:
    commands: dict[str, dict[str, Any]] = {
        "create_room": {},
        "join": {},
        "leave": {},
        "send": {"text": "x"},
        "edit": {"offset": 1, "text": "x"},
        "delete": {"offset": 1},
        "history": {},
        "members": {},
        "typing": {"active": True},
        "mark_read": {"offset": 1},
        "describe_room": {"topic": "x"},
        "set_access": {"access": "public"},
        "moderate": {"user": "Ann", "action": "kick"},
    }
    async with running() as address, client(address, "Ann", "lobby") as ann:
        for command, fields in commands.items():
            assert (await ann.ask(command, room=name, **fields))["code"] == "invalid_room"
        rooms = (await ann.ask("list_rooms"))["rooms"]
        assert rooms == [{"room": "lobby", "members": 1}]


@pytest.mark.parametrize("name", ["__proto__", "constructor", "toString", "LOBBY", "-", "..."])
@async_test
async def test_a_name_is_only_a_name(name: str) -> None:
    async with running() as address, client(address, "Ann", "lobby") as ann:
        await ann.ask("send", room="lobby", text="secret")
        assert (await ann.ask("create_room", room=name))["room"] == name
        joined = await ann.ask("join", room=name)
        assert (joined["history"], joined["members"]) == ([], ["Ann"])


# Envelopes (D9)

ENVELOPES = [
    "",
    " ",
    "null",
    "true",
    "0",
    '"hello"',
    "[]",
    "[" * 60_000,
    '{"a":' * 12_000,
    "1" * 60_000,
    "-" * 60_000,
    '{"type": "list_rooms", "id": ' + "9" * 10_000 + "}",
    '{"type": "list_rooms", "id": 1e999}',
    '{"type": "list_rooms", "id": NaN}',
    '{"type": "list_rooms", "id": -0.0}',
    '{"type": "list_rooms", "id": true}',
    '{"type": "list_rooms", "id": {"$ne": 1}}',
    '{"type": "list_rooms", "id": []}',
    '{"type": "list_rooms", "type": "hello"}',
    '{"type": ["list_rooms"]}',
    '{"type": {"toString": "list_rooms"}}',
    '{"type": null}',
    '{"type": "__init__"}',
    '{"type": "LIST_ROOMS"}',
    '{"type": "list_rooms", "__proto__": {"admin": true}}',
    '{"type": "list_rooms", "constructor": {"prototype": {}}}',
    '{"type": "send", "room": "lobby", "text": "\\ud800"}',
    '{"type": "send", "room": "lobby", "text": "\\udc00\\ud800"}',
    '{"type": "send", "room": ["lobby"], "text": "x"}',
    '{"type": "send", "room": "lobby", "text": {"toString": "x"}}',
    '{"type": "join", "room": "lobby", "since": {"epoch": "x", "offset": -1}}',
    '{"type": "join", "room": "lobby", "since": {"epoch": "x", "offset": 9223372036854775808}}',
    '{"type": "join", "room": "lobby", "since": {"epoch": 1, "offset": 1}}',
    '{"type": "history", "room": "lobby", "limit": 1000000000}',
    '{"type": "history", "room": "lobby", "before": -1}',
    '{"type": "members", "room": "lobby", "limit": 0}',
    '{"type": "list_rooms"}{"type": "list_rooms"}',
    '{"type": "list_rooms"} x',
    "\ufeff{}",
    '{"type": "list_rooms", "id": "' + "x" * 65 + '"}',
    '{"type": "typing", "room": "lobby", "active": 1}',
    '{"type": "typing", "room": "lobby", "active": "false"}',
    json.dumps({"type": "hello", "name": "x", "secret": "y" * 129}),
    json.dumps({f"k{n}": n for n in range(4000)}),
]


@async_test
async def test_after_any_envelope_the_chat_lives() -> None:
    async with running() as address, client(address, "Ann", "lobby") as ann:
        for envelope in ENVELOPES:
            await ann.websocket.send(envelope)
            answer = await ann.receive()
            while answer["type"] not in ("error", "ack"):
                answer = await ann.receive()
            assert answer["type"] == "error", (envelope[:80], answer)
            assert len(json.dumps(answer)) < 1000
        assert (await ann.ask("send", room="lobby", text="alive"))["type"] == "ack"


# One message to many (D11)


@async_test
async def test_a_message_is_encoded_once_however_many_hear_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoded = []
    genuine = protocol.encode

    def count(event: protocol.Event) -> str:
        encoded.append(type(event))
        return genuine(event)

    monkeypatch.setattr(protocol, "encode", count)
    monkeypatch.setattr(logs, "encode", count)

    class Member(Session):
        def __init__(self) -> None:
            super().__init__(None, max_events=10_000, max_size=10**9)  # type: ignore[arg-type]
            self.heard: list[protocol.Encoded] = []

        def _put(self, event: protocol.Encoded, key: str = "") -> None:
            self.heard.append(event)

        def _put_latest(self, event: protocol.Encoded, key: str) -> None:
            self.heard.append(event)

    engine = EmbeddedEngine(None)
    await engine.start()
    chat = Chat(engine)
    await chat.start()
    members = [Member() for _ in range(300)]
    for number, member in enumerate(members):
        await chat.receive(member, json.dumps({"type": "hello", "name": f"user-{number}"}))
        await chat.receive(member, json.dumps({"type": "join", "room": "lobby"}))
    for member in members:
        member.heard.clear()
    encoded.clear()
    await chat.receive(members[0], json.dumps({"type": "send", "room": "lobby", "text": "hi"}))
    # For the log, and for all who hear it.
    assert encoded.count(protocol.Message) == 2
    told = [
        [
            e
            for e in member.heard
            if isinstance(e, PreparedMessage) and '"message"' in str(e.message)
        ]
        for member in members
    ]
    assert all(len(events) == 1 for events in told)
    # The same frame, not copies of it.
    assert len({id(events[0]) for events in told}) == 1
    await engine.close()


# Code that runs what it is sent (D8 and D13)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_nothing_runs_what_it_is_sent(path: Path) -> None:
    forbidden = {"pickle", "marshal", "shelve", "dill", "yaml", "subprocess"}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            assert forbidden.isdisjoint(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module not in forbidden
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"eval", "exec", "compile", "__import__"}


@async_test
async def test_what_two_sessions_do_stays_apart() -> None:
    """State that hung on the class or a module would show in the other one."""
    async with running() as address, client(address, "Ann", "lobby") as ann:
        async with client(address, "Bob") as bob:
            await ann.ask("subscribe", pattern="orders.*")
            assert (await bob.ask("send", room="lobby", text="x"))["code"] == "not_in_room"
            assert (await bob.ask("unsubscribe", pattern="orders.*"))["type"] == "ack"
        mutable = (list, dict, set)
        for kind in (Session, Conversation, Chat):
            shared = [
                name
                for name, value in vars(kind).items()
                if isinstance(value, mutable) and not name.startswith("__")
            ]
            assert shared == []


# What is left of who has gone (E15)


@pytest.mark.parametrize("is_broken", [False, True], ids=["closed", "broken"])
@async_test
async def test_a_session_that_ended_is_freed_at_once(is_broken: bool) -> None:
    """A cycle would keep it, and all that it had, until Python looks for such."""
    async with App(Config(host="127.0.0.1", port=0, away_after=0.0)) as app:
        gc.collect()
        gc.disable()
        try:
            async with client(f"127.0.0.1:{app.port}", "Ann", "lobby") as ann:
                (session,) = app._sessions
                freed = asyncio.Event()
                kept = weakref.ref(session, lambda _: freed.set())
                del session
                if is_broken:
                    ann.websocket.abort()
            async with asyncio.timeout(60):
                await freed.wait()
            assert kept() is None
        finally:
            gc.enable()
