"""What the server tells a client by itself: every event of the protocol, as a typed value.

What lives here: events, and what they are made of. This file does not know who gets them.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, Struct, UnsetType

__all__ = [
    "AnyEvent",
    "Appointed",
    "Correspondence",
    "Deleted",
    "Edited",
    "Event",
    "Expelled",
    "Feed",
    "Frame",
    "Frames",
    "Joined",
    "Left",
    "Limits",
    "LogEvent",
    "Membership",
    "Message",
    "Notification",
    "Person",
    "PrivateDeleted",
    "PrivateEdited",
    "PrivateEvent",
    "PrivateMessage",
    "Read",
    "Reset",
    "RoomAccess",
    "RoomCount",
    "RoomCreated",
    "RoomDescribed",
    "RoomEvent",
    "RoomInfo",
    "RoomJoined",
    "RoomRemoved",
    "TypingEvent",
    "Welcome",
]


class Event(Struct, tag_field="type", kw_only=True):
    """What the server tells a client."""


class RoomInfo(Struct, omit_defaults=True):
    """A room: how many are in it, what it is about, and to whom it is open."""

    room: str
    members: int
    topic: str = ""
    access: str = "public"


class Membership(Struct):
    """A room that the user is a member of: where its log ends, and how far the user has read.

    ``unread`` counts what others said since, and did not take back: 1000 for so many or more.
    """

    room: str
    epoch: str
    head: int
    read: int
    unread: int


class Correspondence(Struct):
    """Private messages with one user: how far they were read, and how many were not."""

    partner: str = msgspec.field(name="with")
    read: int
    unread: int


class Person(Struct, kw_only=True):
    """A member of a room. ``last_seen`` is null while somebody is here, or never was.

    ``role`` is what they are in this room: ``owner``, ``moderator``, or empty. ``read`` tells how
    far they have read.
    """

    user: str
    name: str
    online: bool
    last_seen: str | None = None
    role: str = ""
    read: int = 0


class Limits(Struct, kw_only=True):
    """What the server accepts; a client can tell its user before it sends."""

    max_message: int
    max_text: int
    max_name: int
    max_room: int


class Welcome(Event, tag="welcome"):
    """The first event on a connection.

    ``frames`` tells whether a client may see the frames of its own connection: it is told of them
    if it connects with ``?frames``.
    """

    server: str
    version: str
    limits: Limits
    frames: bool = False


class LogEvent(Event, kw_only=True, omit_defaults=True):
    """What stands in a log, and where. Offsets count from 1 in each log, without gaps."""

    offset: int = 0
    time: str = ""


class RoomEvent(LogEvent, kw_only=True):
    """What stands in the log of a room: who did it, by name and by id, and under which key."""

    room: str = ""
    sender: str = msgspec.field(name="from")
    user: str
    key: str | None = None


class Message(RoomEvent, tag="message", kw_only=True):
    """Somebody said something in a room.

    In a history the text is what it is by now: ``edited`` and ``deleted`` tell that it was another.
    """

    text: str
    edited: bool = False
    deleted: bool = False


class Edited(RoomEvent, tag="edited", kw_only=True):
    """Somebody changed the text of a message that they had sent before, at offset ``target``."""

    target: int
    text: str


class Deleted(RoomEvent, tag="deleted", kw_only=True):
    """Somebody took back the message at offset ``target``."""

    target: int


class PrivateEvent(LogEvent, kw_only=True):
    """What stands in the private logs of two: who did it, by name and by id, and to whom."""

    sender: str = msgspec.field(name="from")
    user: str
    to: str
    key: str | None = None


class PrivateMessage(PrivateEvent, tag="private", kw_only=True):
    """Somebody said something to one user; the sender gets it too, each in a log of their own.

    ``to_user`` is the receiver's id, ``copy_id`` the same in both logs. In a history the text is
    what it is by now: ``edited`` and ``deleted`` tell that it was another.
    """

    text: str
    to_user: str = ""
    copy_id: str = ""
    edited: bool = False
    deleted: bool = False


class PrivateEdited(PrivateEvent, tag="private_edited", kw_only=True):
    """Somebody changed the text of a private message, at offset ``target`` of this log."""

    target: int
    text: str


class PrivateDeleted(PrivateEvent, tag="private_deleted", kw_only=True):
    """Somebody took back the private message at offset ``target`` of this log."""

    target: int


class Notification(LogEvent, tag="notification", kw_only=True):
    """Something happened that the user subscribes to. Offsets have gaps: other topics' events."""

    topic: str
    title: str
    text: str = ""
    data: Any = None


class Reset(Event, tag="reset"):
    """A log began anew: what a client has of it is not what is in it, nor goes on from there."""

    log: str
    epoch: str
    offset: int


class Joined(Event, tag="joined"):
    """Somebody entered a room that one is in, or came back to it."""

    room: str
    user: str
    count: int


class Left(Event, tag="left", kw_only=True, omit_defaults=True):
    """Somebody left a room that one is in, or went offline and stays a member (``away``)."""

    room: str
    user: str
    count: int
    away: bool = False


class TypingEvent(Event, tag="typing"):
    """Somebody types, or no longer does: in a room that one is in, or without one to oneself."""

    room: str | None
    user: str
    active: bool


class Read(Event, tag="read"):
    """How far somebody has read: in a room, or oneself elsewhere, in the private messages.

    Those are all, or those ``with`` one user.
    """

    room: str | None
    user: str
    offset: int
    partner: str | UnsetType = msgspec.field(name="with", default=UNSET)


class RoomCreated(Event, tag="room_created", omit_defaults=True):
    """There is a new room."""

    room: str
    members: int
    topic: str = ""


class RoomDescribed(Event, tag="room_described"):
    """What a room is about has changed."""

    room: str
    topic: str


class RoomRemoved(Event, tag="room_removed"):
    """A room is gone: its last member left."""

    room: str
    members: int


class RoomCount(Event, tag="room_count"):
    """How many are in a room has changed."""

    room: str
    members: int


class RoomAccess(Event, tag="room_access"):
    """To whom a room that one is in is open has changed."""

    room: str
    access: str


class RoomJoined(Event, tag="room_joined"):
    """One became a member of a room on another connection, and may `join` it on this one, too."""

    room: str


class Appointed(Event, tag="appointed"):
    """One looks after a room from now on, or no longer."""

    room: str
    moderator: bool


class Expelled(Event, tag="expelled"):
    """One was put out of a room, and may come back unless ``banned``; or left it elsewhere."""

    room: str
    by: str
    reason: str
    banned: bool


class Feed(Event, tag="feed"):
    """The latest value of something in a live feed. Older values may have been left out."""

    feed: str
    key: str
    value: Any


class Frame(Struct, kw_only=True, omit_defaults=True):
    """A frame (RFC 6455 §5.2) that has travelled on a client's connection.

    Attributes:
        time: when the server wrote or read it.
        sent: whether the server sent it.
        head: its header in hexadecimal, with the masking key.
        opcode: its name, or what is wrong with the header.
        fin: whether it ends its message.
        compressed: whether it belongs to a message that permessage-deflate has compressed.
        key: the masking key in hexadecimal; empty where there is none.
        length: of the payload on the wire, in bytes.
        text: the message that it completes, or else the payload; the beginning of it.
        code: of a Close.
    """

    time: str
    sent: bool
    head: str
    opcode: str
    fin: bool
    length: int
    compressed: bool = False
    key: str = ""
    text: str = ""
    code: int | None = None


class Frames(Event, tag="frames", kw_only=True, omit_defaults=True):
    """What has travelled on one's own connection, but for these events themselves.

    ``missing`` tells how many frames were left out before the first one.
    """

    frames: list[Frame]
    missing: int = 0


AnyEvent: TypeAlias = (
    Welcome
    | Message
    | Edited
    | Deleted
    | PrivateMessage
    | PrivateEdited
    | PrivateDeleted
    | Notification
    | Reset
    | Joined
    | Left
    | TypingEvent
    | Read
    | RoomCreated
    | RoomDescribed
    | RoomRemoved
    | RoomCount
    | RoomAccess
    | RoomJoined
    | Appointed
    | Expelled
    | Feed
    | Frames
)
