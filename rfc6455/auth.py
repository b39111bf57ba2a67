"""HTTP Basic authentication (RFC 7617) of opening handshakes and plain requests.

What lives here: a hook for `serve` that asks for a name and a password, and compares them in a time
that tells nothing. This file does not know where credentials are kept.
"""

from __future__ import annotations

import binascii
import hmac
import inspect
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final, TypeAlias

from .errors import UsageError
from .headers import Headers
from .http import Request, Response

__all__ = ["Check", "basic_auth"]

Check: TypeAlias = Callable[[str, str], "bool | Awaitable[bool]"]

AUTHORIZATION: Final = re.compile(rb"[Bb][Aa][Ss][Ii][Cc] +([A-Za-z0-9+/]+={0,2})")
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
REALM: Final = re.compile(r"[\x20-\x7e]*")


def basic_auth(
    realm: str, credentials: Mapping[str, str] | Check
) -> Callable[[Request], Response | Awaitable[Response | None] | None]:
    """Makes a ``process_request`` that lets in whoever knows a name and its password.

    Others get 401. The name is in ``request.context["user"]`` from then on. Passwords travel in
    clear text: use it with TLS. Browsers do not ask for a name when a page opens a WebSocket, and
    page scripts cannot set the field: it is for programs, and for pages on the same port.

    Args:
        realm: what is protected, in printable ASCII; browsers show it.
        credentials: passwords by name; or a function, which may be a coroutine function, that gets
            name and password and tells whether they are right. Its own comparison should be made
            with `hmac.compare_digest`.

    Raises:
        UsageError: the realm is not printable ASCII, or a name cannot be told from its password.
    """
    if not REALM.fullmatch(realm):
        raise UsageError(f"a realm is printable ASCII, not {realm!r}")
    check = credentials if callable(credentials) else _check_against(credentials)
    quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
    challenge = ("WWW-Authenticate", f'Basic realm="{quoted}", charset="UTF-8"')

    def judge(request: Request, user: str, right: bool) -> Response | None:
        if right is True:
            request.context["user"] = user
            return None
        return Response.text("who are you?\n", HTTPStatus.UNAUTHORIZED, headers=[challenge])

    async def wait(request: Request, user: str, right: Awaitable[bool]) -> Response | None:
        return judge(request, user, await right)

    def process_request(request: Request) -> Response | Awaitable[Response | None] | None:
        found = _read(request.headers)
        if found is None:
            return judge(request, "", False)
        right = check(*found)
        if inspect.isawaitable(right):
            return wait(request, found[0], right)
        return judge(request, found[0], right)

    return process_request


def _check_against(credentials: Mapping[str, str]) -> Check:
    for user in credentials:
        # RFC 7617 §2: "a user-id containing a colon character is invalid".
        if ":" in user or CONTROL.search(user):
            raise UsageError(f"a name has neither colons nor control characters: {user!r}")
    key = os.urandom(32)
    known = [_digest(key, user, password) for user, password in credentials.items()]

    def check(user: str, password: str) -> bool:
        given = _digest(key, user, password)
        right = False
        # Each is compared, name and password at once, so that the time is the same for all.
        for digest in known:
            right |= hmac.compare_digest(given, digest)
        return right

    return check


def _digest(key: bytes, user: str, password: str) -> bytes:
    """Returns bytes of one length, whatever was sent: a comparison takes longer for longer text."""
    return b"".join(
        hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256")
        for text in (user, password)
    )


def _read(headers: Headers) -> tuple[str, str] | None:
    """Returns name and password, or None for a request that does not have one of each."""
    fields = headers.raw("Authorization")
    match = AUTHORIZATION.fullmatch(fields[0]) if len(fields) == 1 else None
    if match is None:
        return None
    try:
        # RFC 7617 §2.1: the field that we send asks for UTF-8.
        text = binascii.a2b_base64(match[1], strict_mode=True).decode()
    except ValueError:
        return None
    user, colon, password = text.partition(":")
    return (user, password) if colon and not CONTROL.search(text) else None
