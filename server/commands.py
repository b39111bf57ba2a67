"""What a client may ask for: every command of the protocol, as a typed value.

What lives here: commands, what their fields may hold, and the error that tells why one cannot be
carried out. This file does not know what they do.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, field

__all__ = [
    "MAX_INTEGER",
    "MAX_LIMIT",
    "MAX_NAME",
    "MAX_QUERY",
    "MAX_TEXT",
    "MAX_TOPIC",
    "AnyCommand",
    "Command",
    "CommandError",
    "CreateRoom",
    "Delete",
    "DescribeRoom",
    "Edit",
    "Hello",
    "History",
    "Inbox",
    "Join",
    "Key",
    "Leave",
    "Limit",
    "ListRooms",
    "MarkRead",
    "Members",
    "Moderate",
    "Notifications",
    "Offset",
    "Presence",
    "Private",
    "PrivateDelete",
    "PrivateEdit",
    "PrivateHistory",
    "Refresh",
    "RequestId",
    "Search",
    "Send",
    "SetAccess",
    "Since",
    "Subscribe",
    "Text",
    "Typing",
    "Unsubscribe",
    "Unwatch",
    "Watch",
]

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

RequestId: TypeAlias = (
    Annotated[str, Meta(min_length=1, max_length=64)]
    | Annotated[int, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
)
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
    """Find what was said in a room, or ``with`` a user, in messages with every word of ``text``.

    The search goes back from an offset, or from the end, and not on for ever: the answer tells
    where to go on.
    """

    text: Annotated[str, Meta(min_length=1, max_length=MAX_QUERY)]
    room: str | None = None
    partner: str | None = field(name="with", default=None)
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
    """Tell a room, or the user that one writes ``with``, that one is typing, or no longer."""

    active: bool
    room: str | None = None
    partner: str | None = field(name="with", default=None)


class MarkRead(Command, tag="mark_read"):
    """Tell how far one has read: in a room, or in the private messages, those ``with`` one or all.

    With one, that is up to one of these messages, at this offset. Or how far one has read the
    ``notifications``.
    """

    offset: Offset
    room: str | None = None
    partner: str | None = field(name="with", default=None)
    notifications: bool = False


class Members(Command, tag="members"):
    """List who is in a room, or was and has not left."""

    room: str
    after: Annotated[str, Meta(max_length=128)] = ""
    limit: Limit = 100


class Presence(Command, tag="presence"):
    """Ask whether somebody is here, or since when they are not, who has written one privately."""

    partner: str = field(name="with")


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
    | Presence
    | SetAccess
    | Moderate
    | Subscribe
    | Unsubscribe
    | Notifications
    | Watch
    | Unwatch
)
