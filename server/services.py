"""HTTP for other services: what they tell users through the chat.

What lives here: the requests that publish notifications, messages and the values of feeds. A
service that gets no answer asks again with the same ``Idempotency-Key``, and it is said once. This
file does not know who hears it.
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from rfc6455 import Request, Response

from .chat import Chat
from .engines.base import EngineError, Position
from .feeds import Feed
from .http import HttpError, Pages, answer_json, read_json
from .limits import Buckets, Rate
from .names import check_name, check_room
from .protocol import CommandError

__all__ = ["Services"]

RATE: Final = Rate(per_second=200, burst=1000)
"""Requests of all services together."""
KEY: Final = re.compile(rb"[\x21-\x7e]{1,128}")
STATUSES: Final = {"no_such_room": 404, "no_such_feed": 404, "too_long": 413}
MAX_FEED_KEY: Final = 64
MAX_FEED_KEYS: Final = 1000
"""Keys of one feed: everybody who begins to watch it gets all values."""


class NotificationBody(msgspec.Struct, forbid_unknown_fields=True):
    """Something that happened."""

    topic: str
    title: str
    text: str = ""
    data: Any = None


class MessageBody(msgspec.Struct, forbid_unknown_fields=True):
    """Something to be said in a room."""

    room: str
    text: str
    sender: str = msgspec.field(name="from", default="service")


class FeedBody(msgspec.Struct, forbid_unknown_fields=True):
    """New values of a feed."""

    feed: str
    values: dict[str, Any]


class Services:
    """``POST /api/notifications``, ``/api/messages`` and ``/api/feeds``.

    Args:
        chat: carries it out.
        feeds: the feeds that there are, by name.
        token: what a service has to show; where it is empty, nobody may ask for anything.
        now: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        chat: Chat,
        feeds: Mapping[str, Feed],
        token: str,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._chat = chat
        self._feeds = feeds
        self._token = token.encode()
        self._now = now
        self._requests = Buckets(RATE)

    def add_to(self, pages: Pages) -> None:
        """Has the requests answered."""
        pages.add("POST", "/api/notifications", self._notify)
        pages.add("POST", "/api/messages", self._say)
        pages.add("POST", "/api/feeds", self._set)

    async def _notify(self, request: Request) -> Response:
        key = self._check(request)
        body = read_json(request, NotificationBody)
        try:
            position = await self._chat.broadcasts.notify(
                body.topic, body.title, body.text, body.data, key=key
            )
        except (CommandError, EngineError) as error:
            raise _failure(error) from error
        return _published(position)

    async def _say(self, request: Request) -> Response:
        key = self._check(request)
        body = read_json(request, MessageBody)
        try:
            position = await self._chat.conversation.say(
                check_room(body.room), check_name(body.sender), body.text, key=key
            )
        except (CommandError, EngineError) as error:
            raise _failure(error) from error
        return _published(position)

    def _set(self, request: Request) -> Response:
        self._check(request)
        body = read_json(request, FeedBody)
        feed = self._feeds.get(body.feed)
        if feed is None:
            raise HttpError(404, "no_such_feed", "there is no such feed")
        if any(not 1 <= len(key) <= MAX_FEED_KEY for key in body.values):
            raise HttpError(400, "bad_body", f"a key has 1 to {MAX_FEED_KEY} characters")
        if len(feed.values.keys() | body.values.keys()) > MAX_FEED_KEYS:
            raise HttpError(409, "too_many", f"a feed has at most {MAX_FEED_KEYS} keys")
        for key, value in body.values.items():
            feed.set(key, value)
        return answer_json({}, 202)

    def _check(self, request: Request) -> str | None:
        """Sees that a service may ask, and returns its number for the request, if it has one."""
        shown = b"".join(request.headers.raw("Authorization"))
        if not self._token or not hmac.compare_digest(shown, b"Bearer " + self._token):
            challenge = [("WWW-Authenticate", "Bearer")]
            raise HttpError(401, "unauthenticated", "this takes the services' token", challenge)
        now = self._now()
        if wait := self._requests.wait("all", 1, now):
            raise HttpError(429, "rate_limited", "too many requests", _retry_after(wait))
        self._requests.spend("all", 1, now)
        keys = request.headers.raw("Idempotency-Key")
        if not keys:
            return None
        if len(keys) > 1 or not KEY.fullmatch(keys[0]):
            message = "an Idempotency-Key has 1 to 128 visible characters"
            raise HttpError(400, "bad_key", message)
        return keys[0].decode("ascii")


def _published(position: Position) -> Response:
    return answer_json({"epoch": position.epoch, "offset": position.offset}, 201)


def _failure(error: CommandError | EngineError) -> HttpError:
    if isinstance(error, EngineError):
        message = f"try again later: {error}"
        return HttpError(503, "unavailable", message, _retry_after(1))
    return HttpError(STATUSES.get(error.code, 400), error.code, error.message)


def _retry_after(seconds: float) -> list[tuple[str, str]]:
    return [("Retry-After", str(max(1, round(seconds))))]
