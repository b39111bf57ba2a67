"""A connection is lost, and its user may be back: what the others hear of it, and when."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from server.chat import Chat
from tests.helpers import async_test

from .support import client, running, stats
from .test_commands import User, chatting, enter
from .test_fallback import events

GRACE = 5.0


async def lose(chat: Chat, user: User) -> float:
    """Has a connection be lost; returns when its user is no longer waited for."""
    await chat.leave(user, grace=GRACE)
    return asyncio.get_running_loop().time() + GRACE


async def guest(chat: Chat, name: str, room: str) -> tuple[User, str]:
    """Lets somebody in; returns what proves later who it was."""
    user = User(chat)
    secret: str = (await user.ask("hello", name=name))["secret"]
    await user.ask("join", room=room)
    return user, secret


@async_test
async def test_who_is_back_in_time_was_never_gone() -> None:
    async with chatting() as (_, chat):
        ann = await enter(chat, "Ann", "lobby")
        bob, secret = await guest(chat, "Bob", "lobby")
        await chat.tick(0.0)
        ann.heard.clear()
        until = await lose(chat, bob)
        assert (await ann.ask("members", room="lobby"))["online"] == 2
        back = User(chat)
        answer = await back.ask("hello", name="Bob", secret=secret)
        assert answer["user"] == bob.user_id
        assert [m["room"] for m in answer["memberships"]] == ["lobby"]
        assert (await back.ask("join", room="lobby"))["members"] == ["Ann", "Bob"]
        await chat.tick(until + 1)
        assert ann.types == ["ack"]
        assert (await ann.ask("members", room="lobby"))["online"] == 2


@async_test
async def test_who_is_not_back_in_time_is_away_and_the_name_is_free() -> None:
    async with chatting() as (_, chat):
        ann = await enter(chat, "Ann", "lobby")
        bob, secret = await guest(chat, "Bob", "lobby")
        ann.heard.clear()
        until = await lose(chat, bob)
        await chat.tick(until - 1)
        assert "left" not in ann.types
        for forged in (None, "", bob.user_id, f"{bob.user_id}.x", secret[:-1] + "?"):
            answer = await User(chat).ask("hello", name="Bob", secret=forged)
            assert answer["code"] == "name_taken"
        await chat.tick(until + 1)
        (left,) = (event for event in ann.heard if event["type"] == "left")
        assert left == {"type": "left", "room": "lobby", "user": "Bob", "count": 1, "away": True}
        thief = User(chat)
        answer = await thief.ask("hello", name="Bob")
        assert answer["user"] != bob.user_id
        assert answer["memberships"] == []
        # Whoever was Bob is known by the secret still, under another name.
        answer = await User(chat).ask("hello", name="Rob", secret=secret)
        assert answer["user"] == bob.user_id
        assert [m["room"] for m in answer["memberships"]] == ["lobby"]


@async_test
async def test_what_was_lost_is_typed_no_longer() -> None:
    async with chatting() as (_, chat):
        ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob", "lobby")
        await bob.ask("typing", room="lobby", active=True)
        await lose(chat, bob)
        assert [e["active"] for e in ann.heard if e["type"] == "typing"] == [True, False]


@async_test
async def test_who_leaves_a_room_after_coming_back_is_not_waited_for_in_it() -> None:
    async with chatting() as (_, chat):
        ann = await enter(chat, "Ann", "lobby")
        bob, secret = await guest(chat, "Bob", "lobby")
        ann.heard.clear()
        until = await lose(chat, bob)
        back = User(chat)
        await back.ask("hello", name="Bob", secret=secret)
        assert (await back.ask("leave", room="lobby"))["type"] == "ack"
        (left,) = (event for event in ann.heard if event["type"] == "left")
        assert "away" not in left
        await chat.tick(until + 1)
        assert ann.types.count("left") == 1


@async_test
async def test_who_says_goodbye_after_coming_back_is_forgotten_at_once() -> None:
    async with chatting() as (_, chat):
        ann = await enter(chat, "Ann", "lobby")
        bob, secret = await guest(chat, "Bob", "lobby")
        ann.heard.clear()
        until = await lose(chat, bob)
        back = User(chat)
        await back.ask("hello", name="Bob", secret=secret)
        await chat.leave(back, is_goodbye=True)
        (left,) = (event for event in ann.heard if event["type"] == "left")
        assert "away" not in left
        assert (await ann.ask("private", to="Bob", text="x"))["code"] == "no_such_user"
        await chat.tick(until + 1)
        assert ann.types.count("left") == 1
        answer = await User(chat).ask("hello", name="Bob", secret=secret)
        assert answer["user"] != bob.user_id


@pytest.mark.parametrize("action", ["kick", "ban"])
@async_test
async def test_who_is_put_out_meanwhile_is_not_waited_for(action: str) -> None:
    async with chatting() as (_, chat):
        ann = await enter(chat, "Ann")
        await ann.ask("create_room", room="tea")
        await ann.ask("join", room="tea")
        bob, secret = await guest(chat, "Bob", "tea")
        ann.heard.clear()
        until = await lose(chat, bob)
        await ann.ask("moderate", room="tea", user="Bob", action=action)
        (left,) = (event for event in ann.heard if event["type"] == "left")
        assert "away" not in left
        assert (await ann.ask("members", room="tea"))["count"] == 1
        await chat.tick(until + 1)
        assert ann.types.count("left") == 1
        back = User(chat)
        assert (await back.ask("hello", name="Bob", secret=secret))["memberships"] == []


@async_test
async def test_a_room_that_waits_for_its_first_member_waits_for_its_creator() -> None:
    async with chatting() as (_, chat):
        bob = User(chat)
        secret = (await bob.ask("hello", name="Bob"))["secret"]
        await bob.ask("create_room", room="tea")
        until = await lose(chat, bob)
        back = User(chat)
        await back.ask("hello", name="Bob", secret=secret)
        assert (await back.ask("join", room="tea"))["type"] == "ack"
        await chat.tick(until + 1)
        await chat.leave(back, grace=GRACE)
        assert (await (await enter(chat, "Ann")).ask("join", room="tea"))["type"] == "ack"


@async_test
async def test_no_more_than_so_many_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.presence.MAX_ABSENT", 2)
    async with chatting() as (_, chat):
        ann = await enter(chat, "Ann", "lobby")
        users = [await enter(chat, f"User {number}", "lobby") for number in range(3)]
        ann.heard.clear()
        for user in users:
            until = await lose(chat, user)
        assert [e["user"] for e in ann.heard if e["type"] == "left"] == ["User 2"]
        await chat.tick(until + 1)
        gone = [e["user"] for e in ann.heard if e["type"] == "left"]
        assert gone == ["User 2", "User 0", "User 1"]


# Over sockets: which ends of a connection are waited for


@pytest.mark.parametrize(
    ("code", "is_waited_for"),
    [(1000, False), (1001, True), (4000, True), (1006, True), (4403, False)],
)
@async_test
async def test_some_ends_are_waited_for(code: int, is_waited_for: bool) -> None:
    async with (
        running(away_after=60.0) as address,
        client(address, "Ann", "lobby") as ann,
        client(address, "Bob", "lobby") as bob,
    ):
        if code == 1006:
            bob.websocket.abort()
        else:
            await bob.websocket.close(code)
        if is_waited_for:
            async with client(address) as thief:
                while (await stats(address))["connections"] > 2:
                    pass
                assert (await thief.ask("hello", name="Bob"))["code"] == "name_taken"
                assert (await ann.members("lobby")) == {"Ann": True, "Bob": True}
        else:
            assert (await ann.event("left"))["user"] == "Bob"


@pytest.mark.parametrize(("fields", "is_waited_for"), [({}, False), ({"code": 4000}, True)])
@async_test
async def test_the_fallback_tells_the_same(fields: dict[str, int], is_waited_for: bool) -> None:
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(running(away_after=60.0))
        ann = await stack.enter_async_context(client(address, "Ann", "lobby"))
        bob = await stack.enter_async_context(events(address, "Bob"))
        await bob.ask("join", room="lobby")
        assert await bob.post(close=True, **fields) == 202
        if not is_waited_for:
            assert (await ann.event("left"))["user"] == "Bob"
            return
        while (await stats(address))["connections"] > 1:
            pass
        assert (await ann.members("lobby")) == {"Ann": True, "Bob": True}


@async_test
async def test_the_fallback_takes_no_other_code() -> None:
    async with running() as address, events(address, "Ann") as ann:
        for code in (1000, 1006, 2999, 5000):
            assert await ann.post(close=True, code=code) == 400
