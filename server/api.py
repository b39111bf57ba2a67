"""HTTP for people and programs: logging in, looking after the server.

What lives here: what the requests of the login and admin pages mean, who may make them, and how
often. This file does not know how tokens are judged, nor how requests arrive.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from rfc6455 import Request, Response

from . import names
from .auth import COOKIE, Authority, Grant
from .gate import FORBIDDEN, UNAUTHENTICATED, Gate
from .http import HttpError, Pages, answer_json, read_json
from .limits import Buckets, Rate, source_of
from .tokens import Identity, Role, TokenError

__all__ = ["Admin", "Logins"]

LOGIN_RATE: Final = Rate(per_second=0.1, burst=10)
"""Tries of an address, and for a name."""
NO_STORE: Final = ("Cache-Control", "no-store")


class LoginBody(msgspec.Struct, forbid_unknown_fields=True):
    """Who wants to log in."""

    name: str
    password: str


class UserBody(msgspec.Struct, forbid_unknown_fields=True):
    """A user to do something about."""

    user: str
    reason: str = ""


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """No more than that it is asked for."""


class Logins:
    """``POST /login``, ``/token/refresh`` and ``/logout``.

    Args:
        authority: judges who somebody is.
        gate: knows the connections of somebody who logs out.
        cookies: whether the token is also put into a cookie.
        now: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        authority: Authority,
        gate: Gate,
        *,
        cookies: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._authority = authority
        self._gate = gate
        self._cookies = cookies
        self._now = now
        self._tries = Buckets(LOGIN_RATE)

    def add_to(self, pages: Pages) -> None:
        """Has the requests answered."""
        pages.add("POST", "/login", self._log_in)
        pages.add("POST", "/token/refresh", self._refresh)
        pages.add("POST", "/logout", self._log_out)

    async def _log_in(self, request: Request) -> Response:
        body = read_json(request, LoginBody)
        address = source_of(request.client_address)
        for key in (f"address {address}", f"name {names.name_key(body.name)}"):
            self._count(key)
        grant = await self._authority.log_in(body.name, body.password)
        if grant is None:
            raise HttpError(401, "wrong_login", "the name or the password is wrong")
        return self._answer(grant)

    async def _refresh(self, request: Request) -> Response:
        read_json(request, Nothing)
        identity = _identify(self._authority, request)
        try:
            return self._answer(self._authority.refresh(identity))
        except TokenError as error:
            raise HttpError(401, "unauthenticated", f"no new token: {error.reason}") from error

    async def _log_out(self, request: Request) -> Response:
        read_json(request, Nothing)
        identity = _identify(self._authority, request)
        self._authority.log_out(identity)
        self._gate.dismiss_login(identity.session, UNAUTHENTICATED, "logged out")
        return answer_json({}, headers=[NO_STORE, *self._cookie("", 0)])

    def _answer(self, grant: Grant) -> Response:
        identity = grant.identity
        lifetime = self._gate.expires_in(identity) or 0.0
        body = {
            "token": grant.token,
            "expires_in": lifetime,
            "name": identity.name,
            "role": identity.role.name.lower(),
        }
        return answer_json(body, headers=[NO_STORE, *self._cookie(grant.token, int(lifetime))])

    def _cookie(self, token: str, lifetime: int) -> list[tuple[str, str]]:
        if not self._cookies:
            return []
        # Neither scripts nor pages of other sites get at it. Browsers take localhost for secure.
        attributes = f"Max-Age={lifetime}; Path=/; HttpOnly; Secure; SameSite=Strict"
        return [("Set-Cookie", f"{COOKIE}={token}; {attributes}")]

    def _count(self, key: str) -> None:
        now = self._now()
        if wait := self._tries.wait(key, 1, now):
            raise HttpError(
                429,
                "rate_limited",
                f"too many tries; wait {wait:.0f} seconds",
                [("Retry-After", f"{wait:.0f}")],
            )
        self._tries.spend(key, 1, now)


@dataclass(frozen=True, slots=True)
class Admin:
    """``/api/admin/…``, for those with the role admin alone.

    Args:
        gate: everybody who is connected.
        stats: returns the server's numbers.
        drain: begins to end the server, over some seconds.
    """

    gate: Gate
    stats: Callable[[], dict[str, Any]]
    drain: Callable[[], None]

    def add_to(self, pages: Pages) -> None:
        """Has the requests answered."""
        pages.add("GET", "/api/admin/overview", self._overview)
        pages.add("POST", "/api/admin/kick", self._kick)
        pages.add("POST", "/api/admin/lock-out", self._lock_out)
        pages.add("POST", "/api/admin/drain", self._drain)

    def _overview(self, request: Request) -> Response:
        self._check(request)
        connections = [
            {
                "id": visitor.id,
                "address": visitor.address,
                "user": visitor.identity.name if visitor.identity else None,
                "role": visitor.identity.role.name.lower() if visitor.identity else None,
                "commands": visitor.commands,
                "refusals": visitor.refusals,
            }
            for visitor in sorted(self.gate.visitors, key=lambda visitor: int(visitor.id, 16))
        ]
        # As many as a page can show; the metrics have the sum.
        return answer_json(self.stats() | {"visitors": connections[-1000:]}, headers=[NO_STORE])

    def _kick(self, request: Request) -> Response:
        self._check(request)
        body = read_json(request, UserBody)
        reason = body.reason[:100] or "put out by an administrator"
        return answer_json({"connections": self.gate.dismiss_user(body.user, FORBIDDEN, reason)})

    def _lock_out(self, request: Request) -> Response:
        self._check(request)
        body = read_json(request, UserBody)
        self.gate.authority.accounts.lock_out(body.user)
        reason = body.reason[:100] or "the token has ended"
        count = self.gate.dismiss_user(body.user, UNAUTHENTICATED, reason)
        return answer_json({"connections": count})

    def _drain(self, request: Request) -> Response:
        self._check(request)
        read_json(request, Nothing)
        self.drain()
        return answer_json({}, 202)

    def _check(self, request: Request) -> None:
        if _identify(self.gate.authority, request).role < Role.ADMIN:
            raise HttpError(403, "forbidden", "this is for administrators")


def _identify(authority: Authority, request: Request) -> Identity:
    """Returns who makes a request.

    Raises:
        HttpError: 401: it has no token, or one that is not accepted.
    """
    challenge = [("WWW-Authenticate", "Bearer")]
    try:
        identity = authority.from_request(request)
    except TokenError as error:
        message = f"the token is not accepted: {error.reason}"
        raise HttpError(401, "unauthenticated", message, challenge) from error
    if identity is None:
        raise HttpError(401, "unauthenticated", "this takes a token", challenge)
    return identity
