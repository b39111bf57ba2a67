"""JSON Web Tokens (RFC 7519): what makes one good, and how our own are made.

What lives here: keys, each with its one algorithm, and the checks of header, signature and claims.
PyJWT does the cryptography; what a claim has to be is decided here, more strictly than there. This
file does not know where tokens come from, nor who has been locked out.
"""

from __future__ import annotations

import json
import math
import re
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

import jwt

from . import names, protocol

__all__ = ["Identity", "Key", "Role", "TokenError", "Tokens", "read_jwks", "secret_key"]

MAX_TOKEN: Final = 4096
"""Characters of a token; longer ones are not looked at."""
LEEWAY: Final = 30
"""Seconds by which clocks may differ."""
MIN_SECRET: Final = 32
"""Bytes of an HS256 secret (RFC 7518 §3.2: "a key of the same size as the hash output")."""
COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){2}")
# Headers that bring a key along, change what is signed, or that one must understand: the keys are
# ours alone, and nothing else is understood.
REFUSED_HEADERS: Final = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc"})
OWN_LOGIN: Final = "rfc6455_login"
"""A claim of our own: when the password was given."""
ALGORITHMS: Final = {"RSA": "RS256", "EC": "ES256", "oct": "HS256"}


class Role(IntEnum):
    """What somebody may do; each role may do what those below it may."""

    GUEST = 0
    USER = 1
    MODERATOR = 2
    ADMIN = 3

    @classmethod
    def named(cls, name: str) -> Role:
        """Returns the role of a name in lower case.

        Raises:
            ValueError: there is none.
        """
        role = cls.__members__.get(name.upper())
        if role is None or name != name.lower():
            raise ValueError(f"there is no role {name[:20]!r}")
        return role


class TokenError(Exception):
    """A token that is not accepted.

    Attributes:
        reason: why, in one of few words: ``malformed``, ``header``, ``key``, ``signature``,
            ``claims``, ``issuer``, ``audience``, ``expired``, ``not_yet`` or ``revoked``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is.

    Attributes:
        name: as others see it.
        role: what they may do.
        expires: when that ends, in Unix time; None for never.
        issued: since when it holds, in Unix time.
        session: which login it comes from; empty where nobody logged in.
        login: when this server was given a password for it, in Unix time; 0 where it was not.
        key: what all names have in common that count as the same as this one.
    """

    name: str
    role: Role
    expires: float | None = None
    issued: float = 0.0
    session: str = ""
    login: float = 0.0
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", names.name_key(self.name))


@dataclass(frozen=True, slots=True)
class Key:
    """A key and the one algorithm that it is for.

    Attributes:
        algorithm: HS256, RS256 or ES256.
        material: as PyJWT takes it; of an HS256 key, the secret.
        id: the ``kid`` of tokens that it signs; None where they have none.
    """

    algorithm: str
    material: Any
    id: str | None = None


def secret_key(secret: str) -> Key:
    """Makes a key for HS256 from a secret.

    Raises:
        ValueError: it is too short, or no secret at all but a public key.
    """
    material = secret.encode()
    if len(material) < MIN_SECRET:
        raise ValueError(f"a secret for HS256 has at least {MIN_SECRET} bytes")
    if b"-----BEGIN" in material:
        raise ValueError("a key in PEM is no secret for HS256; keys of other kinds go into a JWKS")
    return Key("HS256", material)


def read_jwks(path: Path) -> list[Key]:
    """Reads a JSON Web Key Set (RFC 7517): RSA keys for RS256, P-256 keys for ES256.

    Raises:
        ValueError: it is no such set, or has a key that is not for one of these algorithms.
        OSError: it cannot be read.
    """
    table = json.loads(path.read_text("utf-8"))
    entries = table.get("keys") if isinstance(table, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("no JSON Web Key Set: an object with a list of keys")
    keys = [_read_jwk(entry) for entry in entries if entry.get("use", "sig") == "sig"]
    ids = [key.id for key in keys]
    if not keys or len(set(ids)) < len(ids):
        raise ValueError("a JSON Web Key Set needs keys for signatures, each with its own kid")
    return keys


def _read_jwk(entry: Mapping[str, Any]) -> Key:
    algorithm = ALGORITHMS.get(entry.get("kty", ""))
    if algorithm is None or algorithm == "HS256" or entry.get("alg", algorithm) != algorithm:
        raise ValueError("a key is RSA with RS256, or EC with ES256")
    if "d" in entry:
        raise ValueError("a private key does not belong into a JSON Web Key Set")
    id = entry.get("kid")
    if id is not None and not isinstance(id, str):
        raise ValueError("a kid is a text")
    try:
        return Key(algorithm, jwt.PyJWK(dict(entry), algorithm).key, id)
    except jwt.PyJWTError as error:
        raise ValueError(f"key {id!r}: {error}") from error


class Tokens:
    """Judges tokens, and makes them where there is a secret to sign with.

    Args:
        keys: those that tokens may be signed with.
        issuer: what ``iss`` has to be, exactly; empty for anything.
        audience: what ``aud`` has to be, exactly; empty for anything.
        lifetime: of a token that is made here, in seconds.
        clock: the wall clock, in Unix time.
    """

    def __init__(
        self,
        keys: Iterable[Key],
        *,
        issuer: str = "",
        audience: str = "",
        lifetime: float = 900.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = {key.id: key for key in keys}
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._jws = jwt.PyJWS()
        self.lifetime = lifetime

    def issue(self, name: str, role: Role, login: Identity | None = None) -> str:
        """Returns a new token.

        Args:
            name: of the user.
            role: of the user.
            login: an earlier token's, which this one continues; by default a new login.

        Raises:
            KeyError: there is no secret to sign with.
        """
        # Never after the true time: who is locked out later is so for certain.
        now = math.floor(self._clock() * 1000) / 1000
        claims: dict[str, Any] = {
            "sub": name,
            "role": role.name.lower(),
            "sid": login.session if login else secrets.token_hex(16),
            OWN_LOGIN: login.login if login else now,
            "iat": now,
            "exp": now + self.lifetime,
        }
        if self._issuer:
            claims["iss"] = self._issuer
        if self._audience:
            claims["aud"] = self._audience
        return self._jws.encode(json.dumps(claims).encode(), self._keys[None].material, "HS256")

    def verify(self, token: str) -> Identity:
        """Returns who a token says that somebody is.

        Raises:
            TokenError: it is not accepted.
        """
        if len(token) > MAX_TOKEN or not COMPACT.fullmatch(token):
            raise TokenError("malformed")
        header, *others = token.split(".")
        fields = _read_object(_decode(header))
        for part in others:
            _decode(part)
        key = self._key_for(fields)
        try:
            payload = self._jws.decode(token, key.material, algorithms=[key.algorithm])
        except jwt.InvalidSignatureError as error:
            raise TokenError("signature") from error
        except jwt.PyJWTError as error:
            raise TokenError("malformed") from error
        # Only who has the secret can have put a login of ours there.
        return self._judge(_read_object(payload), own=key.algorithm == "HS256")

    def _key_for(self, header: Mapping[str, Any]) -> Key:
        if REFUSED_HEADERS.intersection(header):
            raise TokenError("header")
        id = header.get("kid")
        if id is not None and not isinstance(id, str):
            raise TokenError("header")
        key = self._keys.get(id)
        if key is None and len(self._keys) == 1:
            # The only key signs all tokens; but one that has a name is asked for by that name.
            (only,) = self._keys.values()
            key = only if id is None or only.id is None else None
        if key is None:
            raise TokenError("key")
        # The token has no say in how it is verified; it may only agree.
        if header.get("alg") != key.algorithm:
            raise TokenError("header")
        return key

    def _judge(self, claims: Mapping[str, Any], *, own: bool) -> Identity:
        now = self._clock()
        expires = _number(claims, "exp")
        if expires is None:
            raise TokenError("claims")
        if now >= expires + LEEWAY:
            raise TokenError("expired")
        issued = _number(claims, "iat")
        for since in (_number(claims, "nbf"), issued):
            if since is not None and now < since - LEEWAY:
                raise TokenError("not_yet")
        if self._issuer and claims.get("iss") != self._issuer:
            raise TokenError("issuer")
        if self._audience and claims.get("aud") != self._audience:
            raise TokenError("audience")
        subject, role = claims.get("sub"), claims.get("role", "user")
        session = claims.get("sid", claims.get("jti", ""))
        if not (isinstance(subject, str) and isinstance(role, str) and isinstance(session, str)):
            raise TokenError("claims")
        try:
            return Identity(
                names.check_name(subject),
                Role.named(role),
                expires,
                issued or 0.0,
                session,
                (own and _number(claims, OWN_LOGIN)) or 0.0,
            )
        except (protocol.CommandError, ValueError) as error:
            raise TokenError("claims") from error


def _decode(part: str) -> bytes:
    # A lenient decoder takes many texts for one token.
    data = urlsafe_b64decode(part + "=" * (-len(part) % 4)) if len(part) % 4 != 1 else b""
    if urlsafe_b64encode(data).rstrip(b"=").decode() != part:
        raise TokenError("malformed")
    return data


def _read_object(data: bytes) -> Mapping[str, Any]:
    """Reads a JSON object that everybody reads alike: no name twice, and numbers that are some."""
    try:
        value = json.loads(
            data.decode(), object_pairs_hook=_unique, parse_constant=_no_number, parse_int=_integer
        )
    except (ValueError, RecursionError) as error:
        raise TokenError("malformed") from error
    if not isinstance(value, dict):
        raise TokenError("malformed")
    return value


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a name stands twice")
    return table


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _integer(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError("too large an integer")
    return int(digits)


def _number(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TokenError("claims")
    return float(value)
