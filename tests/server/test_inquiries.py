"""What is asked: searching what was said, and how far the members of rooms have read."""

from __future__ import annotations

from typing import Any

from server.inquiries import CHUNK, MAX_CHUNKS
from tests.helpers import async_test

from .support import Client, client, running


async def say(speaker: Client, *texts: str) -> None:
    for text in texts:
        assert (await speaker.ask("send", room="lobby", text=text))["type"] == "ack"


def texts(answer: dict[str, Any]) -> list[str]:
    return [message["text"] for message in answer["found"]]


@async_test
async def test_messages_with_every_word_are_found_whatever_their_case() -> None:
    async with running() as address, client(address, "Ann", "lobby") as ann:
        await say(ann, "Green tea", "Black TEA", "STRASSE", "green, as tea is", "x")
        assert texts(await ann.ask("search", room="lobby", text="tea  GREEN")) == [
            "green, as tea is",
            "Green tea",
        ]
        assert texts(await ann.ask("search", room="lobby", text="stra\u00dfe")) == ["STRASSE"]
        answer = await ann.ask("search", room="lobby", text="%")
        assert (answer["found"], answer["before"]) == ([], None)


@async_test
async def test_what_was_changed_is_found_as_it_is_by_now() -> None:
    async with running() as address, client(address, "Ann", "lobby") as ann:
        await say(ann, "first", "second")
        await ann.ask("edit", room="lobby", offset=1, text="edited")
        await ann.ask("delete", room="lobby", offset=2)
        for word, found in (("first", []), ("second", []), ("edited", ["edited"])):
            assert texts(await ann.ask("search", room="lobby", text=word)) == found


@async_test
async def test_a_search_goes_on_where_it_was() -> None:
    async with running() as address, client(address, "Ann", "lobby") as ann:
        await say(ann, *(f"tea {number}" for number in range(5)))
        answer = await ann.ask("search", room="lobby", text="tea", limit=2)
        assert (texts(answer), answer["before"]) == (["tea 4", "tea 3"], 4)
        answer = await ann.ask("search", room="lobby", text="tea", limit=3, before=4)
        assert (texts(answer), answer["before"]) == (["tea 2", "tea 1", "tea 0"], None)


@async_test
async def test_a_search_has_an_end() -> None:
    async with running() as address, client(address, "Ann", "lobby") as ann:
        await say(ann, "needle", *("hay" for _ in range(MAX_CHUNKS * CHUNK)))
        answer = await ann.ask("search", room="lobby", text="needle")
        assert (answer["found"], answer["before"]) == ([], 2)
        answer = await ann.ask("search", room="lobby", text="needle", before=answer["before"])
        assert (texts(answer), answer["before"]) == (["needle"], None)


@async_test
async def test_a_search_costs_what_it_takes() -> None:
    async with (
        running(connection_rate=0.001, connection_burst=30.0) as address,
        client(address, "Ann", "lobby") as ann,
    ):
        answers = [await ann.ask("search", room="lobby", text="tea") for _ in range(20)]
        refused = [answer for answer in answers if answer["type"] == "error"]
        assert {answer["code"] for answer in refused} == {"rate_limited"}
        assert len(answers) - len(refused) < 15


@async_test
async def test_what_cannot_be_looked_for() -> None:
    async with running() as address, client(address, "Ann") as ann:
        for fields, code in (
            ({"room": "lobby", "text": "tea"}, "not_in_room"),
            ({"room": "attic", "text": "tea"}, "no_such_room"),
            ({"room": "lobby", "text": ""}, "bad_fields"),
            ({"room": "lobby", "text": "x" * 101}, "bad_fields"),
        ):
            assert (await ann.ask("search", **fields))["code"] == code
        await ann.ask("join", room="lobby")
        assert (await ann.ask("search", room="lobby", text="  "))["code"] == "bad_fields"


@async_test
async def test_the_members_of_a_room_tell_how_far_they_have_read() -> None:
    async with (
        running() as address,
        client(address, "Ann", "lobby") as ann,
        client(address, "Bob", "lobby") as bob,
    ):
        await say(ann, "one", "two")
        await bob.ask("mark_read", room="lobby", offset=2)
        members = (await ann.ask("members", room="lobby"))["members"]
        assert {member["name"]: member["read"] for member in members} == {"Ann": 0, "Bob": 2}


# With one user


@async_test
async def test_private_messages_with_one_user_are_searched() -> None:
    async with (
        running() as address,
        client(address, "Ann") as ann,
        client(address, "Bob") as bob,
        client(address, "Cat") as cat,
    ):
        await ann.ask("private", to="Bob", text="green tea")
        await bob.ask("private", to="Ann", text="Black tea")
        await cat.ask("private", to="Ann", text="tea for Cat")
        await ann.ask("private", to="Bob", text="first tea")
        await ann.ask("private_edit", offset=4, text="second tea")
        answer = await ann.ask("search", text="TEA", **{"with": "bob"})
        assert texts(answer) == ["second tea", "Black tea", "green tea"]
        assert (answer["room"], answer["before"]) == (None, None)
        assert [found["type"] for found in answer["found"]] == ["private"] * 3
        # In Bob's own log they stand elsewhere.
        answer = await bob.ask("search", text="tea", limit=1, **{"with": "Ann"})
        assert (texts(answer), answer["before"]) == (["second tea"], 3)
        answer = await bob.ask("search", text="tea", before=3, **{"with": "Ann"})
        assert texts(answer) == ["Black tea", "green tea"]
        # Nobody finds what others say to each other.
        assert texts(await cat.ask("search", text="tea", **{"with": "Bob"})) == []
        assert texts(await cat.ask("search", text="tea", **{"with": "Ann"})) == ["tea for Cat"]


@async_test
async def test_who_has_written_to_one_can_be_seen_to_be_here() -> None:
    async with running() as address, client(address, "Ann") as ann:
        async with client(address, "Bob") as bob:
            await ann.ask("private", to="Bob", text="Are you here?")
            # To have written to Bob is not enough to learn it.
            assert (await ann.ask("presence", **{"with": "Bob"}))["code"] == "forbidden"
            answer = await bob.ask("presence", **{"with": "ANN"})
            assert (answer["with"], answer["online"], answer["last_seen"]) == ("Ann", True, None)
            await bob.ask("private", to="Ann", text="I am")
            assert (await ann.ask("presence", **{"with": "Bob"}))["online"] is True
            await bob.websocket.close(4000)
        while (answer := await ann.ask("presence", **{"with": "Bob"}))["online"]:
            pass
        assert answer["last_seen"] is not None
        assert (await ann.ask("presence", **{"with": "Cat"}))["code"] == "no_such_user"


@async_test
async def test_who_has_taken_the_name_of_a_partner_is_not_seen() -> None:
    async with running() as address, client(address, "Ann") as ann:
        async with client(address, "Bob") as bob:
            await bob.ask("private", to="Ann", text="hi")
        while (await ann.ask("presence", **{"with": "Bob"})).get("code") != "no_such_user":
            pass
        async with client(address, "Bob"):
            assert (await ann.ask("presence", **{"with": "Bob"}))["code"] == "forbidden"


@async_test
async def test_a_search_is_in_one_place() -> None:
    async with running() as address, client(address, "Ann", "lobby") as ann:
        for place in ({}, {"room": "lobby", "with": "Ann"}):
            assert (await ann.ask("search", text="x", **place))["code"] == "bad_fields"
            assert (await ann.ask("typing", active=True, **place))["code"] == "bad_fields"
