"""Rules of rooms, and those who look after them (hazard D12)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import rfc6455
from server.accounts import Accounts
from server.protocol import CommandError
from server.rules import MAX_PEOPLE, Access, Rules, person
from server.tokens import Role, Tokens, secret_key
from tests.helpers import async_test

from .support import Client, client, running

SECRET = "a secret of more than thirty-two bytes"
OURS = Tokens([secret_key(SECRET)])


async def enter(client: Client, name: str, role: Role = Role.USER, room: str = "") -> Client:
    assert (await client.ask("hello", token=OURS.issue(name, role)))["type"] == "ack"
    if room:
        assert (await client.ask("join", room=room))["type"] == "ack"
    return client


# The rules alone


def test_rules_are_kept_and_read() -> None:
    rules = Rules(owner="user-ann", access=Access.MEMBERS, invited={"user-bob"}, banned={"x"})
    assert Rules.read(rules.kept()) == rules
    assert Rules.read(b"") == Rules()
    assert Rules().kept() == b"{}"


@pytest.mark.parametrize(
    ("rules", "who", "role", "is_member", "may_join", "may_say"),
    [
        (Rules(), "a", Role.GUEST, False, True, True),
        (Rules(banned={"a"}), "a", Role.USER, True, False, False),
        (Rules(banned={"a"}), "b", Role.USER, False, True, True),
        (Rules(access=Access.MEMBERS), "a", Role.USER, False, False, True),
        (Rules(access=Access.MEMBERS), "a", Role.USER, True, True, True),
        (Rules(access=Access.MEMBERS, invited={"a"}), "a", Role.GUEST, False, True, True),
        (Rules(access=Access.MEMBERS, owner="a"), "a", Role.USER, False, True, True),
        (Rules(access=Access.MEMBERS), "a", Role.MODERATOR, False, True, True),
        (Rules(access=Access.READ_ONLY), "a", Role.USER, True, True, False),
        (Rules(access=Access.READ_ONLY, moderators={"a"}), "a", Role.USER, False, True, True),
        (Rules(access=Access.READ_ONLY), "a", Role.ADMIN, False, True, True),
        # Who looks after everything cannot be locked out by who looks after a room.
        (Rules(banned={"a"}), "a", Role.MODERATOR, False, True, True),
    ],
)
def test_who_may_come_in_and_speak(
    rules: Rules, who: str, role: Role, is_member: bool, may_join: bool, may_say: bool
) -> None:
    def passes(check: Any, **options: Any) -> bool:
        try:
            check(who, role, **options)
        except CommandError as error:
            return error.code != "forbidden"
        return True

    assert passes(rules.check_join, is_member=is_member) is may_join
    assert passes(rules.check_say) is may_say


@pytest.mark.parametrize(
    ("who", "role", "whom", "may"),
    [
        ("owner", Role.USER, "user", True),
        ("owner", Role.USER, "moderator", True),
        ("moderator", Role.USER, "user", True),
        ("moderator", Role.USER, "moderator2", False),
        ("moderator", Role.USER, "owner", False),
        ("user", Role.USER, "guest", False),
        ("user", Role.MODERATOR, "owner", True),
    ],
)
def test_who_may_moderate_whom(who: str, role: Role, whom: str, may: bool) -> None:
    rules = Rules(owner="owner", moderators={"moderator", "moderator2"})
    if may:
        rules.check_moderate(who, role, whom=whom)
        return
    with pytest.raises(CommandError) as caught:
        rules.check_moderate(who, role, whom=whom)
    assert caught.value.code == "forbidden"


def test_what_actions_do() -> None:
    rules = Rules()
    for action in ("invite", "promote", "ban"):
        rules.apply(action, "a")
    assert rules == Rules(banned={"a"})
    rules.apply("unban", "a")
    assert rules == Rules()
    rules.apply("ban", "a")
    rules.apply("invite", "a")
    assert rules == Rules(invited={"a"})
    rules.apply("kick", "a")
    rules.apply("promote", "a")
    rules.apply("demote", "a")
    assert rules == Rules()


def test_rules_are_bounded() -> None:
    rules = Rules()
    for number in range(MAX_PEOPLE):
        rules.apply("ban", str(number))
    with pytest.raises(CommandError) as caught:
        rules.apply("ban", "one more")
    assert caught.value.code == "too_many"
    rules.apply("invite", "another list")


def test_guests_are_known_by_their_names() -> None:
    assert person("guest-1", "ann", is_guest=True) == person("guest-2", "ann", is_guest=True)
    assert person("user-ann", "ann", is_guest=False) == "user-ann"


# Over the wire


@async_test
async def test_who_is_kicked_hears_nothing_more_and_may_come_back() -> None:
    async with running(jwt_secret=SECRET) as address, client(address) as a, client(address) as b:
        ann = await enter(a, "Ann", Role.MODERATOR, "lobby")
        bob = await enter(b, "Bob", room="lobby")
        answer = await ann.ask("moderate", room="lobby", user="BOB", action="kick", reason="noise")
        assert answer["type"] == "ack"
        assert (await ann.event("left"))["user"] == "Bob"
        assert await bob.event("expelled") == {
            "type": "expelled",
            "room": "lobby",
            "by": "Ann",
            "reason": "noise",
            "banned": False,
        }
        await ann.ask("send", room="lobby", text="secret")
        commands: dict[str, dict[str, Any]] = {
            "send": {"text": "x"},
            "typing": {"active": True},
            "history": {},
        }
        for command, fields in commands.items():
            assert (await bob.ask(command, room="lobby", **fields))["code"] == "not_in_room"
        assert not [event for event in bob.events if event["type"] == "message"]
        assert (await bob.ask("join", room="lobby"))["type"] == "ack"


@async_test
async def test_who_is_banned_cannot_come_back_by_any_way(tmp_path: Path) -> None:
    settings = {"jwt_secret": SECRET, "database": str(tmp_path / "chat.db")}
    async with running(**settings) as address, client(address) as a, client(address) as b:
        ann = await enter(a, "Ann", Role.ADMIN, "lobby")
        bob = await enter(b, "Bob", room="lobby")
        position = await bob.ask("send", room="lobby", text="hi")
        await ann.ask("moderate", room="lobby", user="Bob", action="ban")
        assert (await bob.event("expelled"))["banned"] is True
        since = {"epoch": position["epoch"], "offset": position["offset"]}
        await ann.ask("send", room="lobby", text="secret")
        for fields in ({}, {"since": since}, {"since": {"epoch": "x", "offset": 0}}):
            assert (await bob.ask("join", room="lobby", **fields))["code"] == "forbidden"
        async with client(address) as again:
            bob = await enter(again, "Bob")
            assert (await bob.ask("join", room="lobby", since=since))["code"] == "forbidden"
    # A new process knows it too.
    async with running(**settings) as address, client(address) as a, client(address) as b:
        bob = await enter(b, "Bob")
        assert (await bob.ask("join", room="lobby"))["code"] == "forbidden"
        ann = await enter(a, "Ann", Role.ADMIN)
        await ann.ask("moderate", room="lobby", user="Bob", action="unban")
        assert (await bob.ask("join", room="lobby"))["type"] == "ack"


@async_test
async def test_a_banned_guest_stays_out_under_the_name() -> None:
    async with running(jwt_secret=SECRET) as address, client(address) as a:
        ann = await enter(a, "Ann", Role.MODERATOR, "lobby")
        async with client(address, "Mallory", "lobby") as guest:
            await ann.ask("moderate", room="lobby", user="Mallory", action="ban")
            await guest.event("expelled")
        async with client(address, "MALLORY") as guest:
            assert (await guest.ask("join", room="lobby"))["code"] == "forbidden"


@async_test
async def test_a_room_for_members_is_for_those_who_were_invited() -> None:
    async with (
        running(jwt_secret=SECRET) as address,
        client(address) as a,
        client(address) as b,
        client(address) as c,
    ):
        ann, bob, cat = await enter(a, "Ann"), await enter(b, "Bob"), await enter(c, "Cat")
        await ann.ask("create_room", room="plans")
        await ann.ask("join", room="plans")
        await cat.ask("join", room="plans")
        assert (await bob.ask("set_access", room="plans", access="members"))["code"] == "forbidden"
        assert (await ann.ask("set_access", room="plans", access="members"))["type"] == "ack"
        assert await cat.event("room_access") == {
            "type": "room_access",
            "room": "plans",
            "access": "members",
        }
        assert {"room": "plans", "members": 2, "access": "members"} in (
            await bob.ask("list_rooms")
        )["rooms"]
        for command in ("join", "members"):
            assert (await bob.ask(command, room="plans"))["code"] == "forbidden"
        await ann.ask("moderate", room="plans", user="Bob", action="invite")
        assert (await bob.ask("join", room="plans"))["type"] == "ack"
        # Whoever was in stays a member, across connections too.
        async with client(address) as again:
            cat = await enter(again, "Cat")
            assert (await cat.ask("join", room="plans"))["type"] == "ack"
            await cat.ask("leave", room="plans")
            assert (await cat.ask("join", room="plans"))["code"] == "forbidden"


@async_test
async def test_in_a_read_only_room_its_moderators_speak() -> None:
    async with running(jwt_secret=SECRET) as address, client(address) as a, client(address) as b:
        ann, bob = await enter(a, "Ann"), await enter(b, "Bob")
        await ann.ask("create_room", room="news")
        await ann.ask("join", room="news")
        await bob.ask("join", room="news")
        said = await bob.ask("send", room="news", text="first")
        await ann.ask("set_access", room="news", access="read_only")
        for command, fields in (
            ("send", {"text": "x"}),
            ("edit", {"offset": said["offset"], "text": "x"}),
            ("typing", {"active": True}),
            ("describe_room", {"topic": "x"}),
        ):
            assert (await bob.ask(command, room="news", **fields))["code"] == "forbidden"
        assert (await bob.ask("history", room="news"))["type"] == "ack"
        assert (await ann.ask("send", room="news", text="x"))["type"] == "ack"
        await ann.ask("moderate", room="news", user="Bob", action="promote")
        assert (await bob.ask("send", room="news", text="x"))["type"] == "ack"
        answer = await bob.ask("moderate", room="news", user="Ann", action="kick")
        assert answer["code"] == "forbidden"


@async_test
async def test_everybody_sees_who_looks_after_a_room() -> None:
    async with running(jwt_secret=SECRET) as address, client(address) as a, client(address) as b:
        ann, bob = await enter(a, "Ann"), await enter(b, "Bob")
        await ann.ask("create_room", room="news")
        assert (await ann.ask("join", room="news"))["moderator"] is True
        answer = await bob.ask("join", room="news")
        assert (answer["access"], answer["moderator"]) == ("public", False)
        for action, role in (("promote", "moderator"), ("demote", "")):
            await ann.ask("moderate", room="news", user="Bob", action=action)
            told = await bob.event("appointed")
            assert told == {"type": "appointed", "room": "news", "moderator": bool(role)}
            members = (await bob.ask("members", room="news"))["members"]
            assert {m["name"]: m["role"] for m in members} == {"Ann": "owner", "Bob": role}
        assert [event["type"] for event in ann.events].count("appointed") == 0


@async_test
async def test_moderators_take_back_what_others_said() -> None:
    async with running(jwt_secret=SECRET) as address, client(address) as a, client(address) as b:
        ann = await enter(a, "Ann", Role.MODERATOR, "lobby")
        bob = await enter(b, "Bob", room="lobby")
        said = await bob.ask("send", room="lobby", text="rude")
        edit = await ann.ask("edit", room="lobby", offset=said["offset"], text="polite")
        assert edit["code"] == "forbidden"
        assert (await ann.ask("delete", room="lobby", offset=said["offset"]))["type"] == "ack"
        assert (await bob.event("deleted"))["from"] == "Ann"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"user": "Nobody", "action": "kick"}, "no_such_user"),
        ({"user": "Bob", "action": "dance"}, "bad_fields"),
        ({"user": "Bob", "action": "kick", "reason": "x" * 201}, "too_long"),
        ({"user": "Bob", "action": "kick", "room": "nowhere"}, "no_such_room"),
        ({"user": "Bob", "action": "kick", "room": "*"}, "invalid_room"),
    ],
)
@async_test
async def test_what_cannot_be_moderated(fields: dict[str, Any], code: str) -> None:
    async with running(jwt_secret=SECRET) as address, client(address) as a, client(address) as b:
        ann = await enter(a, "Ann", Role.ADMIN, "lobby")
        await enter(b, "Bob", room="lobby")
        assert (await ann.ask("moderate", **{"room": "lobby"} | fields))["code"] == code


@async_test
async def test_a_login_of_another_user_gives_nothing_of_this_one(tmp_path: Path) -> None:
    """Somebody who shows another's guest secret, or resumes another's inbox, gets neither."""
    users = str(tmp_path / "users.db")
    with Accounts(users) as accounts:
        accounts.add("Ann", "correct horse")
    async with running(jwt_secret=SECRET, users=users) as address:
        async with client(address) as a, client(address, "Guest") as guest:
            ann = await enter(a, "Ann")
            await guest.ask("private", to="Ann", text="for Ann alone")
            await ann.event("private")
        async with client(address) as mallory:
            answer = await mallory.ask("hello", name="Mallory", secret="user-ann.x")
            assert answer["user"].startswith("guest-")
            assert answer["inbox"]["history"] == []


def test_close_codes_of_the_gate_may_travel() -> None:
    for code in (4401, 4403, 4429):
        assert rfc6455.Close(code, "x").payload()
