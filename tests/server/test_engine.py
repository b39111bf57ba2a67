"""The embedded engine keeps the promises of `engines.base`."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from server.engines import store
from server.engines.base import (
    EVERYWHERE,
    Append,
    Appended,
    Conflict,
    EngineError,
    Entry,
    Position,
    Replacement,
    RoomRecord,
    UserRecord,
)
from server.engines.embedded import EmbeddedEngine
from tests.helpers import async_test


class Listener:
    """A subscriber that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Entry]] = []
        self.signals: list[tuple[str, bytes]] = []

    def appended(self, log: str, entry: Entry) -> None:
        self.heard.append((log, entry))

    def signalled(self, log: str, data: bytes) -> None:
        self.signals.append((log, data))


@asynccontextmanager
async def running(path: Path | None = None, **options: Any) -> AsyncIterator[EmbeddedEngine]:
    engine = EmbeddedEngine(path, **options)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def append(
    engine: EmbeddedEngine, log: str, *texts: str, key: str | None = None
) -> list[Appended]:
    appends = [Append(log=log, data=text.encode(), key=key) for text in texts]
    return [(await engine.append(one))[0] for one in appends]


async def texts(engine: EmbeddedEngine, log: str, after: int = 0) -> list[tuple[int, str]]:
    page = await engine.read(log, after=after, limit=1000)
    return [(entry.position.offset, entry.data.decode()) for entry in page.entries]


ANN = UserRecord(id="1", name="Ann", name_key="ann")
BOB = UserRecord(id="2", name="Bob", name_key="bob", secret=b"s")

durabilities = pytest.mark.parametrize("durability", ["memory", "normal", "full"])


@durabilities
@async_test
async def test_offsets_count_from_one_in_each_log(tmp_path: Path, durability: str) -> None:
    options = {} if durability == "memory" else {"path": tmp_path / "db", "durability": durability}
    async with running(**options) as engine:  # type: ignore[arg-type]
        appended = [(await append(engine, log, "hi"))[0] for log in ("a", "a", "b", "a")]
        assert [where.position.offset for where in appended] == [1, 2, 1, 3]
        assert len({where.position.epoch for where in appended}) == 2


@async_test
async def test_subscribers_hear_entries_in_order_before_the_append_returns() -> None:
    async with running() as engine:
        listener = Listener()
        engine.subscribe("a", listener)
        (first,) = await append(engine, "a", "1")
        assert [(log, e.position, e.data) for log, e in listener.heard] == [
            ("a", first.position, b"1")
        ]
        await asyncio.gather(*(append(engine, "a", str(number)) for number in range(2, 50)))
        await append(engine, "b", "other")
        assert [e.position.offset for _, e in listener.heard] == list(range(1, 50))
        assert [e.data.decode() for _, e in listener.heard] == [str(n) for n in range(1, 50)]
        engine.signal("a", b"psst")
        engine.unsubscribe("a", listener)
        engine.unsubscribe("a", listener)
        engine.signal("a", b"late")
        await append(engine, "a", "late")
        assert listener.signals == [("a", b"psst")]
        assert len(listener.heard) == 49


@async_test
async def test_pages_go_on_and_back_and_say_what_is_kept() -> None:
    async with running(kept=5) as engine:
        await append(engine, "a", *"1234567")
        page = await engine.read("a", after=0, limit=2)
        assert (page.first, page.head) == (3, 7)
        assert [e.data for e in page.entries] == [b"3", b"4"]
        page = await engine.read_back("a", before=6, limit=2)
        assert [e.data for e in page.entries] == [b"4", b"5"]
        page = await engine.read_back("a", before=None, limit=100)
        assert [e.position.offset for e in page.entries] == [3, 4, 5, 6, 7]
        epoch = page.epoch
        assert [page.continues(Position(epoch, offset)) for offset in (1, 2, 7, 8)] == [
            *(False, True, True, False)
        ]
        assert not page.continues(Position("other", 7))
        nothing = await engine.read("none", after=0, limit=1)
        assert (nothing.epoch, nothing.head, list(nothing.entries)) == ("", 0, [])


@pytest.mark.parametrize("offset", [-(2**53), -1, 2**40, 2**53, 2**62])
@async_test
async def test_no_offset_reads_another_log(offset: int) -> None:
    async with running() as engine:
        for log in "abc":
            await append(engine, log, log)
        assert all(
            entry.data == b"b"
            for page in (
                await engine.read("b", after=offset, limit=10),
                await engine.read_back("b", before=offset, limit=10),
            )
            for entry in page.entries
        )


@async_test
async def test_a_page_is_not_larger_than_a_message_may_be() -> None:
    async with running() as engine:
        large = "x" * (store.MAX_PAGE_SIZE // 2)
        await append(engine, "a", large, large, large, "x" * 2 * store.MAX_PAGE_SIZE)
        assert len((await engine.read("a", after=0, limit=10)).entries) == 2
        # One at least, or nobody would ever get any further.
        assert len((await engine.read("a", after=3, limit=10)).entries) == 1


@async_test
async def test_the_same_key_is_appended_once_in_each_log(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as engine:
        listener = Listener()
        engine.subscribe("a", listener)
        (first,) = await append(engine, "a", "1", key="ann/1")
        again = await asyncio.gather(*(append(engine, "a", "other", key="ann/1") for _ in "123"))
        assert [a.position for (a,) in again] == [first.position] * 3
        assert (first.is_new, [a.is_new for (a,) in again]) == (True, [False] * 3)
        assert (await append(engine, "b", "1", key="ann/1"))[0].is_new
        assert len(listener.heard) == 1
    async with running(tmp_path / "db") as engine:
        (after,) = await append(engine, "a", "other", key="ann/1")
        assert (after.is_new, after.position, after.time) == (False, first.position, first.time)


@async_test
async def test_keys_are_remembered_for_a_time_that_no_clock_changes(tmp_path: Path) -> None:
    time = {"clock": 1e9, "monotonic": 0.0}
    options: dict[str, Any] = {
        "clock": lambda: time["clock"],
        "monotonic": lambda: time["monotonic"],
        "key_seconds": 100,
    }
    async with running(tmp_path / "db", **options) as engine:
        await append(engine, "a", "1", key="old")
        time["monotonic"] += 60
        time["clock"] += 86400
        await append(engine, "a", "2", key="new")
        await engine.trim()
        assert not (await append(engine, "a", "1", key="old"))[0].is_new
    # Another process, whose monotonic time begins somewhere else, a year later.
    time["monotonic"] = 5000.0
    time["clock"] += 365 * 86400
    async with running(tmp_path / "db", **options) as engine:
        time["monotonic"] += 39
        await engine.trim()
        assert not (await append(engine, "a", "1", key="old"))[0].is_new
        time["monotonic"] += 2
        await engine.trim()
        assert (await append(engine, "a", "1", key="old"))[0].is_new
        assert not (await append(engine, "a", "2", key="new"))[0].is_new


@async_test
async def test_what_is_too_old_is_forgotten_and_the_page_says_so() -> None:
    now = 1000.0
    clocks: dict[str, Any] = {"clock": lambda: now, "monotonic": lambda: now}
    async with running(**clocks, kept_seconds=100) as engine:
        await append(engine, "a", "1", "2")
        await append(engine, "b", "1")
        now += 60
        await append(engine, "a", "3")
        now += 60
        await engine.trim()
        assert await texts(engine, "a") == [(3, "3")]
        page = await engine.read("b", after=0, limit=10)
        assert (page.first, page.head) == (2, 1)
        assert (await append(engine, "b", "2"))[0].position.offset == 2


@async_test
async def test_several_entries_are_appended_all_or_none() -> None:
    async with running() as engine:
        await append(engine, "a", "1")
        page = await engine.read("a", after=0, limit=1)
        bad = Append(log="a", data=b"x", replaces=Replacement(1, b"not this", b"y"))
        with pytest.raises(Conflict):
            await engine.append(Append(log="b", data=b"x"), bad)
        with pytest.raises(Conflict):
            await engine.append(Append(log="none", data=b"x", replaces=Replacement(1, b"1", b"y")))
        assert (await engine.heads(["a", "b"])) == {"a": page.entries[0].position}


@async_test
async def test_a_conflict_leaves_others_in_the_same_transaction_alone() -> None:
    async with running() as engine:
        bad = Append(log="a", data=b"x", replaces=Replacement(1, b"1", b"y"))
        results = await asyncio.gather(
            engine.append(Append(log="a", data=b"1")),
            engine.append(Append(log="b", data=b"1", replaces=Replacement(1, b"", b"y"))),
            engine.append(bad),
            engine.append(bad),
            return_exceptions=True,
        )
        assert [isinstance(result, Conflict) for result in results] == [False, True, False, True]
        assert await texts(engine, "a") == [(1, "y"), (2, "x")]


@async_test
async def test_a_change_that_is_sent_again_is_no_conflict() -> None:
    async with running() as engine:
        await append(engine, "a", "1")
        change = Append(log="a", data=b"x", key="k", replaces=Replacement(1, b"1", b"y"))
        (first,) = await engine.append(change)
        (again,) = await engine.append(change)
        assert (again.position, again.is_new) == (first.position, False)


@async_test
async def test_rooms_and_members_survive_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as engine:
        assert await engine.create_room(RoomRecord("tea", "hot", "1"), "room:tea")
        assert not await engine.create_room(RoomRecord("tea"), "room:tea")
        for user in (ANN, BOB):
            assert await engine.claim(user, f"inbox:{user.id}")
            assert await engine.add_member("tea", user.id)
        assert await engine.add_member("tea", ANN.id)
        assert not await engine.add_member("milk", ANN.id)
        await engine.describe_room("tea", "cold")
    async with running(tmp_path / "db") as engine:
        assert await engine.rooms() == [RoomRecord("tea", "cold", "1")]
        assert await engine.rooms_of(ANN.id) == ["tea"]
        assert await engine.member_count("tea") == 2
        (first,) = await engine.members("tea", after="", limit=1)
        (second,) = await engine.members("tea", after=first.id, limit=1)
        assert (first.name, second.name) == ("Ann", "Bob")
        assert await engine.remove_member("tea", ANN.id)
        assert not await engine.remove_room("tea", "room:tea")
        assert not await engine.remove_member("tea", BOB.id)
        assert await engine.remove_room("tea", "room:tea")
        assert await engine.rooms() == []


@async_test
async def test_a_room_that_was_removed_begins_anew() -> None:
    async with running() as engine:
        await engine.create_room(RoomRecord("tea"), "room:tea")
        (before,) = await append(engine, "room:tea", "1", key="k")
        await engine.mark_read(ANN.id, "room:tea", 1)
        assert await engine.remove_room("tea", "room:tea")
        assert await engine.remove_room("tea", "room:tea")
        await engine.create_room(RoomRecord("tea"), "room:tea")
        (after,) = await append(engine, "room:tea", "2", key="k")
        assert (after.is_new, after.position.offset) == (True, 1)
        assert after.position.epoch != before.position.epoch
        assert await engine.read_marks(ANN.id) == {}


@async_test
async def test_a_name_belongs_to_one_user_at_a_time() -> None:
    other = UserRecord(id="3", name="ANN", name_key="ann")
    async with running() as engine:
        assert await engine.claim(ANN, "inbox:1")
        assert await engine.claim(ANN, "inbox:1")
        assert not await engine.claim(other, "inbox:3")
        await engine.depart(EVERYWHERE, ANN)
        assert not await engine.claim(other, "inbox:3")
        await engine.depart(EVERYWHERE, ANN)
        claims = await asyncio.gather(engine.claim(other, "inbox:3"), engine.claim(ANN, "inbox:1"))
        assert sorted(claims) == [False, True]
        found = await engine.find_user("ann")
        assert found is not None
        assert found.id == ("3" if claims[0] else "1")
        assert await engine.find_user("x" * 100_000) is None


@async_test
async def test_names_that_differ_are_taken_at_the_same_time() -> None:
    """What one turn of the event loop asks for is one batch: a name does not wait for another's."""
    users = [UserRecord(id=str(n), name=str(n), name_key=str(n)) for n in range(20)]
    async with running() as engine:
        batches = []
        genuine = engine._writer._carry_out

        def count(batch: Any) -> Any:
            batches.append(len(batch))
            return genuine(batch)

        engine._writer._carry_out = count  # type: ignore[method-assign]
        claims = [engine.claim(user, f"inbox:{user.id}") for user in users]
        assert all(await asyncio.gather(*claims))
        assert len(engine._claiming) == 0
    # To look for the names, to save them, and to end.
    assert batches == [20, 20, 1]


@async_test
async def test_a_clock_that_goes_back_gives_nobodys_name_away() -> None:
    now = 1_700_000_000.0
    first, second = (UserRecord(id=id_, name="Ann", name_key="ann") for id_ in ("1", "2"))
    async with running(clock=lambda: now) as engine:
        assert await engine.claim(first, "inbox:1")
        await engine.depart(EVERYWHERE, first)
        now -= 86400
        assert await engine.claim(second, "inbox:2")
        found = await engine.find_user("ann")
        assert found is not None
        assert found.id == "2"
        third = UserRecord(id="3", name="Ann", name_key="ann")
        assert not await engine.claim(third, "inbox:3")


@async_test
async def test_presence_counts_users_not_connections() -> None:
    async with running() as engine:
        assert (await engine.arrive("a", ANN)).changed
        presence = await engine.arrive("a", ANN)
        assert (presence.count, presence.changed) == (1, False)
        assert (await engine.arrive("a", BOB)).count == 2
        assert await engine.names_at("a", 10) == ["Ann", "Bob"]
        assert await engine.names_at("a", 1) == ["Ann"]
        assert await engine.present("a", ["1", "3"]) == {"1"}
        assert not (await engine.depart("a", ANN)).changed
        presence = await engine.depart("a", ANN)
        assert (presence.count, presence.changed) == (1, True)
        assert not (await engine.depart("a", ANN)).changed
        assert await engine.present("b", ["1"]) == set()


@async_test
async def test_guests_are_known_until_they_are_forgotten(tmp_path: Path) -> None:
    now = 1000.0
    async with running(tmp_path / "db", clock=lambda: now) as engine:
        for user in (ANN, BOB):
            await engine.claim(user, f"inbox:{user.id}")
        await engine.mark_read(BOB.id, "a", 7)
        await engine.add_pattern(BOB.id, "a.#")
        await append(engine, "inbox:2", "psst")
        assert await engine.guests_before(2_000_000) == []
        now = 1100.0
        await engine.depart(EVERYWHERE, ANN)
        await engine.depart(EVERYWHERE, BOB)
        assert await engine.guests_before(1_100_000) == []
        assert [guest.id for guest in await engine.guests_before(1_100_001)] == ["2"]
    now = 9000.0
    async with running(tmp_path / "db", clock=lambda: now) as engine:
        # The chat did not run meanwhile: nobody could have come back.
        assert await engine.guests_before(9_000_000) == []
        ann, bob = await engine.user("1"), await engine.user("2")
        assert ann is not None
        assert bob is not None
        assert (ann.last_seen, bob.last_seen, bob.secret) == (1_100_000, 9_000_000, b"s")
        await engine.forget_user(BOB.id, "inbox:2")
        assert await engine.user("2") is None
        assert await engine.patterns(BOB.id) == []
        assert await engine.read_marks(BOB.id) == {}
        assert await texts(engine, "inbox:2") == []


@async_test
async def test_marks_never_go_back_and_patterns_stay(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as engine:
        assert await engine.mark_read("1", "a", 5) == 5
        assert await engine.mark_read("1", "a", 3) == 5
        await engine.add_pattern("1", "a.*")
        await engine.add_pattern("1", "a.*")
        await engine.add_pattern("1", "#")
        await engine.remove_pattern("1", "#")
    async with running(tmp_path / "db") as engine:
        assert await engine.read_marks("1") == {"a": 5}
        await engine.mark_read("2", "a", 7)
        await engine.mark_read("3", "b", 9)
        assert await engine.marks_of("a", ["1", "2", "3"]) == {"1": 5, "2": 7}
        assert await engine.marks_of("a", []) == {}
        assert await engine.patterns("1") == ["a.*"]


# What goes wrong


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize(("durability", "lossy"), [("normal", True), ("full", False)])
@async_test
async def test_logs_get_new_epochs_when_the_machine_may_have_lost_their_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: str, lossy: bool, clean: bool
) -> None:
    path = tmp_path / "db"
    monkeypatch.setattr("server.engines.embedded._boot", lambda: "first")
    async with running(path, durability=durability) as engine:
        (before,) = await append(engine, "a", "1")
    if not clean:
        with sqlite3.connect(path) as database:
            database.execute("UPDATE meta SET value = 'first' WHERE name = 'running'")
        database.close()
    monkeypatch.setattr("server.engines.embedded._boot", lambda: "second")
    async with running(path, durability=durability) as engine:
        (after,) = await append(engine, "a", "2")
    assert after.position.offset == 2
    assert (after.position.epoch != before.position.epoch) is (lossy and not clean)


@async_test
async def test_two_engines_do_not_share_a_database(tmp_path: Path) -> None:
    async with running(tmp_path / "db"):
        with pytest.raises(EngineError, match="locked"):
            await EmbeddedEngine(tmp_path / "db").start()


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda path: path.write_bytes(b"no database" * 100), "damaged"),
        (lambda path: path.mkdir(), "cannot be opened"),
        (lambda path: sqlite3.connect(path).executescript("CREATE TABLE x (y)"), "not one of"),
        (
            lambda path: sqlite3.connect(path).executescript(
                f"CREATE TABLE x (y); PRAGMA application_id = {store.APPLICATION_ID};"
                "PRAGMA user_version = 99"
            ),
            "newer",
        ),
    ],
    ids=["damaged", "folder", "foreign", "newer"],
)
@async_test
async def test_what_is_no_database_of_the_chat_is_refused(
    tmp_path: Path, make: Any, complaint: str
) -> None:
    made = make(tmp_path / "db")
    if made is not None and not isinstance(made, int):
        made.connection.close()
    with pytest.raises(EngineError, match=complaint):
        await EmbeddedEngine(tmp_path / "db").start()


@async_test
async def test_while_the_database_is_locked_nothing_is_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "db"
    async with running(path, busy_seconds=0) as engine:
        listener = Listener()
        engine.subscribe("a", listener)
        await append(engine, "a", "1")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(EngineError, match="locked"):
            await append(engine, "a", "2", key="k")
        assert engine.fault == "the database is locked by another program"
        # Reading goes on.
        assert await texts(engine, "a") == [(1, "1")]
        other.execute("ROLLBACK")
        other.close()
        (where,) = await append(engine, "a", "2", key="k")
        assert (where.is_new, where.position.offset) == (True, 2)
        assert engine.fault is None
        assert len(listener.heard) == 2


@async_test
async def test_a_full_disk_is_told_and_got_over(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as engine:
        await append(engine, "a", "1")

        def limit(pages: int) -> Any:
            return lambda store: store._one(f"PRAGMA max_page_count = {pages}")

        await engine._writer.call(limit(1))
        with pytest.raises(EngineError, match="full"):
            await append(engine, "a", *["x" * 10_000] * 100)
        kept = await texts(engine, "a")
        await engine._writer.call(limit(1_000_000))
        await append(engine, "a", "after")
        assert (await texts(engine, "a"))[:-1] == kept


@async_test
async def test_who_is_known_comes_back_while_nothing_can_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running() as engine:
        await engine.claim(BOB, "inbox:2")
        await engine.depart(EVERYWHERE, BOB)

        def fail(*_: object) -> None:
            raise sqlite3.OperationalError("disk full")

        monkeypatch.setattr(store.Store, "save_user", fail)
        with pytest.raises(EngineError):
            await engine.claim(ANN, "inbox:1")
        assert await engine.claim(BOB, "inbox:2")


@async_test
async def test_a_fault_in_the_middle_undoes_all_of_a_transaction(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as engine:
        await append(engine, "a", "1")

        def fail(store: store.Store) -> None:
            store._run("SELECT * FROM nothing")

        results = await asyncio.gather(
            engine.append(Append(log="a", data=b"2")),
            engine._writer.call(fail),
            return_exceptions=True,
        )
        # Both were in one transaction, or each was in one of its own.
        assert isinstance(results[1], EngineError)
        kept = await texts(engine, "a")
        assert kept == ([(1, "1")] if isinstance(results[0], EngineError) else [(1, "1"), (2, "2")])
        # The connection was made anew.
        assert (await append(engine, "a", "3"))[0].position.offset == len(kept) + 1


@async_test
async def test_an_append_that_nobody_waits_for_any_more_harms_nobody() -> None:
    async with running() as engine:
        task = asyncio.create_task(append(engine, "a", "1"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await append(engine, "a", "2"))[0].position.offset in (1, 2)


@async_test
async def test_calls_do_not_pile_up_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.engines.worker.MAX_WAITING", 0)
    engine = EmbeddedEngine()
    with pytest.raises(EngineError, match="keep up"):
        await engine.start()
    await engine._writer.close()


@async_test
async def test_a_subscriber_that_fails_keeps_nobody_waiting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Faulty(Listener):
        def appended(self, log: str, entry: Entry) -> None:
            raise ValueError

    async with running() as engine:
        engine.subscribe("a", Faulty())
        results = await asyncio.gather(*(append(engine, "a", text) for text in "123"))
        assert [where.position.offset for (where,) in results] == [1, 2, 3]
        assert len(caplog.records) == 3
