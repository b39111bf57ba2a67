"""Basic authentication: who is let in, what is answered, and that comparing takes the same way."""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import Awaitable
from typing import Any

import pytest

from rfc6455.auth import basic_auth
from rfc6455.errors import UsageError
from rfc6455.headers import Headers
from rfc6455.http import Request, Response

USERS = {"alice": "open sesame", "bob": "p:a:s:s", "zoë": "schlüssel", "": "nobody", "empty": ""}


def request(*authorization: str) -> Request:
    fields = Headers([("Authorization", value) for value in authorization])
    return Request("GET", "/", "/", "", fields)


def basic(user: str, password: str, encoding: str = "utf-8") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode(encoding)).decode()


def status(answer: Any) -> int:
    assert isinstance(answer, Response)
    return answer.status


@pytest.mark.parametrize("user", USERS)
def test_a_name_with_its_password_is_let_in(user: str) -> None:
    asking = request(basic(user, USERS[user]))
    assert basic_auth("realm", USERS)(asking) is None
    assert asking.context == {"user": user}


@pytest.mark.parametrize(
    "authorization",
    [
        [],
        [""],
        ["Basic"],
        ["Bearer abc"],
        [basic("alice", "open sesame")[6:]],
        [basic("alice", "open sesamE")],
        [basic("alice", "open sesame ")],
        [basic("alice", "open sesam")],
        [basic("alice", "")],
        [basic("Alice", "open sesame")],
        [basic("bob", "open sesame")],
        [basic("mallory", "open sesame")],
        [basic("alice\0", "open sesame")],
        [basic("alice", "open sesame\r\n")],
        [basic("zoë", "schlüssel", "latin-1")],
        ["Basic " + base64.b64encode(b"alice").decode()],
        [basic("alice", "open sesame") + "=="],
        [basic("alice", "open sesame")[:-1]],
        [basic("alice", "open sesame").replace(" ", " !", 1)],
        [basic("alice", "open sesame") + " x"],
        [basic("alice", "open sesame")] * 2,
    ],
)
def test_anybody_else_gets_401(authorization: list[str]) -> None:
    asking = request(*authorization)
    answer = basic_auth("realm", USERS)(asking)
    assert status(answer) == 401
    assert isinstance(answer, Response)
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="realm", charset="UTF-8"'
    assert asking.context == {}


def test_the_scheme_may_be_in_any_case() -> None:
    right = basic("alice", "open sesame")
    for scheme in ("basic", "BASIC", "bAsIc", "Basic  "):
        assert basic_auth("realm", USERS)(request(right.replace("Basic", scheme))) is None


def test_a_realm_is_quoted() -> None:
    answer = basic_auth('a "b" \\c', USERS)(request())
    assert isinstance(answer, Response)
    assert answer.headers["WWW-Authenticate"] == r'Basic realm="a \"b\" \\c", charset="UTF-8"'


@pytest.mark.parametrize("realm", ["a\r\nX: y", "é", "\0", "\x7f"])
def test_a_realm_that_could_not_travel_is_refused(realm: str) -> None:
    with pytest.raises(UsageError, match="realm"):
        basic_auth(realm, USERS)


@pytest.mark.parametrize("user", ["a:b", "a\0", "a\n", "\x7f"])
def test_a_name_that_could_not_be_told_from_its_password_is_refused(user: str) -> None:
    with pytest.raises(UsageError, match="name"):
        basic_auth("realm", {user: "x"})


def test_a_function_may_decide() -> None:
    asked = []

    def check(user: str, password: str) -> bool:
        asked.append((user, password))
        return password == "right"

    hook = basic_auth("realm", check)
    assert hook(request(basic("alice", "right"))) is None
    assert status(hook(request(basic("alice", "wrong")))) == 401
    assert status(hook(request())) == 401
    assert asked == [("alice", "right"), ("alice", "wrong")]


def test_a_coroutine_function_may_decide() -> None:
    async def check(user: str, password: str) -> bool:
        await asyncio.sleep(0)
        return password == "right"

    async def ask(asking: Request) -> Response | None:
        answer = basic_auth("realm", check)(asking)
        assert isinstance(answer, Awaitable)
        return await answer

    asking = request(basic("alice", "right"))
    assert asyncio.run(ask(asking)) is None
    assert asking.context == {"user": "alice"}
    assert status(asyncio.run(ask(request(basic("alice", "wrong"))))) == 401


@pytest.mark.parametrize("answer", [1, "yes", None, object()])
def test_only_true_lets_in(answer: Any) -> None:
    hook = basic_auth("realm", lambda user, password: answer)
    assert status(hook(request(basic("alice", "x")))) == 401


def test_d2_every_attempt_makes_the_same_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names and passwords are compared as digests of one length, all of them, right or wrong."""
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def spy(left: bytes, right: bytes) -> bool:
        compared.append((len(left), len(right)))
        return compare(left, right)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    hook = basic_auth("realm", USERS)
    for user, password in (
        ("alice", "open sesame"),
        ("alice", "open sesamE"),
        ("alice", "Xpen sesame"),
        ("alice", "x" * 1000),
        ("mallory", "open sesame"),
        ("", ""),
    ):
        compared.clear()
        hook(request(basic(user, password)))
        assert compared == [(64, 64)] * len(USERS)
