"""What somebody has not read: counted by marks and logs, whatever became of the messages."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.chat import Chat
from server.engines import store
from server.engines.base import MAX_UNREAD, Append, Replacement
from tests.helpers import async_test

from .test_commands import User, chatting, enter
from .test_engine import running, texts

if TYPE_CHECKING:
    import pytest


async def visit(chat: Chat, name: str, secret: str | None = None) -> tuple[User, dict[str, Any]]:
    """Lets somebody in; returns the answer to hello, too."""
    user = User(chat)
    answer = await user.ask("hello", name=name, **({"secret": secret} if secret else {}))
    assert answer["type"] == "ack"
    return user, answer


async def unread_rooms(chat: Chat, name: str, secret: str) -> dict[str, int]:
    user, answer = await visit(chat, name, secret)
    await chat.leave(user)
    return {m["room"]: m["unread"] for m in answer["memberships"]}


async def unread_private(chat: Chat, name: str, secret: str) -> dict[str, int]:
    user, answer = await visit(chat, name, secret)
    await chat.leave(user)
    return {found["with"]: found["unread"] for found in answer["private"] if found["unread"]}


# In rooms


@async_test
async def test_what_others_said_is_counted_up_to_the_mark() -> None:
    async with chatting() as (_, chat):
        ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob", "lobby")
        await ann.ask("send", room="lobby", text="before Cat came")
        cat, hello = await visit(chat, "Cat")
        assert (await cat.ask("join", room="lobby"))["read"] == 1
        secret = hello["secret"]
        # More than any history has; one's own is not new, and neither is a change.
        for number in range(60):
            await ann.ask("send", room="lobby", text=f"ann {number}")
            await bob.ask("send", room="lobby", text=f"bob {number}")
        await cat.ask("send", room="lobby", text="mine")
        await ann.ask("edit", room="lobby", offset=2, text="changed")
        assert await unread_rooms(chat, "Cat", secret) == {"lobby": 120}
        # What was taken back need not be read, by whomever.
        await ann.ask("delete", room="lobby", offset=2)
        await bob.ask("edit", room="lobby", offset=3, text="changed")
        await bob.ask("delete", room="lobby", offset=3)
        assert await unread_rooms(chat, "Cat", secret) == {"lobby": 118}
        await cat.ask("mark_read", room="lobby", offset=5)
        assert await unread_rooms(chat, "Cat", secret) == {"lobby": 116}
        await cat.ask("mark_read", room="lobby", offset=1000)
        assert await unread_rooms(chat, "Cat", secret) == {"lobby": 0}


@async_test
async def test_what_services_say_is_counted() -> None:
    async with chatting() as (_, chat):
        ann, hello = await visit(chat, "Ann")
        await ann.ask("join", room="lobby")
        await chat.conversation.say("lobby", "builds", "done")
        assert await unread_rooms(chat, "Ann", hello["secret"]) == {"lobby": 1}


@async_test
async def test_a_mark_is_kept_by_who_leaves_and_comes_again() -> None:
    async with chatting() as (_, chat):
        ann = await enter(chat, "Ann", "lobby")
        bob, _ = await visit(chat, "Bob")
        await bob.ask("join", room="lobby")
        await ann.ask("send", room="lobby", text="1")
        await bob.ask("leave", room="lobby")
        await ann.ask("send", room="lobby", text="2")
        assert (await bob.ask("join", room="lobby"))["read"] == 0


@async_test
async def test_counting_ends_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_UNREAD", 10)
    async with chatting() as (_, chat):
        ann = await enter(chat, "Ann", "lobby")
        bob, hello = await visit(chat, "Bob")
        await bob.ask("join", room="lobby")
        for number in range(11):
            await ann.ask("send", room="lobby", text=str(number))
            await ann.ask("private", to="Bob", text=str(number))
        assert await unread_rooms(chat, "Bob", hello["secret"]) == {"lobby": 10}
        assert await unread_private(chat, "Bob", hello["secret"]) == {"Ann": 10}


# In private messages


@async_test
async def test_each_conversation_has_a_mark_of_its_own() -> None:
    async with chatting() as (_, chat):
        ann, bob = await enter(chat, "Ann"), await enter(chat, "Bob")
        cat, hello = await visit(chat, "Cat")
        secret = hello["secret"]
        for number in range(60):
            await ann.ask("private", to="Cat", text=str(number))
        bobs = (await bob.ask("private", to="Cat", text="1")) and cat.heard[-1]["offset"]
        await cat.ask("private", to="Ann", text="mine is not new to me")
        assert await unread_private(chat, "Cat", secret) == {"Ann": 60, "Bob": 1}
        # Bob's is read, though Ann's older ones are not.
        other, _ = await visit(chat, "Cat", secret)
        answer = await cat.ask("mark_read", offset=bobs, **{"with": "bob"})
        assert (answer["room"], answer["offset"]) == (None, bobs)
        told = {"type": "read", "room": None, "user": "Cat", "offset": bobs, "with": "Bob"}
        assert other.heard[-1] == told
        await chat.leave(other)
        assert await unread_private(chat, "Cat", secret) == {"Ann": 60}
        _, answer = await visit(chat, "Cat", secret)
        assert {"with": "Bob", "read": bobs, "unread": 0} in answer["private"]
        await bob.ask("private", to="Cat", text="2")
        assert await unread_private(chat, "Cat", secret) == {"Ann": 60, "Bob": 1}
        await cat.ask("mark_read", offset=10, **{"with": "Ann"})
        assert await unread_private(chat, "Cat", secret) == {"Ann": 50, "Bob": 1}
        # The mark for all counts for each.
        await cat.ask("mark_read", offset=30)
        assert await unread_private(chat, "Cat", secret) == {"Ann": 30, "Bob": 1}
        await cat.ask("mark_read", offset=1000)
        assert await unread_private(chat, "Cat", secret) == {}


@async_test
async def test_a_private_message_that_was_taken_back_need_not_be_read() -> None:
    async with chatting() as (_, chat):
        ann = await enter(chat, "Ann")
        _, hello = await visit(chat, "Bob")
        for number in range(3):
            await ann.ask("private", to="Bob", text=str(number))
        await ann.ask("private_edit", offset=1, text="changed")
        await ann.ask("private_delete", offset=2)
        assert await unread_private(chat, "Bob", hello["secret"]) == {"Ann": 2}


@async_test
async def test_a_note_to_oneself_is_not_new() -> None:
    async with chatting() as (_, chat):
        ann, hello = await visit(chat, "Ann")
        await ann.ask("private", to="Ann", text="milk")
        await ann.ask("private_edit", offset=1, text="oat milk")
        assert await unread_private(chat, "Ann", hello["secret"]) == {}


@async_test
async def test_a_mark_is_for_a_message_that_there_is() -> None:
    async with chatting() as (_, chat):
        ann, bob = await enter(chat, "Ann"), await enter(chat, "Bob")
        await ann.ask("private", to="Bob", text="1")
        for offset, partner in ((1, "Cat"), (2, "Ann"), (0, "Ann"), (1, "Bob")):
            answer = await bob.ask("mark_read", offset=offset, **{"with": partner})
            assert answer["code"] == "no_such_message"
        # One's own message will do.
        assert (await ann.ask("mark_read", offset=1, **{"with": "Bob"}))["type"] == "ack"
        answer = await ann.ask("mark_read", offset=1, room="lobby", **{"with": "Bob"})
        assert answer["code"] == "bad_fields"


# In the engine


@async_test
async def test_marks_that_mean_nothing_any_more_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "db"
    async with running(path, kept=2) as engine:
        for number in range(1, 4):
            await engine.append(Append(log="a", data=b"x", author=str(number)))
            await engine.mark_read("me", "a", number, author=str(number))
        found = await engine.unread_by_author("me", "a", until=3)
        assert [(unread.read, unread.count) for unread in found] == [(2, 0), (3, 0)]
        await engine.mark_read("me", "a", 2)
        await engine.mark_read("me", "a", 3, author="3")
        assert await engine.mark_read("me", "a", 1, author="1") == 2
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT author FROM author_mark").fetchall() == [("3",)]
    database.close()


@async_test
async def test_a_forgotten_user_and_a_removed_log_leave_no_marks(tmp_path: Path) -> None:
    path = tmp_path / "db"
    async with running(path) as engine:
        for user in ("me", "you"):
            await engine.append(Append(log=f"inbox:{user}", data=b"x", author="a"))
            await engine.mark_read(user, f"inbox:{user}", 1, author="a")
        await engine.forget_user("me", "inbox:me")
        assert await engine.unread_by_author("me", "inbox:me", until=9) == []
        assert await engine.count_unread("me", {"inbox:me": 9}) == {}
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT user FROM author_mark").fetchall() == [("you",)]
    database.close()


@async_test
async def test_only_the_latest_are_counted_by_author(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_COUNTED", 3)
    async with running() as engine:
        for author in ("a", "b", "b", "a"):
            await engine.append(Append(log="l", data=author.encode(), author=author))
        found = await engine.unread_by_author("me", "l", until=4)
        counts = {unread.latest.data: unread.count for unread in found}
        assert counts == {b"a": 1, b"b": 2}


@async_test
async def test_an_older_database_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "db"
    database = sqlite3.connect(path)
    for script in store.MIGRATIONS[:2]:
        database.executescript(script)
    database.executescript(
        f"PRAGMA user_version = 2; PRAGMA application_id = {store.APPLICATION_ID};"
        "INSERT INTO log VALUES (1, 'room:lobby', 'e', 1, 2);"
        f"INSERT INTO entry VALUES ({store.OFFSETS + 1}, 7, x'31');"
        f"INSERT INTO entry VALUES ({store.OFFSETS + 2}, 8, x'32');"
    )
    database.close()
    async with running(path) as engine:
        assert await texts(engine, "room:lobby") == [(1, "1"), (2, "2")]
        # What was said until then counts as read.
        assert await engine.count_unread("me", {"room:lobby": 2}) == {"room:lobby": 0}
        change = Replacement(1, b"1", b"one", "ann")
        await engine.append(Append(log="room:lobby", data=b"3", author="ann", replaces=change))
        assert await engine.count_unread("me", {"room:lobby": 3}) == {"room:lobby": 2}
        assert await engine.count_unread("me", {"room:lobby": 2}) == {"room:lobby": 1}
        assert await engine.count_unread("ann", {"room:lobby": 3}) == {"room:lobby": 0}


def test_the_limit_is_the_one_that_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "chat-protocol.md").read_text("utf-8")
    assert f"and {MAX_UNREAD} for so many or more" in page
    assert json.dumps({"with": "Bob"})[1:-1] in page
