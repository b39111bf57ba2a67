"""The machine's clock is put ahead or back while people talk: what depends on it, what does not.

By the wall clock go the times that people are shown, and the ends of tokens (`test_auth`). All else
goes by a clock that nobody sets.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import async_test

from .test_commands import FarEngine, User, chatting, enter

HOUR = 3600.0
SMALL_MOVES = [1, 5, 24, -1, -24, -31 * 24, -20 * 365 * 24]
small_moves = pytest.mark.parametrize("hours", SMALL_MOVES, ids=lambda hours: f"{hours:+d}h")
# Further ahead than messages are kept.
moves = pytest.mark.parametrize(
    "hours", [*SMALL_MOVES, 31 * 24, 20 * 365 * 24], ids=lambda hours: f"{hours:+d}h"
)


class Clocks:
    """The wall clock, which is put ahead or back, and one that only goes on."""

    def __init__(self) -> None:
        self.wall = 1.8e9
        self.monotonic = 1e5

    def go_on(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds

    @property
    def options(self) -> dict[str, Any]:
        return {"clock": lambda: self.wall, "monotonic": lambda: self.monotonic}


async def log(engine: FarEngine) -> list[int]:
    page = await engine.read("room:lobby", after=0, limit=200)
    return [entry.position.offset for entry in page.entries]


@moves
@async_test
async def test_nothing_is_lost_repeated_or_forgotten(hours: int) -> None:
    clocks = Clocks()
    async with chatting(**clocks.options) as (engine, chat):
        ann = User(chat)
        hello = await ann.ask("hello", name="Ann")
        position = await ann.ask("join", room="lobby")
        bob = await enter(chat, "Bob", "lobby")
        for number in range(1, 4):
            await bob.ask("send", room="lobby", text=str(number), key=f"key {number}")
            await bob.ask("private", to="Ann", text=str(number), key=f"key {number}")
        await ann.ask("mark_read", room="lobby", offset=1)
        await chat.leave(ann)
        clocks.wall += hours * HOUR
        # What is too old is looked for, the guest waits to be back, and there is more talk.
        clocks.go_on(61.0)
        await chat.tick(clocks.monotonic)
        again = await bob.ask("send", room="lobby", text="3", key="key 3")
        assert again["offset"] == 3
        assert (await bob.ask("private", to="Ann", text="3", key="key 3"))["offset"] == 3
        assert (await bob.ask("send", room="lobby", text="4"))["offset"] == 4
        assert await log(engine) == [1, 2, 3, 4]
        # Ann comes back to what she has missed, in order, and is still Ann.
        back = User(chat)
        since = {"epoch": position["epoch"], "offset": 1}
        inbox = {"epoch": hello["inbox"]["epoch"], "offset": 2}
        answer = await back.ask("hello", name="Ann", secret=hello["secret"], inbox=inbox)
        assert answer["user"] == hello["user"]
        (membership,) = answer["memberships"]
        assert (membership["head"], membership["read"], membership["unread"]) == (4, 1, 3)
        assert answer["inbox"]["recovered"]
        assert [event["offset"] for event in answer["inbox"]["history"]] == [3]
        answer = await back.ask("join", room="lobby", since=since)
        assert answer["recovered"]
        assert [event["offset"] for event in answer["history"]] == [2, 3, 4]
        # What was said before can be changed.
        assert (await bob.ask("edit", room="lobby", offset=2, text="two"))["offset"] == 5
        assert back.heard[-1]["target"] == 2


@small_moves
@async_test
async def test_a_restart_does_not_matter(hours: int, tmp_path: Path) -> None:
    clocks = Clocks()
    async with chatting(tmp_path / "db", **clocks.options) as (_, chat):
        ann = User(chat)
        hello = await ann.ask("hello", name="Ann")
        position = await ann.ask("join", room="lobby")
        for number in range(1, 4):
            await ann.ask("send", room="lobby", text=str(number), key=f"key {number}")
    clocks.wall += hours * HOUR
    # The machine's own may begin anew.
    clocks.monotonic = 5.0
    async with chatting(tmp_path / "db", **clocks.options) as (engine, chat):
        await chat.tick(0.0)
        clocks.go_on(61.0)
        await chat.tick(61.0)
        back = User(chat)
        answer = await back.ask("hello", name="Ann", secret=hello["secret"])
        assert answer["user"] == hello["user"]
        since = {"epoch": position["epoch"], "offset": 1}
        answer = await back.ask("join", room="lobby", since=since)
        assert answer["recovered"]
        assert [event["offset"] for event in answer["history"]] == [2, 3]
        again = await back.ask("send", room="lobby", text="3", key="key 3")
        assert again["offset"] == 3
        assert await log(engine) == [1, 2, 3]


@moves
@async_test
async def test_people_come_go_and_type_as_ever(hours: int) -> None:
    clocks = Clocks()
    async with chatting(**clocks.options) as (_, chat):
        ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob", "lobby")
        await bob.ask("typing", room="lobby", active=True)
        await chat.leave(bob, grace=5.0)
        ann.heard.clear()
        clocks.wall += hours * HOUR
        # Bob is waited for by a clock that has not moved.
        await chat.tick(_now())
        assert "left" not in ann.types
        await chat.tick(_now() + 6.0)
        assert ann.types.count("left") == 1
        assert (await (await enter(chat, "Bob")).ask("join", room="lobby"))["type"] == "ack"
        members = (await ann.ask("members", room="lobby"))["members"]
        assert [m["online"] for m in members].count(True) == 2


@async_test
async def test_what_is_old_by_both_clocks_is_forgotten() -> None:
    clocks = Clocks()
    async with chatting(**clocks.options) as (engine, chat):
        ann = await enter(chat, "Ann", "lobby")
        await ann.ask("send", room="lobby", text="1")
        clocks.go_on(31 * 24 * HOUR)
        await chat.tick(clocks.monotonic)
        assert await log(engine) == []


def _now() -> float:
    return asyncio.get_running_loop().time()
