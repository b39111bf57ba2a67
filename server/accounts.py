"""The users that this server knows itself: names, roles and passwords; and who is locked out.

What lives here: an SQLite file with the users, the logins that were ended early, and the secret
that signs tokens. Passwords are kept as scrypt hashes. This file does not know about tokens or
requests.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from . import names, protocol
from .tokens import Identity, Role

__all__ = ["AccountError", "Accounts", "User"]

MIN_PASSWORD: Final = 8
MAX_PASSWORD: Final = 1024
LOG_COST: Final = 14
"""Of scrypt: N is two to its power. Takes about 16 MiB and 50 ms for a password."""
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS users (
    key TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, password TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ended_logins (session TEXT PRIMARY KEY, until REAL NOT NULL)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS locked_out (key TEXT PRIMARY KEY, before REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, secret TEXT NOT NULL) WITHOUT ROWID;
"""


class AccountError(Exception):
    """A user who cannot be added or changed; the message says why."""


@dataclass(frozen=True, slots=True)
class User:
    """A user, without the password."""

    name: str
    role: Role


class Accounts:
    """Users and revocations, in an SQLite file that several processes may open.

    Args:
        path: the file; it is made, readable for its owner only. ``:memory:`` for none.
        clock: the wall clock, in Unix time.
    """

    def __init__(self, path: str, *, clock: Callable[[], float] = time.time) -> None:
        if path != ":memory:":
            # Before SQLite makes it: nobody else may read it, not even for a moment.
            os.close(os.open(Path(path), os.O_CREAT | os.O_RDWR, 0o600))
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.executescript(SCHEMA)
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    @property
    def changes(self) -> tuple[int, int]:
        """Something that is another once anything has changed, whichever process has done it."""
        (version,) = self._database.execute("PRAGMA data_version").fetchone()
        return int(version), self._database.total_changes

    @property
    def secret(self) -> str:
        """The secret for tokens of these users: made once, then always the same."""
        fresh = secrets.token_urlsafe(48)
        self._database.execute("INSERT OR IGNORE INTO secrets VALUES ('tokens', ?)", (fresh,))
        return str(self._one("SELECT secret FROM secrets WHERE name = 'tokens'", ())[0])

    # Users

    def add(self, name: str, password: str, role: Role = Role.USER) -> User:
        """Adds a user.

        Raises:
            AccountError: the name or the password cannot be, or the name is taken.
        """
        try:
            name = names.check_name(name)
        except protocol.CommandError as error:
            raise AccountError(error.message) from error
        row = (names.name_key(name), name, role.name.lower(), hash_password(password))
        try:
            self._database.execute("INSERT INTO users VALUES (?, ?, ?, ?)", row)
        except sqlite3.IntegrityError as error:
            raise AccountError(f"there is a user {name!r} already") from error
        return User(name, role)

    def find(self, name: str) -> User | None:
        """Returns the user of a name, or None."""
        row = self._one("SELECT name, role FROM users WHERE key = ?", (names.name_key(name),))
        return User(row[0], Role.named(row[1])) if row else None

    def all(self) -> list[User]:
        """Returns all users by name."""
        with closing(self._database.execute("SELECT name, role FROM users ORDER BY key")) as rows:
            return [User(name, Role.named(role)) for name, role in rows]

    def set_password(self, name: str, password: str) -> None:
        """Changes a password, and ends all logins of the user.

        Raises:
            AccountError: the password cannot be, or there is no such user.
        """
        self._change("UPDATE users SET password = ? WHERE key = ?", hash_password(password), name)
        self.lock_out(name)

    def set_role(self, name: str, role: Role) -> None:
        """Changes a role, and ends all logins of the user, whose tokens tell the old one.

        Raises:
            AccountError: there is no such user.
        """
        self._change("UPDATE users SET role = ? WHERE key = ?", role.name.lower(), name)
        self.lock_out(name)

    def remove(self, name: str) -> None:
        """Removes a user, and ends all logins.

        Raises:
            AccountError: there is no such user.
        """
        done = self._database.execute(
            "DELETE FROM users WHERE key = ?", (names.name_key(name),)
        ).rowcount
        if not done:
            raise AccountError(f"there is no user {name!r}")
        self.lock_out(name)

    def check(self, name: str, password: str) -> User | None:
        """Returns the user whom name and password belong to, or None. Takes a while, on purpose.

        It takes as long where there is no such user: how long says nothing.
        """
        key = names.name_key(name)
        row = self._one("SELECT name, role, password FROM users WHERE key = ?", (key,))
        good = matches(password, row[2] if row else NOBODY)
        return User(row[0], Role.named(row[1])) if row and good else None

    # Who is locked out

    def end_login(self, session: str, until: float) -> None:
        """Has no token of a login accepted any longer.

        Args:
            session: which login.
            until: when its last token expires, in Unix time; then it can be forgotten.
        """
        now = self._clock()
        self._database.execute("DELETE FROM ended_logins WHERE until < ?", (now,))
        self._database.execute(
            "INSERT OR REPLACE INTO ended_logins VALUES (?, ?)", (session, until)
        )

    def lock_out(self, name: str) -> None:
        """Has no token accepted that a user has got up to now."""
        row = (names.name_key(name), self._clock())
        self._database.execute("INSERT OR REPLACE INTO locked_out VALUES (?, ?)", row)

    def is_revoked(self, identity: Identity) -> bool:
        """Tells whether an identity no longer holds."""
        if identity.session and self._one(
            "SELECT 1 FROM ended_logins WHERE session = ?", (identity.session,)
        ):
            return True
        key = identity.key
        return bool(
            self._one(
                "SELECT 1 FROM locked_out WHERE key = ? AND before >= ?", (key, identity.issued)
            )
        )

    def _one(self, query: str, parameters: tuple[object, ...]) -> tuple[str, ...]:
        row: tuple[str, ...] | None = self._database.execute(query, parameters).fetchone()
        return row or ()

    def _change(self, query: str, value: str, name: str) -> None:
        if not self._database.execute(query, (value, names.name_key(name))).rowcount:
            raise AccountError(f"there is no user {name!r}")


def hash_password(password: str) -> str:
    """Returns what is kept of a password: ``scrypt$cost$salt$hash``.

    Raises:
        AccountError: it is too short or too long.
    """
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise AccountError(f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters")
    salt = secrets.token_bytes(16)
    return f"scrypt${LOG_COST}${salt.hex()}${_scrypt(password, salt, LOG_COST).hex()}"


def matches(password: str, kept: str) -> bool:
    """Tells whether a password is the one of which ``kept`` was kept; in the same time always."""
    _, cost, salt, digest = kept.split("$")
    given = _scrypt(password[:MAX_PASSWORD], bytes.fromhex(salt), int(cost))
    return hmac.compare_digest(given, bytes.fromhex(digest)) and len(password) <= MAX_PASSWORD


def _scrypt(password: str, salt: bytes, cost: int) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"),
        salt=salt,
        n=2**cost,
        r=8,
        p=1,
        maxmem=2 ** (cost + 11),
        dklen=32,
    )


NOBODY: Final = f"scrypt${LOG_COST}${bytes(16).hex()}${bytes(32).hex()}"
"""What is kept of no password at all."""
