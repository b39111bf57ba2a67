"""The chat's protocol: every command and event, as typed values, and their JSON.

What lives here: the one schema of what travels, and what is wrong with what does not fit it. This
file does not know who is connected.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias, get_args

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from rfc6455 import PreparedMessage

MAX_TEXT: Final = 4000
"""Characters in a message."""
MAX_NAME: Final = 64
"""Characters in a user's name, and in a room's."""
MAX_TOPIC: Final = 250
"""Characters in what a room is about."""
MAX_QUERY: Final = 100
"""Characters of what is looked for."""
MAX_LIMIT: Final = 200
"""Members, or entries of a log, in an answer."""

MAX_INTEGER: Final = 2**53 - 1
"""The largest integer that JavaScript keeps exactly."""
MAX_FAULT: Final = 200
"""Characters of an explanation that may quote what a client sent."""

RequestId: TypeAlias = (
    Annotated[str, Meta(min_length=1, max_length=64)]
    | Annotated[int, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
)
Encoded: TypeAlias = str | PreparedMessage
"""An event as it is sent."""
Text: TypeAlias = Annotated[str, Meta(min_length=1)]
Key: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Offset: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Limit: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_LIMIT)]


class CommandError(Exception):
    """A command that cannot be carried out; the connection lives on.

    Attributes:
        code: for programs, such as ``name_taken``.
        message: for people.
        id: of the command, where it could be read.
        retry_after: seconds after which it may be tried again, where that helps.
    """

    def __init__(
        self,
        code: str,
        message: str,
        id: RequestId | None = None,
        *,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.id = id
        self.retry_after = retry_after


# Commands: what a client sends


class Command(
    Struct, tag_field="type", forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """What a client asks for; `id` comes back in the answer."""

    id: RequestId | None = None


class Since(Struct, forbid_unknown_fields=True):
    """What a client has of a log: everything up to an offset."""

    epoch: Annotated[str, Meta(max_length=64)]
    offset: Offset


class Hello(Command, tag="hello"):
    """Enter, under a name or with a token that tells it. The first command.

    A guest who was here before shows the ``secret`` of then, and stays the same user. The events of
    a client with ``batch`` may come several in a message, as a JSON array. ``inbox`` and
    ``notifications`` tell what it has of these.
    """

    name: str | UnsetType = UNSET
    token: str | UnsetType = UNSET
    secret: Annotated[str, Meta(max_length=128)] | None = None
    batch: bool = False
    inbox: Since | None = None
    notifications: Since | None = None


class Refresh(Command, tag="refresh"):
    """Stay, with a new token in the place of one that expires."""

    token: str


class ListRooms(Command, tag="list_rooms"):
    """List all rooms."""


class CreateRoom(Command, tag="create_room"):
    """Create a room; joining it is another command."""

    room: str
    topic: str = ""


class DescribeRoom(Command, tag="describe_room"):
    """Tell what a room is about."""

    room: str
    topic: str


class Join(Command, tag="join"):
    """Become a member of a room, and hear what is said there, from a position on."""

    room: str
    since: Since | None = None


class Leave(Command, tag="leave"):
    """Leave a room for good."""

    room: str


class Send(Command, tag="send"):
    """Say something in a room. Sent again with the same ``key``, it is said once."""

    room: str
    text: Text
    key: Key | None = None


class Edit(Command, tag="edit"):
    """Change one's own message."""

    room: str
    offset: Offset
    text: Text
    key: Key | None = None


class Delete(Command, tag="delete"):
    """Take one's own message back."""

    room: str
    offset: Offset
    key: Key | None = None


class History(Command, tag="history"):
    """Read what was said in a room before an offset, or last."""

    room: str
    before: Offset | None = None
    limit: Limit = 50


class Search(Command, tag="search"):
    """Find what was said in a room, in messages that have every word of ``text`` in them.

    The search goes back from an offset, or from the end, and not on for ever: the answer tells
    where to go on.
    """

    room: str
    text: Annotated[str, Meta(min_length=1, max_length=MAX_QUERY)]
    before: Offset | None = None
    limit: Limit = 20


class Private(Command, tag="private"):
    """Say something to one user, who need not be connected."""

    to: str
    text: Text
    key: Key | None = None


class PrivateEdit(Command, tag="private_edit"):
    """Change one's own private message, at this offset of one's own log; the receiver's, too."""

    offset: Offset
    text: Text
    key: Key | None = None


class PrivateDelete(Command, tag="private_delete"):
    """Take one's own private message back, from the receiver, too."""

    offset: Offset
    key: Key | None = None


class Inbox(Command, tag="inbox"):
    """Read one's private messages, those since a position, and hear the following ones."""

    since: Since


class PrivateHistory(Command, tag="private_history"):
    """Read one's private messages before an offset, or the latest."""

    before: Offset | None = None
    limit: Limit = 50


class Typing(Command, tag="typing"):
    """Tell a room that one is typing, or no longer."""

    room: str
    active: bool


class MarkRead(Command, tag="mark_read"):
    """Tell how far one has read: in a room, or without one in the private messages."""

    offset: Offset
    room: str | None = None


class Members(Command, tag="members"):
    """List who is in a room, or was and has not left."""

    room: str
    after: Annotated[str, Meta(max_length=128)] = ""
    limit: Limit = 100


class SetAccess(Command, tag="set_access"):
    """Open a room to everybody, or to those who were invited; or let its moderators alone speak."""

    room: str
    access: Literal["public", "members", "read_only"]


class Moderate(Command, tag="moderate"):
    """Do something about somebody in a room: for those who look after it.

    ``kick`` and ``ban`` put them out at once; who is banned may not come back. ``invite`` and
    ``uninvite`` are about rooms that are for members. ``promote`` makes a moderator, ``demote``
    unmakes one.
    """

    room: str
    user: str
    action: Literal["kick", "ban", "unban", "invite", "uninvite", "promote", "demote"]
    reason: str = ""


class Subscribe(Command, tag="subscribe"):
    """Hear the notifications of some topics, now and whenever connected."""

    pattern: str


class Unsubscribe(Command, tag="unsubscribe"):
    """Hear them no longer."""

    pattern: str


class Notifications(Command, tag="notifications"):
    """Read the notifications that one subscribes to, since a position, and hear following ones."""

    since: Since


class Watch(Command, tag="watch"):
    """Hear a live feed."""

    feed: str


class Unwatch(Command, tag="unwatch"):
    """Hear it no longer."""

    feed: str


AnyCommand: TypeAlias = (
    Hello
    | Refresh
    | ListRooms
    | CreateRoom
    | DescribeRoom
    | Join
    | Leave
    | Send
    | Edit
    | Delete
    | History
    | Search
    | Private
    | PrivateEdit
    | PrivateDelete
    | Inbox
    | PrivateHistory
    | Typing
    | MarkRead
    | Members
    | SetAccess
    | Moderate
    | Subscribe
    | Unsubscribe
    | Notifications
    | Watch
    | Unwatch
)

# Events: what the server sends


class Event(Struct, tag_field="type", kw_only=True):
    """What the server tells a client."""


class RoomInfo(Struct, omit_defaults=True):
    """A room: how many are in it, what it is about, and to whom it is open."""

    room: str
    members: int
    topic: str = ""
    access: str = "public"


class Membership(Struct):
    """A room that the user is a member of: where its log ends, and how far the user has read."""

    room: str
    epoch: str
    head: int
    read: int


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
    """The first event on a connection."""

    server: str
    version: str
    limits: Limits


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
    """Somebody in a room that one is in types, or no longer does."""

    room: str
    user: str
    active: bool


class Read(Event, tag="read"):
    """How far somebody has read: in a room, or oneself elsewhere, in the private messages."""

    room: str | None
    user: str
    offset: int


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


class Appointed(Event, tag="appointed"):
    """One looks after a room from now on, or no longer."""

    room: str
    moderator: bool


class Expelled(Event, tag="expelled"):
    """One was put out of a room, and may come back unless ``banned``."""

    room: str
    by: str
    reason: str
    banned: bool


class Feed(Event, tag="feed"):
    """The latest value of something in a live feed. Older values may have been left out."""

    feed: str
    key: str
    value: Any


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
    | Appointed
    | Expelled
    | Feed
)

# Answers: one to each command


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
    many seconds a token is good.
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
    notifications: Log


class RefreshAck(Ack, kw_only=True):
    """For how many seconds the token is good."""

    expires_in: float


class RoomsAck(Ack, kw_only=True):
    """All rooms."""

    rooms: list[RoomInfo]


class RoomAck(Ack, kw_only=True):
    """The room that was created, described, left or typed in."""

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


class SearchAck(RoomAck, kw_only=True):
    """What was found, the latest first; ``before`` is where to go on, or null at the beginning."""

    found: list[Message]
    before: int | None


class MembersAck(RoomAck, kw_only=True):
    """Members by their ids; ``after`` for the next page, or null; how many are here, and in all."""

    members: list[Person]
    after: str | None
    online: int
    count: int


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


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)


class _Envelope(Struct):
    """As much as is needed to answer what is no command: of any JSON object, unread."""

    type: Raw = Raw(b"null")
    id: Raw = Raw(b"null")


_envelope_decoder = msgspec.json.Decoder(_Envelope)
_type_decoder = msgspec.json.Decoder(str)
_id_decoder: msgspec.json.Decoder[RequestId | None] = msgspec.json.Decoder(RequestId | None)
_types: Final = frozenset(command.__struct_config__.tag for command in get_args(AnyCommand))


def encode(event: Event) -> str:
    """Returns the JSON of an event or an answer."""
    return _encoder.encode(event).decode()


def prepare(event: Event) -> PreparedMessage:
    """Returns the same for many receivers: made into a frame, and compressed, once for all."""
    return PreparedMessage(encode(event))


def decode(message: str | bytes) -> AnyCommand:
    """Reads a command.

    Raises:
        CommandError: ``binary``, ``bad_json``, ``bad_type`` or ``bad_fields``.
    """
    if not isinstance(message, str):
        raise CommandError("binary", "commands are text, not binary")
    try:
        return _decoder.decode(message)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _explain(message, str(error)) from error


def _explain(message: str, misfit: str) -> CommandError:
    """Says why a message is no command.

    The schema's decoder stops at the first misfit, and a syntax error or the id may stand behind
    it. So the message is read once more, without a schema.
    """
    try:
        envelope = _envelope_decoder.decode(message)
    except msgspec.ValidationError:
        return _explain_other(message)
    except (msgspec.DecodeError, RecursionError) as error:
        return CommandError("bad_json", f"not JSON: {error}")
    try:
        request_id = _id_decoder.decode(envelope.id)
    except msgspec.ValidationError:
        return CommandError("bad_fields", "id is an integer, or 1 to 64 characters")
    try:
        known = _type_decoder.decode(envelope.type) in _types
    except msgspec.ValidationError:
        known = False
    if not known:
        return CommandError("bad_type", "there is no such type of command", request_id)
    return CommandError("bad_fields", misfit[:MAX_FAULT], request_id)


def _explain_other(message: str) -> CommandError:
    try:
        msgspec.json.decode(message, type=Raw)
    except (msgspec.DecodeError, RecursionError) as error:
        return CommandError("bad_json", f"not JSON: {error}")
    return CommandError("bad_fields", "a command is a JSON object")
