"""Who somebody is: the credentials of a request, logging in, and what ends a login.

What lives here: where a token may stand in a request, when it is believed, and the tokens that this
server gives to its own users. This file does not know what a room is, nor what a connection does
after it has opened.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from rfc6455 import Request

from . import names, protocol
from .accounts import Accounts
from .config import Config, ConfigError
from .tokens import Identity, Key, Role, TokenError, Tokens, read_jwks, secret_key

__all__ = ["COOKIE", "SUBPROTOCOL", "Authority", "Grant", "open_authority"]

COOKIE: Final = "rfc6455_chat_token"
SUBPROTOCOL: Final = "bearer"
"""What a client offers before its token, and what alone is answered."""
LOGINS_AT_ONCE: Final = 2
"""Passwords that are checked at a time: each takes 16 MiB and a processor."""
BEARER: Final = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/=-]+)")


class Grant:
    """A token that has just been given.

    Attributes:
        token: the token.
        identity: whom it stands for.
    """

    __slots__ = ("identity", "token")

    def __init__(self, token: str, identity: Identity) -> None:
        self.token = token
        self.identity = identity


class Authority:
    """Judges who somebody is.

    Args:
        tokens: what judges tokens; None where no key is known: then every token is refused.
        accounts: the users of this server, and who is locked out.
        required: whether everybody needs a token; else who has none may enter as a guest.
        allowed_origins: origins whose pages may use a cookie; where there are none, nobody may.
        cookies: whether a token may stand in a cookie.
        queries: whether it may stand in the query.
        login_lifetime: for how long a login can be refreshed, in seconds.
        clock: the wall clock, in Unix time.
    """

    def __init__(
        self,
        tokens: Tokens | None = None,
        accounts: Accounts | None = None,
        *,
        required: bool = False,
        allowed_origins: Collection[str] = (),
        cookies: bool = False,
        queries: bool = True,
        login_lifetime: float = 7 * 86400.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._tokens = tokens
        self.accounts = Accounts(":memory:", clock=clock) if accounts is None else accounts
        self.required = required
        self.clock = clock
        self._origins = frozenset(allowed_origins)
        self._cookies = cookies and bool(self._origins)
        self._queries = queries
        self._login_lifetime = login_lifetime
        self._logins = asyncio.Semaphore(LOGINS_AT_ONCE)

    def reload(self, config: Config) -> None:
        """Reads the keys for tokens again.

        Raises:
            ConfigError: a file is not what it should be; the old keys stay.
        """
        self._tokens = _make_tokens(config, self.accounts)

    def close(self) -> None:
        """Closes the file of accounts."""
        self.accounts.close()

    # Tokens

    def verify(self, token: str) -> Identity:
        """Returns who a token says that somebody is.

        Raises:
            TokenError: it is not accepted, or no longer.
        """
        if self._tokens is None:
            raise TokenError("key")
        identity = self._tokens.verify(token)
        if self.accounts.is_revoked(identity):
            raise TokenError("revoked")
        return identity

    def holds(self, identity: Identity) -> bool:
        """Tells whether an identity that was good once still is."""
        if identity.expires is not None and identity.expires <= self.clock():
            return False
        return identity.role is Role.GUEST or not self.accounts.is_revoked(identity)

    def guest(self, name: str) -> Identity:
        """Returns the identity of a guest.

        Raises:
            CommandError: the name cannot be, or belongs to a user of this server.
        """
        name = names.check_name(name)
        if self.accounts.find(name) is not None:
            raise protocol.CommandError("name_taken", f"the name {name!r} belongs to a user")
        return Identity(name, Role.GUEST)

    # Requests

    def from_request(self, request: Request) -> Identity | None:
        """Returns who a request says that somebody is; None where it says nothing.

        A token is looked for among the subprotocols (``bearer, <token>``), in the Authorization
        field, in a cookie and in the query.

        Raises:
            TokenError: there is a token that is not accepted, or more than one.
        """
        found = [
            *self._offered(request),
            *self._authorization(request),
            *self._cookie(request),
            *self._query(request),
        ]
        if not found:
            return None
        if len(found) > 1:
            raise TokenError("malformed")
        return self.verify(found[0])

    def _offered(self, request: Request) -> list[str]:
        offered = [
            item.strip(b" \t").decode("latin-1")
            for line in request.headers.raw("Sec-WebSocket-Protocol")
            for item in line.split(b",")
        ]
        return offered[1:] if offered[:1] == [SUBPROTOCOL] else []

    def _authorization(self, request: Request) -> list[str]:
        found = []
        for line in request.headers.raw("Authorization"):
            # Other schemes may be meant for a proxy on the way.
            if line[:6].lower() == b"bearer":
                match = BEARER.fullmatch(line)
                found.append(match[1].decode("ascii") if match else "")
        return found

    def _cookie(self, request: Request) -> list[str]:
        # A browser sends cookies whichever page asks (RFC 6455 §10.2), so the page's origin has to
        # be one that was named. The server's own does not count unless it was: a page that comes
        # from a stranger's name for this address has that name in Host and Origin alike.
        if not self._cookies or not self.is_own_page(request):
            return []
        name = COOKIE.encode()
        return [
            value.decode("latin-1")
            for line in request.headers.raw("Cookie")
            for key, _, value in (pair.strip(b" \t").partition(b"=") for pair in line.split(b";"))
            if key == name
        ]

    def _query(self, request: Request) -> list[str]:
        if not self._queries:
            return []
        try:
            pairs = parse_qsl(request.query, keep_blank_values=True, max_num_fields=20)
        except ValueError as error:
            raise TokenError("malformed") from error
        return [value for key, value in pairs if key == "token"]

    def is_own_page(self, request: Request) -> bool:
        """Tells whether a request comes from a page whose origin was named, once and exactly."""
        origins = request.headers.raw("Origin")
        return len(origins) == 1 and origins[0].decode("latin-1") in self._origins

    # Logins

    async def log_in(self, name: str, password: str) -> Grant | None:
        """Returns a token for who knows a user's password, or None."""
        async with self._logins:
            user = await asyncio.to_thread(self.accounts.check, name, password)
        if user is None:
            return None
        return self._grant(user.name, user.role)

    def refresh(self, identity: Identity) -> Grant:
        """Returns a new token for a login that goes on.

        Raises:
            TokenError: it does not: it is too old, was ended, or never was one of this server's.
        """
        user = self.accounts.find(identity.name)
        if user is None or not identity.login:
            raise TokenError("key")
        if not self.holds(identity) or self.clock() >= identity.login + self._login_lifetime:
            raise TokenError("expired")
        return self._grant(user.name, user.role, identity)

    def log_out(self, identity: Identity) -> None:
        """Ends a login: none of its tokens is accepted any longer."""
        if identity.session and identity.expires is not None:
            # The last token that was given may outlive this one.
            lifetime = 0.0 if self._tokens is None else self._tokens.lifetime
            self.accounts.end_login(identity.session, identity.expires + lifetime)

    def _grant(self, name: str, role: Role, login: Identity | None = None) -> Grant:
        if self._tokens is None:
            raise TokenError("key")
        token = self._tokens.issue(name, role, login)
        return Grant(token, self._tokens.verify(token))


def open_authority(config: Config, *, only_check: bool = False) -> Authority:
    """Makes the authority that the settings ask for.

    Args:
        config: the settings.
        only_check: makes no file of users where there is none yet.

    Raises:
        ConfigError: they contradict each other, or name a file that is not what it should be.
    """
    if config.cookies and not config.allowed_origins:
        raise ConfigError("cookies: need allowed_origins: every page can make a browser send them")
    in_memory = not config.users or (only_check and not Path(config.users).exists())
    try:
        accounts = Accounts(":memory:" if in_memory else config.users)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"users: {config.users}: {error}") from error
    return Authority(
        _make_tokens(config, accounts),
        accounts,
        required=config.auth == "token",
        allowed_origins=config.allowed_origins,
        cookies=config.cookies,
        queries=config.query_tokens,
        login_lifetime=config.login_lifetime,
    )


def _make_tokens(config: Config, accounts: Accounts) -> Tokens | None:
    keys = _keys(config, accounts)
    if config.auth == "token" and not keys:
        raise ConfigError("auth: token needs users, jwt_secret or jwks_file")
    if not keys:
        return None
    return Tokens(
        keys,
        issuer=config.jwt_issuer,
        audience=config.jwt_audience,
        lifetime=config.token_lifetime,
    )


def _keys(config: Config, accounts: Accounts) -> list[Key]:
    keys = []
    if config.jwt_secret or config.users:
        try:
            keys.append(secret_key(config.jwt_secret or accounts.secret))
        except ValueError as error:
            raise ConfigError(f"jwt_secret: {error}") from error
    if config.jwks_file:
        try:
            keys += read_jwks(Path(config.jwks_file))
        except (OSError, ValueError) as error:
            raise ConfigError(f"jwks_file: {config.jwks_file}: {error}") from error
    if keys[:1] and any(key.id is None for key in keys[1:]) and keys[0].id is None:
        raise ConfigError("jwks_file: beside a secret, each key needs a kid")
    return keys
