"""The commands against an engine that takes its time, or leaves out news, as one far away would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

import rfc6455
from server.chat import Chat
from server.engines.base import Append, Appended, EngineError, Page
from server.engines.embedded import EmbeddedEngine
from server.feeds import Feed
from server.logs import MAX_RECOVERY
from server.mail import LOOK_BACK
from server.presence import LARGE, TYPING_EXPIRES
from server.protocol import Encoded
from server.rooms import TAIL
from server.session import Session
from tests.helpers import async_test


class FarEngine(EmbeddedEngine):
    """Reads logs at once and tells later; may lose news; may refuse to work."""

    def __init__(self, path: Path | None = None, **options: Any) -> None:
        super().__init__(path, **options)
        self.reading = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.loses_news = False
        self.refuses = False

    async def read(self, log: str, *, after: int, limit: int) -> Page:
        return await self._tell_later(await super().read(log, after=after, limit=limit))

    async def read_back(self, log: str, *, before: int | None, limit: int) -> Page:
        return await self._tell_later(await super().read_back(log, before=before, limit=limit))

    async def _tell_later(self, page: Page) -> Page:
        self.reading.set()
        await self.may_answer.wait()
        if self.refuses:
            raise EngineError("the disk is full")
        return page

    async def append(self, *appends: Append) -> Sequence[Appended]:
        if self.refuses:
            raise EngineError("the disk is full")
        return await super().append(*appends)

    def _tell(self, appends: Sequence[Append], appended: Sequence[Appended]) -> None:
        if not self.loses_news:
            super()._tell(appends, appended)


class User(Session):
    """A session without a connection: keeps what it is handed."""

    def __init__(self, chat: Chat) -> None:
        super().__init__(cast("rfc6455.WebSocket", None), max_events=1000, max_size=1000)
        self._chat = chat
        self.heard: list[dict[str, Any]] = []

    def _put(self, event: Encoded, key: str = "") -> None:
        text = event if isinstance(event, str) else event.message
        self.heard.append(json.loads(text))

    def _put_latest(self, event: Encoded, key: str) -> None:
        self._put(event)

    async def ask(self, type: str, **fields: Any) -> dict[str, Any]:
        await self._chat.receive(self, json.dumps({"type": type, **fields}))
        return next(e for e in reversed(self.heard) if e["type"] in ("ack", "error"))

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.heard]

    def messages(self, field: str = "text") -> list[Any]:
        return [event[field] for event in self.heard if event["type"] == "message"]


@asynccontextmanager
async def chatting(
    path: Path | None = None, feeds: Sequence[Feed] = (), **options: Any
) -> AsyncIterator[tuple[FarEngine, Chat]]:
    engine = FarEngine(path, **options)
    await engine.start()
    chat = Chat(engine, feeds=feeds)
    await chat.start()
    try:
        yield engine, chat
    finally:
        await engine.close()


async def enter(chat: Chat, name: str, room: str = "", **hello: Any) -> User:
    user = User(chat)
    assert (await user.ask("hello", name=name, **hello))["type"] == "ack"
    if room:
        assert (await user.ask("join", room=room))["type"] == "ack"
    user.heard.clear()
    return user


async def begin_to_join(engine: FarEngine, user: User, room: str) -> asyncio.Task[dict[str, Any]]:
    engine.reading.clear()
    engine.may_answer.clear()
    task = asyncio.create_task(user.ask("join", room=room))
    await engine.reading.wait()
    return task


# Joining


@pytest.mark.parametrize("meanwhile", [1, TAIL, TAIL + 1], ids=["one", "tail", "more"])
@async_test
async def test_who_joins_gets_every_message_once_in_order(meanwhile: int) -> None:
    async with chatting() as (engine, chat):
        ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob")
        await ann.ask("send", room="lobby", text="0")
        joining = await begin_to_join(engine, bob, "lobby")
        for number in range(1, meanwhile + 1):
            await ann.ask("send", room="lobby", text=str(number))
        engine.may_answer.set()
        answer = await joining
        expected = list(range(meanwhile + 1))
        assert [(e["offset"], e["text"]) for e in answer["history"]] == [
            (number + 1, str(number)) for number in expected
        ]
        await ann.ask("send", room="lobby", text="after")
        assert bob.types == ["ack", "message"]
        assert bob.messages() == ["after"]
        assert answer["offset"] == answer["head"] == meanwhile + 1


@async_test
async def test_what_is_said_while_the_answer_is_made_comes_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with chatting() as (_, chat):
        ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob", "lobby")
        # Between the inbox, which is followed from then on, and the answer.
        enter_broadcasts = chat.broadcasts.enter

        async def slowly(*arguments: Any) -> Any:
            await ann.ask("private", to="Bob", text="psst")
            return await enter_broadcasts(*arguments)

        monkeypatch.setattr(chat.broadcasts, "enter", slowly)
        other = User(chat)
        secret_holder = await _secret_of(chat, bob, "Bob")
        await other.ask("hello", name="Bob", secret=secret_holder)
        assert other.types == ["ack", "private"]


async def _secret_of(chat: Chat, user: User, name: str) -> str:
    """Makes a user's secret known, as their browser would keep it."""
    await chat.leave(user)
    again = User(chat)
    answer = await again.ask("hello", name=name)
    secret: str = answer["secret"]
    return secret


@async_test
async def test_who_is_gone_while_joining_is_in_no_room() -> None:
    async with chatting() as (engine, chat):
        ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob")
        joining = await begin_to_join(engine, bob, "lobby")
        joining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await joining
        engine.may_answer.set()
        await chat.leave(bob)
        assert (await ann.ask("members", room="lobby"))["online"] == 1
        await ann.ask("send", room="lobby", text="x")
        assert bob.messages() == []
        assert (await User(chat).ask("hello", name="Bob"))["type"] == "ack"


@async_test
async def test_a_room_does_not_go_while_somebody_joins() -> None:
    async with chatting() as (engine, chat):
        ann, bob = await enter(chat, "Ann"), await enter(chat, "Bob")
        await ann.ask("create_room", room="tea")
        await ann.ask("join", room="tea")
        joining = await begin_to_join(engine, bob, "tea")
        await ann.ask("leave", room="tea")
        engine.may_answer.set()
        assert (await joining)["members"] == ["Bob"]


@async_test
async def test_a_room_that_is_gone_cannot_be_joined() -> None:
    async with chatting() as (_, chat):
        ann, bob = await enter(chat, "Ann"), await enter(chat, "Bob")
        await ann.ask("create_room", room="tea")
        await ann.ask("join", room="tea")
        # In the same turn: the membership ends before the other one begins.
        leaving = asyncio.create_task(ann.ask("leave", room="tea"))
        answer = await bob.ask("join", room="tea")
        await leaving
        assert answer.get("code") == "no_such_room" or answer["members"] == ["Bob"]
        assert (await ann.ask("leave", room="tea"))["code"] in ("no_such_room", "not_in_room")


# Recovery


@async_test
async def test_who_comes_back_gets_exactly_what_was_missed() -> None:
    async with chatting() as (_, chat):
        ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob")
        joined = await bob.ask("join", room="lobby")
        for text in "12":
            await ann.ask("send", room="lobby", text=text)
        await chat.leave(bob)
        for text in "34":
            await ann.ask("send", room="lobby", text=text)
        bob = await enter(chat, "Bob")
        since = {"epoch": joined["epoch"], "offset": 2}
        answer = await bob.ask("join", room="lobby", since=since)
        assert (answer["recovered"], answer["more"]) == (True, False)
        assert [e["text"] for e in answer["history"]] == ["3", "4"]
        # Also with nothing missed, and by somebody who never heard anything.
        for offset, missed in ((4, []), (0, ["1", "2", "3", "4"])):
            since = {"epoch": joined["epoch"], "offset": offset}
            answer = await bob.ask("join", room="lobby", since=since)
            assert answer["recovered"]
            assert [e["text"] for e in answer["history"]] == missed
        await ann.ask("send", room="lobby", text="5")
        assert bob.messages() == ["5"]


@pytest.mark.parametrize(
    "since",
    [
        {"epoch": "another", "offset": 3},
        {"epoch": "", "offset": 0},
        {"offset": 5},
        {"offset": 2**53 - 1},
        {"offset": 0},
    ],
    ids=["epoch", "nothing", "future", "far future", "trimmed"],
)
@async_test
async def test_a_position_from_which_nothing_goes_on_is_told(since: dict[str, Any]) -> None:
    async with chatting(kept=3) as (_, chat):
        ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob")
        for text in "1234":
            answer = await ann.ask("send", room="lobby", text=text)
        answer = await bob.ask("join", room="lobby", since={"epoch": answer["epoch"], **since})
        assert not answer["recovered"]
        assert [e["offset"] for e in answer["history"]] == [2, 3, 4]
        assert answer["offset"] == 4


@pytest.mark.parametrize("offset", [-1, 2**53, "1", 1.5, None])
@async_test
async def test_a_forged_position_is_refused(offset: Any) -> None:
    async with chatting() as (_, chat):
        bob = await enter(chat, "Bob")
        answer = await bob.ask("join", room="lobby", since={"epoch": "e", "offset": offset})
        assert answer["code"] == "bad_fields"


@async_test
async def test_much_that_was_missed_comes_in_parts() -> None:
    async with chatting() as (_, chat):
        ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob", "lobby")
        await chat.leave(bob)
        count = 2 * MAX_RECOVERY + 1
        for number in range(1, count + 1):
            answer = await ann.ask("send", room="lobby", text=str(number))
        bob = await enter(chat, "Bob")
        epoch, offset, got, more = answer["epoch"], 0, [], True
        while more:
            since = {"epoch": epoch, "offset": offset}
            answer = await bob.ask("join", room="lobby", since=since)
            assert answer["recovered"]
            got += [event["offset"] for event in answer["history"]]
            offset, more = answer["offset"], answer["more"]
            if more:
                # Nobody follows who has not caught up.
                await ann.ask("send", room="lobby", text="meanwhile")
                count += 1
        assert got == list(range(1, count + 1))
        assert bob.messages() == []
        await ann.ask("send", room="lobby", text="live")
        assert bob.messages("offset") == [count + 1]


@async_test
async def test_news_that_are_lost_are_read_from_the_log() -> None:
    async with chatting() as (engine, chat):
        ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob", "lobby")
        await ann.ask("send", room="lobby", text="1")
        engine.loses_news = True
        for text in "234":
            await ann.ask("send", room="lobby", text=text)
        engine.loses_news = False
        engine.reading.clear()
        await ann.ask("send", room="lobby", text="5")
        await ann.ask("send", room="lobby", text="6")
        await engine.reading.wait()
        await ann.ask("list_rooms")
        while len(bob.messages()) < 6:
            await ann.ask("list_rooms")
            await ann.ask("members", room="lobby")
        assert bob.messages() == ann.messages() == list("123456")


@async_test
async def test_news_that_cannot_be_read_are_read_later() -> None:
    async with chatting() as (engine, chat):
        ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob", "lobby")
        await ann.ask("send", room="lobby", text="1")
        engine.loses_news = True
        await ann.ask("send", room="lobby", text="2")
        engine.loses_news = False
        engine.may_answer.clear()
        await ann.ask("send", room="lobby", text="3")
        engine.refuses = True
        engine.may_answer.set()
        while not all(task.done() for task in chat._logs._behind.values()):
            await ann.ask("members", room="lobby")
        assert bob.messages() == ["1"]
        engine.refuses = False
        await chat.tick(0.0)
        while len(bob.messages()) < 3:
            await ann.ask("members", room="lobby")
        assert bob.messages() == ["1", "2", "3"]


@async_test
async def test_followers_are_told_when_a_log_begins_anew() -> None:
    async with chatting() as (engine, chat):
        ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob", "lobby")
        await ann.ask("send", room="lobby", text="1")
        await engine._writer.call(lambda store: store._run("UPDATE log SET epoch = 'new'"))
        answer = await ann.ask("send", room="lobby", text="2")
        assert answer["epoch"] == "new"
        while "reset" not in bob.types:
            await ann.ask("members", room="lobby")
        reset = bob.heard[-1]
        assert reset == {"type": "reset", "log": "room:lobby", "epoch": "new", "offset": 2}
        await ann.ask("send", room="lobby", text="3")
        assert bob.messages() == ["1", "3"]


# Messages


@async_test
async def test_a_message_sent_again_is_said_once(tmp_path: Path) -> None:
    async with chatting(tmp_path / "db") as (_, chat):
        ann = User(chat)
        secret = (await ann.ask("hello", name="Ann"))["secret"]
        await ann.ask("join", room="lobby")
        first = await ann.ask("send", room="lobby", text="hi", key="1")
        assert await ann.ask("send", room="lobby", text="hi", key="1") == first
        bob = await enter(chat, "Bob", "lobby")
        assert (await bob.ask("send", room="lobby", text="hi", key="1"))["offset"] == 2
        assert ann.messages("key") == ["1", "1"]
    async with chatting(tmp_path / "db") as (_, chat):
        ann = await enter(chat, "Ann", "lobby", secret=secret)
        assert await ann.ask("send", room="lobby", text="hi", key="1") == first
        assert ann.messages() == []


@async_test
async def test_one_changes_and_takes_back_what_one_said() -> None:
    async with chatting() as (_, chat):
        ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob", "lobby")
        for text in ("helo", "oops"):
            await ann.ask("send", room="lobby", text=text)
        assert (await bob.ask("edit", room="lobby", offset=1, text="x"))["code"] == "forbidden"
        assert (await bob.ask("delete", room="lobby", offset=1))["code"] == "forbidden"
        assert (await ann.ask("edit", room="lobby", offset=1, text="hello"))["offset"] == 3
        assert (await ann.ask("delete", room="lobby", offset=2, key="d"))["offset"] == 4
        assert (await ann.ask("delete", room="lobby", offset=2, key="d"))["offset"] == 4
        edited, deleted = bob.heard[-2:]
        assert (edited["type"], edited["target"], edited["text"]) == ("edited", 1, "hello")
        assert (deleted["type"], deleted["target"]) == ("deleted", 2)
        for offset in (0, 3, 4, 5, 2**53 - 1):
            answer = await ann.ask("edit", room="lobby", offset=offset, text="x")
            assert answer["code"] == "no_such_message"
        answer = await ann.ask("edit", room="lobby", offset=2, text="x")
        assert answer["code"] == "no_such_message"
        history = (await bob.ask("history", room="lobby"))["history"]
        assert [(e["type"], e.get("text")) for e in history] == [
            ("message", "hello"),
            ("message", ""),
            ("edited", "hello"),
            ("deleted", None),
        ]
        assert history[0]["edited"]
        assert history[1]["deleted"]
        assert "oops" not in json.dumps(history)


@async_test
async def test_of_two_changes_at_once_the_log_has_both_in_order() -> None:
    async with chatting() as (_, chat):
        ann = await enter(chat, "Ann", "lobby")
        await ann.ask("send", room="lobby", text="0")
        await asyncio.gather(
            *(
                chat.receive(ann, json.dumps(command))
                for command in (
                    {"type": "edit", "room": "lobby", "offset": 1, "text": "1"},
                    {"type": "edit", "room": "lobby", "offset": 1, "text": "2"},
                    {"type": "delete", "room": "lobby", "offset": 1},
                )
            )
        )
        history = (await ann.ask("history", room="lobby"))["history"]
        changes = [event for event in history[1:] if event["type"] == "edited"]
        # Nothing comes back to life: no change stands behind the end.
        assert [event["type"] for event in history[1:]][-1] == "deleted" or not changes
        assert history[0]["deleted"]
        assert history[0]["text"] == ""


@async_test
async def test_history_goes_back_page_by_page() -> None:
    async with chatting(kept=25) as (_, chat):
        ann = await enter(chat, "Ann", "lobby")
        for number in range(1, 31):
            await ann.ask("send", room="lobby", text=str(number))
        before: int | None = None
        offsets: list[int] = []
        more = True
        while more:
            page = await ann.ask("history", room="lobby", before=before, limit=10)
            offsets = [event["offset"] for event in page["history"]] + offsets
            before, more = offsets[0], page["more"]
        assert offsets == list(range(6, 31))
        bob = await enter(chat, "Bob")
        assert (await bob.ask("history", room="lobby"))["code"] == "not_in_room"
        assert (await ann.ask("history", room="lobby", limit=201))["code"] == "bad_fields"


@async_test
async def test_while_the_engine_refuses_nothing_is_acknowledged_or_heard() -> None:
    async with chatting() as (engine, chat):
        ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob", "lobby")
        engine.refuses = True
        answer = await ann.ask("send", id=1, room="lobby", text="x", key="1")
        assert (answer["type"], answer["id"], answer["code"]) == ("error", 1, "unavailable")
        assert answer["message"] == "try again later: the disk is full"
        assert bob.messages() == []
        engine.refuses = False
        assert (await ann.ask("send", room="lobby", text="x", key="1"))["offset"] == 1
        assert bob.messages() == ["x"]


# Users


@async_test
async def test_a_guest_is_known_by_the_secret() -> None:
    async with chatting() as (_, chat):
        ann = User(chat)
        hello = await ann.ask("hello", name="Ann")
        await ann.ask("join", room="lobby")
        # A second connection, while the first has not ended: the same user.
        again = User(chat)
        answer = await again.ask("hello", name="Ann", secret=hello["secret"])
        assert (answer["user"], answer["secret"]) == (hello["user"], hello["secret"])
        assert [m["room"] for m in answer["memberships"]] == ["lobby"]
        assert (await again.ask("join", room="lobby"))["members"] == ["Ann"]
        assert ann.types == ["ack", "ack"]
        await chat.leave(ann)
        assert (await again.ask("members", room="lobby"))["online"] == 1
        for secret in (hello["secret"][:-1] + "?", hello["user"], hello["user"] + ".", "x.y", ""):
            answer = await User(chat).ask("hello", name="Ann", secret=secret)
            assert answer["code"] == "name_taken"


@async_test
async def test_who_takes_a_name_that_is_free_does_not_get_the_messages_of_its_last_holder() -> None:
    async with chatting() as (_, chat):
        ann, bob = await enter(chat, "Ann"), await enter(chat, "Bob")
        await ann.ask("private", to="Bob", text="for the first")
        await chat.leave(bob)
        thief = User(chat)
        answer = await thief.ask("hello", name="Bob")
        assert answer["inbox"]["head"] == 0
        await ann.ask("private", to="Bob", text="for the second")
        assert [e["text"] for e in thief.heard if e["type"] == "private"] == ["for the second"]


@async_test
async def test_guests_who_do_not_come_back_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    async with chatting() as (_, chat):
        ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob")
        await bob.ask("create_room", room="tea")
        await bob.ask("join", room="tea")
        await chat.leave(bob)
        ann.heard.clear()
        await chat.tick(0.0)
        assert (await ann.ask("private", to="Bob", text="x"))["type"] == "ack"
        monkeypatch.setattr("server.chat.GUEST_RETENTION", 60.0)
        await chat.tick(30.0)
        assert "room_removed" not in ann.types
        await chat.tick(60.0)
        assert "room_removed" in ann.types
        assert (await ann.ask("private", to="Bob", text="x"))["code"] == "no_such_user"


@async_test
async def test_a_clock_that_is_set_makes_no_guest_forgotten() -> None:
    now = 1e9
    async with chatting(clock=lambda: now) as (_, chat):
        ann, bob = await enter(chat, "Ann"), await enter(chat, "Bob")
        await chat.leave(bob)
        await chat.tick(0.0)
        now += 86400
        await chat.tick(60.0)
        assert (await ann.ask("private", to="Bob", text="x"))["type"] == "ack"


@async_test
async def test_the_events_of_a_leaving_are_not_for_the_one_who_leaves() -> None:
    async with chatting() as (_, chat):
        ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob", "lobby")
        ann.heard.clear()
        await chat.leave(bob)
        await chat.tick(0.0)
        assert ann.types == ["left", "room_count"]
        assert bob.types == []


@async_test
async def test_when_the_chat_ends_nobody_hears_of_the_others() -> None:
    async with chatting() as (_, chat):
        ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob", "lobby")
        ann.heard.clear()
        chat.close()
        await chat.leave(bob)
        assert ann.types == []


@async_test
async def test_who_never_said_hello_leaves_without_trace() -> None:
    async with chatting() as (_, chat):
        ann = await enter(chat, "Ann", "lobby")
        await chat.leave(User(chat))
        assert ann.types == []


@async_test
async def test_rooms_and_memberships_survive_a_restart(tmp_path: Path) -> None:
    async with chatting(tmp_path / "db") as (_, chat):
        ann = User(chat)
        secret = (await ann.ask("hello", name="Ann"))["secret"]
        for room in ("tea", "milk"):
            await ann.ask("create_room", room=room, topic=f"about {room}")
        await ann.ask("join", room="tea")
        sent = await ann.ask("send", room="tea", text="hi")
        await ann.ask("mark_read", room="tea", offset=1)
    async with chatting(tmp_path / "db") as (_, chat):
        ann = User(chat)
        answer = await ann.ask("hello", name="Ann", secret=secret)
        # The other room had no members.
        assert answer["rooms"] == [
            {"room": "lobby", "members": 0},
            {"room": "tea", "members": 0, "topic": "about tea"},
        ]
        assert answer["memberships"] == [
            {"room": "tea", "epoch": sent["epoch"], "head": 1, "read": 1, "unread": 0}
        ]


@async_test
async def test_who_leaves_a_room_leaves_it_on_all_connections() -> None:
    async with chatting() as (_, chat):
        ann, cat = User(chat), await enter(chat, "Cat", "lobby")
        secret = (await ann.ask("hello", name="Ann"))["secret"]
        other = await enter(chat, "Ann", "lobby", secret=secret)
        await ann.ask("join", room="lobby")
        cat.heard.clear()
        assert (await ann.ask("leave", room="lobby"))["type"] == "ack"
        await chat.tick(0.0)
        expelled = {"type": "expelled", "room": "lobby", "by": "Ann", "reason": "", "banned": False}
        assert expelled in other.heard
        assert "expelled" not in ann.types
        assert (await other.ask("send", room="lobby", text="x"))["code"] == "not_in_room"
        assert cat.types.count("left") == 1
        # And may come again.
        assert (await other.ask("join", room="lobby"))["type"] == "ack"


@async_test
async def test_who_joins_a_room_hears_of_it_on_their_other_connections() -> None:
    async with chatting() as (_, chat):
        ann, bob = User(chat), await enter(chat, "Bob", "lobby")
        secret = (await ann.ask("hello", name="Ann"))["secret"]
        other = await enter(chat, "Ann", secret=secret)
        assert (await ann.ask("join", room="lobby"))["type"] == "ack"
        await chat.tick(0.0)
        assert other.heard.count({"type": "room_joined", "room": "lobby"}) == 1
        # Nobody else hears it, nor whoever knows it already; not even when they join, too.
        assert (await other.ask("join", room="lobby"))["type"] == "ack"
        again = await enter(chat, "Ann", "lobby", secret=secret)
        await chat.tick(0.0)
        assert other.types.count("room_joined") == 1
        for user in (ann, bob, again):
            assert "room_joined" not in user.types


@async_test
async def test_a_room_for_members_is_open_and_closed_to_all_connections_of_one() -> None:
    async with chatting() as (_, chat):
        ann, bob = await enter(chat, "Ann"), User(chat)
        secret = (await bob.ask("hello", name="Bob"))["secret"]
        other = await enter(chat, "Bob", secret=secret)
        await ann.ask("create_room", room="tea")
        await ann.ask("join", room="tea")
        await bob.ask("join", room="tea")
        await ann.ask("set_access", room="tea", access="members")
        assert (await other.ask("members", room="tea"))["type"] == "ack"
        # Also to those that have not entered it.
        await ann.ask("moderate", room="tea", user="Bob", action="kick")
        for session in (bob, other):
            assert (await session.ask("join", room="tea"))["code"] == "forbidden"


# Private messages


@async_test
async def test_a_private_message_finds_its_receiver_by_any_form_of_the_name() -> None:
    async with chatting() as (_, chat):
        ann, zoe = await enter(chat, "Ann"), await enter(chat, "Zoë")
        assert (await ann.ask("private", to="ZOE\u0308", text="hi"))["to"] == "Zoë"
        assert zoe.types == ["private"]
        answer = await ann.ask("private", to="x" * 60_000, text="hi")
        assert answer["code"] == "no_such_user"


@async_test
async def test_a_private_message_to_oneself_comes_once() -> None:
    async with chatting() as (_, chat):
        ann = await enter(chat, "Ann")
        await ann.ask("private", to="Ann", text="note")
        assert ann.types == ["private", "ack"]


@async_test
async def test_private_messages_wait_for_who_is_not_here() -> None:
    async with chatting() as (_, chat):
        ann, bob = await enter(chat, "Ann"), User(chat)
        hello = await bob.ask("hello", name="Bob")
        await ann.ask("private", to="Bob", text="1")
        await chat.leave(bob)
        for key in "abb":
            await ann.ask("private", to="Bob", text=key, key=key)
        bob = User(chat)
        since = {"epoch": hello["inbox"]["epoch"], "offset": 1}
        answer = await bob.ask("hello", name="Bob", secret=hello["secret"], inbox=since)
        assert answer["inbox"]["recovered"]
        assert [(e["offset"], e["text"]) for e in answer["inbox"]["history"]] == [
            (2, "a"),
            (3, "b"),
        ]
        await ann.ask("private", to="Bob", text="live")
        assert bob.heard[-1]["offset"] == 4
        await bob.ask("mark_read", offset=99)
        page = await bob.ask("private_history", before=3, limit=1)
        assert ([e["text"] for e in page["history"]], page["more"]) == (["a"], True)
        # Reading on is the same as coming back.
        again = await bob.ask("inbox", since={"epoch": since["epoch"], "offset": 3})
        assert [e["text"] for e in again["log"]["history"]] == ["live"]
        other = User(chat)
        answer = await other.ask("hello", name="Bob", secret=hello["secret"])
        assert answer["inbox_read"] == 4
        assert ann.types.count("private") == 4


@async_test
async def test_a_private_message_is_changed_and_taken_back_for_both() -> None:
    async with chatting() as (_, chat):
        bob = await enter(chat, "Bob")
        await bob.ask("private", to="Bob", text="a note, so that offsets differ")
        ann = await enter(chat, "Ann")
        await ann.ask("private", to="Bob", text="helo")
        assert bob.heard[-1]["offset"] == 2
        edit = {"offset": 1, "text": "hello", "key": "e"}
        answer = await ann.ask("private_edit", **edit)
        assert (answer["to"], answer["offset"]) == ("Bob", 2)
        for user, target, offset in ((ann, 1, 2), (bob, 2, 3)):
            event = next(e for e in user.heard if e["type"] == "private_edited")
            assert (event["target"], event["offset"], event["text"]) == (target, offset, "hello")
            assert (event["from"], event["to"]) == ("Ann", "Bob")
            history = (await user.ask("private_history"))["history"]
            assert [e["text"] for e in history if e["offset"] == target] == ["hello"]
            assert [e.get("edited", False) for e in history if e["offset"] == target] == [True]
        # Asked for again with the same key, it is done once.
        assert (await ann.ask("private_edit", **edit))["offset"] == 2
        assert (await ann.ask("private_delete", offset=1))["type"] == "ack"
        for user, target in ((ann, 1), (bob, 2)):
            assert [e["target"] for e in user.heard if e["type"] == "private_deleted"] == [target]
            history = (await user.ask("private_history"))["history"]
            (message,) = [e for e in history if e["offset"] == target]
            assert (message["text"], message["deleted"]) == ("", True)
        assert (await ann.ask("private_edit", offset=1, text="x"))["code"] == "no_such_message"


@async_test
async def test_nobody_changes_what_others_said_in_private_or_what_is_not_there() -> None:
    async with chatting() as (_, chat):
        ann, bob = await enter(chat, "Ann"), await enter(chat, "Bob")
        await ann.ask("private", to="Bob", text="mine")
        await ann.ask("private_delete", offset=1)
        assert (await bob.ask("private_edit", offset=1, text="x"))["code"] == "forbidden"
        for offset in (0, 2, 3, 2**53 - 1):
            answer = await ann.ask("private_delete", offset=offset)
            assert answer["code"] == "no_such_message"
        assert (await ann.ask("private_edit", offset=1, text="x" * 4001))["code"] == "too_long"


@async_test
async def test_a_note_to_oneself_is_changed_once() -> None:
    async with chatting() as (_, chat):
        ann = await enter(chat, "Ann")
        await ann.ask("private", to="Ann", text="note")
        ann.heard.clear()
        await ann.ask("private_edit", offset=1, text="another")
        assert ann.types == ["private_edited", "ack"]


@async_test
async def test_a_private_message_whose_copy_is_gone_is_changed_in_ones_own_log() -> None:
    async with chatting(kept=5) as (_, chat):
        ann, bob = await enter(chat, "Ann"), await enter(chat, "Bob")
        await ann.ask("private", to="Bob", text="for Bob")
        for number in range(5):
            await bob.ask("private", to="Bob", text=str(number))
        bob.heard.clear()
        assert (await ann.ask("private_edit", offset=1, text="changed"))["type"] == "ack"
        assert bob.types == []


@async_test
async def test_a_private_message_is_changed_until_its_receiver_got_many_others() -> None:
    async with chatting() as (_, chat):
        ann, bob = await enter(chat, "Ann"), await enter(chat, "Bob")
        await ann.ask("private", to="Bob", text="for Bob")
        for _ in range(LOOK_BACK - 1):
            await bob.ask("private", to="Bob", text="x")
        assert (await ann.ask("private_edit", offset=1, text="changed"))["type"] == "ack"
        answer = await ann.ask("private_edit", offset=1, text="again")
        assert answer["code"] == "no_such_message"


@async_test
async def test_two_changes_of_a_private_message_at_once_happen_one_after_the_other() -> None:
    async with chatting() as (engine, chat):
        ann = User(chat)
        secret = (await ann.ask("hello", name="Ann"))["secret"]
        other = await enter(chat, "Ann", secret=secret)
        bob = await enter(chat, "Bob")
        await ann.ask("private", to="Bob", text="0")
        engine.may_answer.clear()
        changes = [
            asyncio.create_task(user.ask("private_edit", offset=1, text=text))
            for user, text in ((ann, "1"), (other, "2"))
        ]
        await engine.reading.wait()
        engine.may_answer.set()
        assert [(await change)["type"] for change in changes] == ["ack", "ack"]
        texts = [e["text"] for e in bob.heard if e["type"] == "private_edited"]
        assert sorted(texts) == ["1", "2"]
        history = (await bob.ask("private_history"))["history"]
        assert history[0]["text"] == texts[-1]


# What is not kept


@async_test
async def test_typing_ends_by_itself() -> None:
    async with chatting() as (_, chat):
        ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob", "lobby")
        now = asyncio.get_running_loop().time()
        await ann.ask("typing", room="lobby", active=True)
        await chat.tick(now)
        assert [e["active"] for e in bob.heard if e["type"] == "typing"] == [True]
        await chat.tick(now + TYPING_EXPIRES + 60)
        assert [e["active"] for e in bob.heard if e["type"] == "typing"] == [True, False]
        await ann.ask("typing", room="lobby", active=True)
        await chat.leave(ann)
        assert [e["active"] for e in bob.heard if e["type"] == "typing"][2:] == [True, False]


@async_test
async def test_typing_to_one_user_is_told_to_them_alone_and_ends_by_itself() -> None:
    async with chatting() as (_, chat):
        ann, bob, cat = [await enter(chat, name) for name in ("Ann", "Bob", "Cat")]

        def told(user: User) -> list[bool]:
            found = [event for event in user.heard if event["type"] == "typing"]
            assert all((event["room"], event["user"]) == (None, "Ann") for event in found)
            return [event["active"] for event in found]

        assert (await ann.ask("typing", active=True, **{"with": "bob"}))["room"] is None
        assert (await ann.ask("typing", active=False, **{"with": "bob"}))["type"] == "ack"
        await ann.ask("typing", active=True, **{"with": "Bob"})
        await chat.tick(asyncio.get_running_loop().time() + TYPING_EXPIRES + 1)
        assert told(bob) == [True, False, True, False]
        # What is said ends it, without a word.
        await ann.ask("typing", active=True, **{"with": "Bob"})
        await ann.ask("private", to="Bob", text="x")
        await chat.tick(asyncio.get_running_loop().time() + 2 * TYPING_EXPIRES)
        assert told(bob) == [True, False, True, False, True]
        await ann.ask("typing", active=True, **{"with": "Ann"})
        assert told(ann) == told(cat) == []
        assert (await ann.ask("typing", active=True, **{"with": "Dan"}))["code"] == "no_such_user"
        await chat.leave(bob)
        assert (await ann.ask("typing", active=True, **{"with": "Bob"}))["type"] == "ack"


@async_test
async def test_the_others_hear_how_far_one_has_read() -> None:
    async with chatting() as (_, chat):
        ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob", "lobby")
        await ann.ask("send", room="lobby", text="1")
        assert (await bob.ask("mark_read", room="lobby", offset=7))["offset"] == 1
        assert ann.heard[-1] == {"type": "read", "room": "lobby", "user": "Bob", "offset": 1}


@async_test
async def test_in_a_large_room_only_numbers_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with chatting() as (_, chat):
        users = [await enter(chat, f"User {number}", "lobby") for number in range(LARGE + 50)]
        for user in users:
            user.heard.clear()
        ann = await enter(chat, "Ann", "lobby")
        await ann.ask("typing", room="lobby", active=True)
        await ann.ask("mark_read", room="lobby", offset=0)
        await chat.tick(0.0)
        await chat.leave(ann)
        # The more there are, the more rarely it is told.
        await chat.tick(0.0)
        await chat.tick(1.0)
        assert users[0].heard == [
            {"type": "room_count", "room": "lobby", "members": LARGE + 51},
            {"type": "room_count", "room": "lobby", "members": LARGE + 50},
        ]
        page = await users[0].ask("members", room="lobby", limit=200)
        rest = await users[0].ask("members", room="lobby", limit=200, after=page["after"])
        assert len(page["members"]) + len(rest["members"]) == LARGE + 51
        assert (page["online"], page["count"]) == (LARGE + 50, LARGE + 51)
        assert rest["after"] is None
        (gone,) = [m for m in page["members"] + rest["members"] if not m["online"]]
        assert gone["name"] == "Ann"
        assert gone["last_seen"].endswith("Z")


@async_test
async def test_a_room_is_about_what_its_members_say() -> None:
    async with chatting() as (_, chat):
        ann, bob = await enter(chat, "Ann", "lobby"), await enter(chat, "Bob")
        answer = await bob.ask("describe_room", room="lobby", topic="x")
        assert answer["code"] == "not_in_room"
        assert (await ann.ask("describe_room", room="lobby", topic="x" * 251))["code"] == "too_long"
        await ann.ask("describe_room", room="lobby", topic="everything")
        described = {"type": "room_described", "room": "lobby", "topic": "everything"}
        assert described in bob.heard
        assert (await bob.ask("join", room="lobby"))["topic"] == "everything"


# Notifications and feeds


@async_test
async def test_notifications_reach_who_subscribes_and_wait_for_who_is_away() -> None:
    async with chatting() as (_, chat):
        ann, bob = User(chat), await enter(chat, "Bob")
        hello = await ann.ask("hello", name="Ann")
        assert (await ann.ask("subscribe", pattern="orders.*"))["pattern"] == "orders.*"
        await ann.ask("subscribe", pattern="orders.#")
        await bob.ask("subscribe", pattern="alerts")
        await chat.broadcasts.notify("orders.eu", "Sold", "one", {"id": 7}, key="n1")
        await chat.broadcasts.notify("orders.eu", "Sold", "one", {"id": 7}, key="n1")
        (event,) = (e for e in ann.heard if e["type"] == "notification")
        event.pop("time")
        assert event == {
            "type": "notification",
            "offset": 1,
            "topic": "orders.eu",
            "title": "Sold",
            "text": "one",
            "data": {"id": 7},
        }
        assert "notification" not in bob.types
        await chat.leave(ann)
        for topic in ("alerts", "orders", "orders.us.late", "other"):
            await chat.broadcasts.notify(topic, topic)
        ann = User(chat)
        since = {"epoch": hello["notifications"]["epoch"], "offset": 1}
        answer = await ann.ask("hello", name="Ann", secret=hello["secret"], notifications=since)
        assert answer["patterns"] == ["orders.#", "orders.*"]
        assert [e["topic"] for e in answer["notifications"]["history"]] == [
            *("orders", "orders.us.late")
        ]
        assert answer["notifications"]["offset"] == 5
        await ann.ask("unsubscribe", pattern="orders.#")
        await chat.broadcasts.notify("orders", "not any more")
        await chat.broadcasts.notify("orders.eu", "still")
        assert [e["title"] for e in ann.heard if e["type"] == "notification"] == ["still"]
        again = await ann.ask("notifications", since={**since, "offset": 6})
        assert [e["title"] for e in again["log"]["history"]] == ["still"]
        assert (await ann.ask("subscribe", pattern="#.x"))["code"] == "invalid_topic"


@async_test
async def test_who_comes_without_a_position_finds_the_latest_notifications() -> None:
    async with chatting() as (_, chat):
        ann = User(chat)
        hello = await ann.ask("hello", name="Ann")
        assert hello["notifications_read"] == 0
        await chat.broadcasts.notify("orders.eu", "before")
        await ann.ask("subscribe", pattern="orders.*")
        for number in range(60):
            await chat.broadcasts.notify("orders.eu", str(number))
            await chat.broadcasts.notify("other", "x")
        answer = await User(chat).ask("hello", name="Ann", secret=hello["secret"])
        # To who subscribes nothing from before that is new.
        assert answer["notifications_read"] == 1
        log = answer["notifications"]
        assert [e["title"] for e in log["history"]] == [str(number) for number in range(10, 60)]
        assert (log["offset"], log["recovered"], log["more"]) == (121, False, False)
        marked = await ann.ask("mark_read", notifications=True, offset=10_000)
        assert (marked["room"], marked["offset"]) == (None, 121)
        answer = await User(chat).ask("hello", name="Ann", secret=hello["secret"])
        assert answer["notifications_read"] == 121
        assert answer["inbox_read"] == 0
        # Another pattern makes nothing new again, nor old.
        await ann.ask("subscribe", pattern="other")
        await chat.broadcasts.notify("other", "y")
        answer = await User(chat).ask("hello", name="Ann", secret=hello["secret"])
        assert answer["notifications_read"] == 121
        for place in ({"room": "lobby"}, {"with": "Ann"}):
            answer = await ann.ask("mark_read", notifications=True, offset=1, **place)
            assert answer["code"] == "bad_fields"


@async_test
async def test_subscriptions_are_bounded() -> None:
    async with chatting() as (_, chat):
        ann = await enter(chat, "Ann")
        for number in range(100):
            assert (await ann.ask("subscribe", pattern=str(number)))["type"] == "ack"
        assert (await ann.ask("subscribe", pattern="x"))["code"] == "too_many_patterns"
        assert (await ann.ask("subscribe", pattern="1"))["type"] == "ack"


@async_test
async def test_a_feed_is_watched_and_no_longer() -> None:
    feed = Feed("prices", 1.0)
    feed.set("a", 1)
    async with chatting(feeds=[feed]) as (_, chat):
        ann = await enter(chat, "Ann")
        await chat.tick(0.0)
        answer = await ann.ask("watch", feed="prices")
        assert (answer["interval"], answer["values"]) == (1.0, {"a": 1})
        for value in (2, 3):
            feed.set("a", value)
        await chat.tick(0.5)
        await chat.tick(1.0)
        assert ann.heard[-1] == {"type": "feed", "feed": "prices", "key": "a", "value": 3}
        feed.set("a", 4)
        await ann.ask("unwatch", feed="prices")
        await ann.ask("watch", feed="prices")
        await chat.leave(ann)
        await chat.tick(9.0)
        assert ann.types.count("feed") == 1
        assert (await (await enter(chat, "Bob")).ask("watch", feed="x"))["code"] == "no_such_feed"
