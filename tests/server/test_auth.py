"""Who may come in, over real sockets: tokens, where they stand, and until when they count."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import rfc6455
from rfc6455 import Headers, Request
from server.accounts import Accounts
from server.app import App
from server.auth import COOKIE, Authority
from server.config import Config, ConfigError
from server.gate import Gate, Visitor
from server.protocol import CommandError, Hello
from server.tokens import Identity, Role, TokenError, Tokens, secret_key
from tests.helpers import async_test

from .support import Client, client, running

SECRET = "a secret of more than thirty-two bytes"
ORIGIN = "https://good.example"
OURS = Tokens([secret_key(SECRET)])
GATED: dict[str, Any] = {"auth": "token", "jwt_secret": SECRET}


def token(name: str = "Ann", role: Role = Role.USER) -> str:
    return OURS.issue(name, role)


@asynccontextmanager
async def connected(address: str, **options: Any) -> AsyncIterator[Client]:
    query = options.pop("query", "")
    async with rfc6455.connect(f"ws://{address}/ws{query}", **options) as websocket:
        stranger = Client(websocket)
        assert (await stranger.receive())["type"] == "welcome"
        yield stranger


async def close_code(stranger: Client) -> int:
    """The code of the Close that comes, after whatever else does."""
    try:
        while True:
            await stranger.receive()
    except rfc6455.ConnectionClosed as error:
        return error.code


async def status(address: str, **options: Any) -> int:
    with pytest.raises(rfc6455.HandshakeError) as caught:
        async with connected(address, **options):
            pass
    return caught.value.status


# Where the token stands


@async_test
async def test_a_token_in_the_first_message() -> None:
    async with running(**GATED) as address, connected(address) as ann:
        answer = await ann.ask("hello", token=token(role=Role.ADMIN))
        assert (answer["type"], answer["name"], answer["role"]) == ("ack", "Ann", "admin")
        assert 890 < answer["expires_in"] <= 900
        assert (await ann.ask("join", room="lobby"))["members"] == ["Ann"]


@pytest.mark.parametrize("where", ["subprotocol", "authorization", "query"])
@async_test
async def test_a_token_in_the_request(where: str) -> None:
    good = token()
    options: Any = {
        "subprotocol": {"subprotocols": ["bearer", good]},
        "authorization": {"additional_headers": [("Authorization", f"Bearer {good}")]},
        "query": {"query": f"?token={good}"},
    }[where]
    async with running(**GATED) as address, connected(address, **options) as ann:
        assert ann.websocket.subprotocol == ("bearer" if where == "subprotocol" else None)
        response = ann.websocket.response
        assert response is not None
        assert good not in str(response.headers.items())
        assert (await ann.ask("hello"))["name"] == "Ann"


@pytest.mark.parametrize("where", ["subprotocol", "authorization", "query"])
@pytest.mark.parametrize("auth", ["open", "token"])
@async_test
async def test_a_bad_token_in_the_request(where: str, auth: str) -> None:
    bad = token()[:-4] + "AAAA"
    options: Any = {
        "subprotocol": {"subprotocols": ["bearer", bad]},
        "authorization": {"additional_headers": [("Authorization", f"Bearer {bad}")]},
        "query": {"query": f"?token={bad}"},
    }[where]
    async with running(**GATED | {"auth": auth}) as address:
        assert await status(address, **options) == 401


@async_test
async def test_one_token_is_enough() -> None:
    async with running(**GATED) as address:
        options = {"query": f"?token={token()}", "subprotocols": ["bearer", token()]}
        assert await status(address, **options) == 401


@async_test
async def test_queries_can_be_switched_off() -> None:
    async with (
        running(**GATED, query_tokens=False) as address,
        connected(address, query=f"?token={token()}") as ann,
    ):
        assert (await ann.ask("hello"))["code"] == "unauthenticated"


# Cookies, and pages of others (hazard D1)


@pytest.mark.parametrize(
    ("origin", "accepted"),
    [
        (ORIGIN, True),
        (None, False),
        ("null", False),
        ("https://other.example", False),
        ("https://good.example.evil.com", False),
        ("https://evilgood.example", False),
        ("https://good.example:444", False),
        ("https://good.example:443", False),
        ("http://good.example", False),
        ("https://GOOD.example", False),
        ("https://good.example.", False),
        ("https://xn--good-example", False),
        ("https://good.example/", False),
        ("https://good.example, https://good.example", False),
    ],
)
@pytest.mark.parametrize("auth", ["open", "token"])
@async_test
async def test_a_cookie_counts_on_pages_that_were_named(
    origin: str | None, accepted: bool, auth: str
) -> None:
    settings = GATED | {"auth": auth, "cookies": True, "allowed_origins": (ORIGIN,)}
    cookie = [("Cookie", f"a=b; {COOKIE}={token()}; c")]
    async with running(**settings) as address:
        if origin is not None and not accepted:
            assert await status(address, origin=origin, additional_headers=cookie) == 403
            return
        async with connected(address, origin=origin, additional_headers=cookie) as ann:
            answer = await ann.ask("hello", name="Ann" if accepted else "Guest")
            if accepted:
                assert (answer["name"], answer["role"]) == ("Ann", "user")
            elif auth == "open":
                assert answer["role"] == "guest"
            else:
                assert answer["code"] == "unauthenticated"


@async_test
async def test_the_own_address_is_no_named_origin() -> None:
    settings = GATED | {"cookies": True, "allowed_origins": (ORIGIN,)}
    async with running(**settings) as address:
        cookie = [("Cookie", f"{COOKIE}={token()}")]
        async with connected(address, origin=f"http://{address}", additional_headers=cookie) as ann:
            assert (await ann.ask("hello"))["code"] == "unauthenticated"


@pytest.mark.parametrize("settings", [{}, {"allowed_origins": (ORIGIN,)}])
@async_test
async def test_a_cookie_counts_only_where_it_was_asked_for(settings: dict[str, Any]) -> None:
    cookie = [("Cookie", f"{COOKIE}={token()}")]
    async with running(**GATED, **settings) as address:
        origin = f"http://{address}" if not settings else ORIGIN
        async with connected(address, origin=origin, additional_headers=cookie) as ann:
            assert (await ann.ask("hello"))["code"] == "unauthenticated"


def test_two_cookies_of_the_name_are_one_too_many() -> None:
    authority = Authority(OURS, allowed_origins=[ORIGIN], cookies=True)
    fields = [("Origin", ORIGIN), ("Cookie", f"{COOKIE}={token()}; {COOKIE}={token()}")]
    with pytest.raises(TokenError):
        authority.from_request(Request("GET", "/ws", "/ws", "", Headers(fields)))


def test_two_origins_are_none() -> None:
    authority = Authority(OURS, allowed_origins=[ORIGIN], cookies=True)
    fields = [("Origin", ORIGIN), ("Origin", ORIGIN), ("Cookie", f"{COOKIE}={token()}")]
    request = Request("GET", "/ws", "/ws", "", Headers(fields))
    assert authority.from_request(request) is None
    assert not authority.is_own_page(request)


# Before somebody has said who they are (hazard D5)


@pytest.mark.parametrize(
    "first",
    [
        {"type": "list_rooms"},
        {"type": "hello", "name": "Ann"},
        {"type": "hello", "token": "a.b.c"},
        {"type": "send", "room": "lobby", "text": "hi"},
        {"type": "refresh", "token": "x"},
        {"type": "dance"},
        [],
    ],
    ids=str,
)
@async_test
async def test_any_other_first_message_ends_it(first: Any) -> None:
    async with running(**GATED) as address, connected(address) as stranger:
        await stranger.websocket.send(json.dumps(first))
        assert (await stranger.receive())["type"] == "error"
        assert await close_code(stranger) == 4401


@async_test
async def test_what_comes_behind_a_bad_first_message_is_not_looked_at() -> None:
    async with running(**GATED) as address, connected(address) as stranger:
        await stranger.post("list_rooms")
        await stranger.post("hello", token=token())
        assert (await stranger.receive())["type"] == "error"
        assert await close_code(stranger) == 4401


@pytest.mark.parametrize("excess", [0, 1])
@async_test
async def test_the_first_message_is_small(excess: int) -> None:
    async with running(**GATED) as address, connected(address) as stranger:
        text = json.dumps({"type": "hello", "token": "x"})
        await stranger.websocket.send(text + " " * (4096 - len(text) + excess), compress=False)
        assert await close_code(stranger) == (1009 if excess else 4401)


@async_test
async def test_the_first_message_does_not_grow_by_inflation() -> None:
    async with running(**GATED) as address, connected(address) as stranger:
        await stranger.websocket.send(" " * 60_000, compress=True)
        assert await close_code(stranger) == 1009


@pytest.mark.parametrize("where", ["hello", "request"])
@async_test
async def test_later_messages_may_be_larger(where: str) -> None:
    options = {"query": f"?token={token()}"} if where == "request" else {}
    async with running(**GATED) as address, connected(address, **options) as ann:
        await ann.ask("hello", **({} if options else {"token": token()}))
        answer = await ann.ask("send", room="lobby", text="x" * 60_000)
        assert answer["code"] == "not_in_room"


@async_test
async def test_who_says_nothing_is_put_out() -> None:
    class Silent:
        closed: tuple[int, str] | None = None

        async def recv(self) -> str:
            await asyncio.Event().wait()
            return ""

    gate = Gate(Authority(OURS, required=True), hello_timeout=0)
    stranger: Any = Silent()
    with pytest.raises(CommandError) as caught:
        await gate.first_message(Visitor(stranger))
    assert caught.value.code == "unauthenticated"


@pytest.mark.parametrize("query", ["?token=", "?token=x&token=y", "?token=%00", "?a=b&" * 30])
@async_test
async def test_no_token_that_is_none(query: str) -> None:
    async with running(**GATED) as address:
        assert await status(address, query=query) == 401


# Names


@async_test
async def test_a_token_is_for_one_name() -> None:
    async with running(**GATED) as address:
        async with connected(address) as ann:
            answer = await ann.ask("hello", token=token(), name="Bob")
            assert answer["code"] == "invalid_name"
        async with connected(address, query=f"?token={token()}") as ann:
            answer = await ann.ask("hello", token=token("Bob"))
            assert answer["code"] == "unauthenticated"
            assert (await ann.ask("hello", name="ANN"))["name"] == "Ann"


@async_test
async def test_a_guest_takes_no_users_name(tmp_path: Path) -> None:
    users = str(tmp_path / "users.db")
    with Accounts(users) as accounts:
        accounts.add("Ann", "correct horse")
    async with running(users=users, jwt_secret=SECRET) as address:
        async with client(address) as guest:
            assert (await guest.ask("hello", name="ANN"))["code"] == "name_taken"
            assert (await guest.ask("hello", name="Bob"))["role"] == "guest"
        async with client(address) as ann:
            assert (await ann.ask("hello", token=token()))["role"] == "user"


# The end of a token (hazard D3)


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Wire:
    """As much of a `WebSocket` as a gate needs."""

    def __init__(self) -> None:
        self.closed: list[tuple[int, str]] = []

    async def close(self, code: int, reason: str) -> None:
        self.closed.append((code, reason))


def at_the_gate(gate: Gate, token: str) -> tuple[Visitor, Wire]:
    wire: Any = Wire()
    visitor = Visitor(wire)
    gate._visitors.add(visitor)
    visitor.identity = gate.enter(visitor, Hello(token=token))
    return visitor, wire


@async_test
async def test_a_token_that_expires_ends_the_connection_unless_refreshed() -> None:
    clock = Clock()
    ours = Tokens([secret_key(SECRET)], clock=clock)
    gate = Gate(Authority(ours, required=True, clock=clock))
    ann, _ = at_the_gate(gate, ours.issue("Ann", Role.USER))
    clock.now += 60
    bob, wire = at_the_gate(gate, ours.issue("Bob", Role.USER))
    clock.now += 800
    assert gate.refresh(ann, ours.issue("Ann", Role.USER)) == 900
    with pytest.raises(CommandError):
        gate.refresh(bob, ours.issue("Ann", Role.USER))
    with pytest.raises(CommandError):
        gate.refresh(bob, "a.b.c")
    gate.sweep()
    assert (ann.leaving, bob.leaving) == (None, None)
    clock.now += 100
    gate.sweep()
    gate.sweep()
    assert ann.leaving is None
    assert bob.leaving is not None
    await bob.leaving
    assert wire.closed == [(4401, "the token has ended")]


@async_test
async def test_a_clock_that_jumps_back_keeps_nobody_out() -> None:
    clock = Clock()
    ours = Tokens([secret_key(SECRET)], clock=clock)
    gate = Gate(Authority(ours, required=True, clock=clock))
    ann, _ = at_the_gate(gate, ours.issue("Ann", Role.USER))
    clock.now -= 3600
    gate.sweep()
    assert ann.leaving is None


@async_test
async def test_refresh_over_the_wire() -> None:
    async with running(**GATED) as address, connected(address) as ann:
        await ann.ask("hello", token=token())
        assert (await ann.ask("refresh", token="x"))["code"] == "unauthenticated"
        assert (await ann.ask("refresh", token=token("Bob")))["code"] == "unauthenticated"
        assert 890 < (await ann.ask("refresh", token=token()))["expires_in"] <= 900


@async_test
async def test_who_is_locked_out_loses_the_connection() -> None:
    authority = Authority(OURS)
    gate = Gate(authority)
    ann, wire = at_the_gate(gate, token())
    bob, _ = at_the_gate(gate, token("Bob"))
    authority.accounts.lock_out("ANN")
    gate.sweep()
    assert bob.leaving is None
    assert ann.leaving is not None
    await ann.leaving
    assert wire.closed == [(4401, "the token has ended")]


def test_tokens_up_to_a_lock_out_are_refused_and_later_ones_are_not() -> None:
    clock = Clock()
    accounts = Accounts(":memory:", clock=clock)
    ours = Tokens([secret_key(SECRET)], clock=clock)
    authority = Authority(ours, accounts, clock=clock)
    before = ours.issue("Ann", Role.USER)
    clock.now += 0.0004
    meanwhile = ours.issue("Ann", Role.USER)
    accounts.lock_out("ANN")
    for token_ in (before, meanwhile):
        with pytest.raises(TokenError):
            authority.verify(token_)
    clock.now += 0.001
    assert authority.verify(ours.issue("Ann", Role.USER)).name == "Ann"


# Logins


@async_test
async def test_a_login_is_refreshed_until_it_ends() -> None:
    clock = Clock()
    accounts = Accounts(":memory:", clock=clock)
    accounts.add("Ann", "correct horse", Role.MODERATOR)
    ours = Tokens([secret_key(SECRET)], clock=clock)
    authority = Authority(ours, accounts, login_lifetime=1000, clock=clock)
    assert await authority.log_in("Ann", "wrong horse") is None
    grant = await authority.log_in("ann", "correct horse")
    assert grant is not None
    assert (grant.identity.name, grant.identity.role) == ("Ann", Role.MODERATOR)
    clock.now += 800
    again = authority.refresh(authority.verify(grant.token))
    assert again.identity.session == grant.identity.session
    assert again.identity.login == grant.identity.login
    clock.now += 200
    with pytest.raises(TokenError, match="expired"):
        authority.refresh(again.identity)
    assert authority.verify(again.token) == again.identity
    authority.log_out(authority.verify(again.token))
    with pytest.raises(TokenError, match="revoked"):
        authority.verify(again.token)


def test_what_others_have_issued_is_not_refreshed_here() -> None:
    authority = Authority(OURS)
    with pytest.raises(TokenError):
        authority.refresh(Identity("Ann", Role.USER, 2e9, session="s"))


# Settings


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"auth": "token"}, "auth: token needs"),
        ({"jwt_secret": "short"}, "jwt_secret: .*32 bytes"),
        ({"cookies": True}, "cookies: need allowed_origins"),
        ({"jwks_file": "/nowhere/jwks.json"}, "jwks_file: /nowhere/jwks.json: .*No such file"),
        ({"users": "/nowhere/users.db"}, "users: /nowhere/users.db: .*No such file"),
    ],
)
def test_settings_that_contradict_each_other(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        App(Config(**settings))
    assert "short" not in str(caught.value)


# The log (hazard D4)


@async_test
async def test_a_token_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    good, bad = token(), token()[:-4] + "AAAA"
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    async with running(**GATED, log_level="debug") as address:
        for value in (good, bad):
            for options in (
                {"query": f"?token={value}"},
                {"subprotocols": ["bearer", value]},
                {"additional_headers": [("Authorization", f"Bearer {value}")]},
                {"query": f"?token={value}", "origin": "https://evil.example"},
            ):
                try:
                    async with connected(address, **options) as ann:
                        await ann.ask("hello")
                        await ann.websocket.send("{")
                        await ann.websocket.send(b"x" * 70_000)
                        await close_code(ann)
                except rfc6455.HandshakeError:
                    pass
            async with connected(address) as ann:
                await ann.ask("hello", token=value)
    assert good not in caplog.text
    assert bad not in caplog.text


# Between connections (hazard D13)


@async_test
async def test_many_logins_at_once_do_not_mix() -> None:
    async with running(**GATED, address_rate=0) as address:

        async def log_in(number: int) -> None:
            name = f"user-{number}"
            options = {"query": f"?token={token(name)}"} if number % 2 else {}
            async with connected(address, **options) as user:
                fields = {} if number % 2 else {"token": token(name)}
                assert (await user.ask("hello", **fields))["name"] == name

        for start in range(0, 400, 50):
            await asyncio.gather(*(log_in(number) for number in range(start, start + 50)))
