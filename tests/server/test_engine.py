"""The engine in memory keeps the promises of `engines.base`."""

from __future__ import annotations

from server.engines.base import Entry
from server.engines.embedded import EmbeddedEngine
from tests.helpers import async_test


@async_test
async def test_offsets_count_from_one_in_each_room() -> None:
    engine = EmbeddedEngine(10)
    positions = [await engine.append(room, "Ann", "hi") for room in ("a", "a", "b", "a")]
    assert [position.offset for position in positions] == [1, 2, 1, 3]
    assert len({position.epoch for position in positions}) == 2


@async_test
async def test_subscribers_hear_entries_in_order_before_the_append_returns() -> None:
    engine = EmbeddedEngine(10)
    heard: list[tuple[str, Entry]] = []
    engine.subscribe(lambda room, entry: heard.append((room, entry)))
    first = await engine.append("a", "Ann", "1")
    assert [(room, entry.position, entry.text) for room, entry in heard] == [("a", first, "1")]
    await engine.append("a", "Bob", "2")
    assert [entry.sender for _, entry in heard] == ["Ann", "Bob"]


@async_test
async def test_the_latest_entries_are_kept() -> None:
    engine = EmbeddedEngine(2)
    for text in "123":
        await engine.append("a", "Ann", text)
    assert [(entry.position.offset, entry.text) for entry in await engine.latest("a")] == [
        (2, "2"),
        (3, "3"),
    ]
    assert await engine.latest("b") == []


@async_test
async def test_a_room_that_was_dropped_begins_anew() -> None:
    engine = EmbeddedEngine(2)
    before = await engine.append("a", "Ann", "1")
    engine.drop("a")
    engine.drop("a")
    assert await engine.latest("a") == []
    after = await engine.append("a", "Ann", "2")
    assert after.offset == 1
    assert after.epoch != before.epoch
