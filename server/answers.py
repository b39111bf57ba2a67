"""What a command is answered with: every answer of the protocol, as a typed value.

What lives here: an answer for each command that was carried out, and the one for those that could
not be. This file does not know which command gets which; that is what carries them out.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType, field

from .commands import CommandError, RequestId
from .events import (
    Correspondence,
    Deleted,
    Edited,
    Event,
    Membership,
    Message,
    Notification,
    Person,
    PrivateDeleted,
    PrivateEdited,
    PrivateMessage,
    RoomInfo,
)

__all__ = [
    "Ack",
    "Error",
    "FeedAck",
    "HelloAck",
    "HistoryAck",
    "JoinAck",
    "Log",
    "LogAck",
    "MembersAck",
    "PatternAck",
    "PresenceAck",
    "PrivateAck",
    "PrivateHistoryAck",
    "ReadAck",
    "RefreshAck",
    "RoomAck",
    "RoomsAck",
    "SearchAck",
    "SendAck",
    "TypingAck",
    "WatchAck",
    "refusal",
]


class Ack(Event, tag="ack"):
    """The answer to a command that was carried out; its `id` is set when it is sent."""

    id: RequestId | None = None


class Log(Struct, kw_only=True):
    """A part of a log, and what a client may conclude from it.

    ``history`` follows what the client had, without a gap, if ``recovered``; otherwise it is the
    latest part of the log, and what the client had before is not connected with it. It ends at
    ``offset``, which is what the client has from then on. While ``more`` is true, the client has to
    ask again from there; after that what follows comes as events. ``head`` is the offset of the
    log's latest entry.
    """

    epoch: str
    offset: int
    head: int
    recovered: bool
    more: bool
    history: list[PrivateMessage | PrivateEdited | PrivateDeleted | Notification]


class HelloAck(Ack, kw_only=True):
    """The user as the others see them, all rooms, and what the user is a member of.

    ``secret`` is for guests, to be kept and shown when they come back; ``expires_in`` tells for how
    many seconds a token is good. ``inbox_read`` is how far all private messages were read;
    ``private`` has those with whom one has read on, or not at all yet. ``notifications_read`` is
    how far these were read.
    """

    name: str
    role: str
    expires_in: float | UnsetType = UNSET
    user: str
    secret: str | None
    rooms: list[RoomInfo]
    memberships: list[Membership]
    patterns: list[str]
    feeds: list[str]
    inbox: Log
    inbox_read: int
    private: list[Correspondence]
    notifications: Log
    notifications_read: int


class RefreshAck(Ack, kw_only=True):
    """For how many seconds the token is good."""

    expires_in: float


class RoomsAck(Ack, kw_only=True):
    """All rooms."""

    rooms: list[RoomInfo]


class RoomAck(Ack, kw_only=True):
    """The room that was created, described, left or looked after."""

    room: str


class JoinAck(RoomAck, kw_only=True):
    """What was said in the room (see `Log`), and who is in it: some of them, and how many.

    ``access`` tells to whom the room is open, and ``moderator`` whether one looks after it.
    """

    epoch: str
    offset: int
    head: int
    recovered: bool
    more: bool
    history: list[Message | Edited | Deleted]
    members: list[str]
    count: int
    topic: str
    read: int
    access: str = "public"
    moderator: bool = False


class SendAck(RoomAck, kw_only=True):
    """Where the message, or the change of one, stands in its room's log."""

    epoch: str
    offset: int


class HistoryAck(RoomAck, kw_only=True):
    """What was said before; ``more`` tells that there is yet something before that."""

    epoch: str
    more: bool
    history: list[Message | Edited | Deleted]


class SearchAck(Ack, kw_only=True):
    """What was found, the latest first; ``before`` is where to go on, or null at the beginning."""

    room: str | None
    found: list[Message | PrivateMessage]
    before: int | None


class MembersAck(RoomAck, kw_only=True):
    """Members by their ids; ``after`` for the next page, or null; how many are here, and in all."""

    members: list[Person]
    after: str | None
    online: int
    count: int


class PresenceAck(Ack, kw_only=True):
    """The name as it is written; whether they are here; since when not, if that is known."""

    partner: str = field(name="with")
    online: bool
    last_seen: str | None


class PrivateAck(Ack, kw_only=True):
    """The receiver's name as the others see it, and where the message stands in one's own log."""

    to: str
    epoch: str
    offset: int


class LogAck(Ack, kw_only=True):
    """A part of the private messages, or of the notifications."""

    log: Log


class PrivateHistoryAck(Ack, kw_only=True):
    """What was said before; ``more`` tells that there is yet something before that."""

    epoch: str
    more: bool
    history: list[PrivateMessage | PrivateEdited | PrivateDeleted]


class TypingAck(Ack, kw_only=True):
    """The room that was told, if it was one."""

    room: str | None


class ReadAck(Ack, kw_only=True):
    """How far one has read."""

    room: str | None
    offset: int


class PatternAck(Ack, kw_only=True):
    """The pattern that one subscribes to, or no longer."""

    pattern: str


class WatchAck(Ack, kw_only=True):
    """The feed's latest values, and the shortest time in seconds between two of the same key."""

    feed: str
    interval: float
    values: dict[str, Any]


class FeedAck(Ack, kw_only=True):
    """The feed that one no longer watches."""

    feed: str


class Error(Event, tag="error"):
    """The answer to a command that could not be carried out, or not even be read (id null)."""

    id: RequestId | None
    code: str
    message: str
    retry_after: float | UnsetType = UNSET


def refusal(error: CommandError, request_id: RequestId | None = None) -> Error:
    """Returns the answer that tells of an error; its own id goes before the given one."""
    return Error(
        id=request_id if error.id is None else error.id,
        code=error.code,
        message=error.message,
        retry_after=UNSET if error.retry_after is None else error.retry_after,
    )
