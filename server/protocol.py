"""The chat's protocol: every command and event, as typed values, and their JSON.

What lives here: the one schema of what travels, and what is wrong with what does not fit it. This
file does not know who is connected.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

MAX_TEXT: Final = 4000
"""Characters in a message."""
MAX_NAME: Final = 64
"""Characters in a user's name, and in a room's."""

MAX_INTEGER: Final = 2**53 - 1
"""The largest integer that JavaScript keeps exactly."""

RequestId: TypeAlias = (
    Annotated[str, Meta(min_length=1, max_length=64)]
    | Annotated[int, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
)
Text: TypeAlias = Annotated[str, Meta(min_length=1)]

ROOM_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# Overrides and isolates of the writing direction would let a name pose as another.
BIDIRECTIONAL: Final = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)


class CommandError(Exception):
    """A command that cannot be carried out; the connection lives on.

    Attributes:
        code: for programs, such as ``name_taken``.
        message: for people.
        id: of the command, where it could be read.
    """

    def __init__(self, code: str, message: str, id: RequestId | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.id = id


# Commands: what a client sends


class Command(Struct, tag_field="type", forbid_unknown_fields=True, kw_only=True):
    """What a client asks for; `id` comes back in the answer."""

    id: RequestId | None = None


class Hello(Command, tag="hello"):
    """Enter under a name. The first command."""

    name: str


class ListRooms(Command, tag="list_rooms"):
    """List all rooms."""


class CreateRoom(Command, tag="create_room"):
    """Create a room; joining it is another command."""

    room: str


class Join(Command, tag="join"):
    """Enter a room."""

    room: str


class Leave(Command, tag="leave"):
    """Leave a room."""

    room: str


class Send(Command, tag="send"):
    """Say something in a room."""

    room: str
    text: Text


class Private(Command, tag="private"):
    """Say something to one user."""

    to: str
    text: Text


class Typing(Command, tag="typing"):
    """Tell a room that one is typing, or no longer."""

    room: str
    active: bool


class Members(Command, tag="members"):
    """List who is in a room."""

    room: str


AnyCommand: TypeAlias = (
    Hello | ListRooms | CreateRoom | Join | Leave | Send | Private | Typing | Members
)

# Events: what the server sends


class Event(Struct, tag_field="type", kw_only=True):
    """What the server tells a client."""


class RoomInfo(Struct):
    """A room, and how many are in it."""

    room: str
    members: int


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


class Message(Event, tag="message"):
    """Somebody said something in a room. Offsets count from 1 in each room."""

    room: str
    offset: int
    sender: str = msgspec.field(name="from")
    text: str
    time: str


class PrivateMessage(Event, tag="private"):
    """Somebody said something to one user; the sender gets it too."""

    sender: str = msgspec.field(name="from")
    to: str
    text: str
    time: str


class Joined(Event, tag="joined"):
    """Somebody entered a room that one is in."""

    room: str
    user: str
    count: int


class Left(Event, tag="left"):
    """Somebody left a room that one is in, or went offline."""

    room: str
    user: str
    count: int


class TypingEvent(Event, tag="typing"):
    """Somebody in a room that one is in types, or no longer does."""

    room: str
    user: str
    active: bool


class RoomCreated(Event, tag="room_created"):
    """There is a new room."""

    room: str
    members: int


class RoomRemoved(Event, tag="room_removed"):
    """A room is gone: its last member left."""

    room: str
    members: int


class RoomCount(Event, tag="room_count"):
    """How many are in a room has changed."""

    room: str
    members: int


class Error(Event, tag="error"):
    """The answer to a command that could not be carried out, or not even be read (id null)."""

    id: RequestId | None
    code: str
    message: str


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)


class _Envelope(Struct):
    """As much of a malformed command as is needed to answer it."""

    type: Any = None
    id: Any = None


_envelope_decoder = msgspec.json.Decoder(_Envelope)
_id_type = RequestId | None
_types: Final = frozenset(
    command.__struct_config__.tag
    for command in (Hello, ListRooms, CreateRoom, Join, Leave, Send, Private, Typing, Members)
)


def encode(event: Event) -> str:
    """Returns the JSON of an event."""
    return _encoder.encode(event).decode()


def encode_ack(request_id: RequestId | None, result: dict[str, Any]) -> str:
    """Returns the JSON of the answer to a command that was carried out."""
    return _encoder.encode({"type": "ack", "id": request_id, **result}).decode()


def decode(message: str | bytes) -> AnyCommand:
    """Reads a command.

    Raises:
        CommandError: ``binary``, ``bad_json``, ``bad_type`` or ``bad_fields``.
    """
    if not isinstance(message, str):
        raise CommandError("binary", "commands are text, not binary")
    try:
        return _decoder.decode(message)
    except msgspec.ValidationError as error:
        raise _explain(message, error) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise CommandError("bad_json", f"not JSON: {error}") from error


def _explain(message: str, error: msgspec.ValidationError) -> CommandError:
    try:
        envelope = _envelope_decoder.decode(message)
    except (msgspec.DecodeError, RecursionError):
        return CommandError("bad_fields", "a command is a JSON object")
    try:
        request_id = msgspec.convert(envelope.id, _id_type)
    except msgspec.ValidationError:
        return CommandError("bad_fields", "id is an integer, or 1 to 64 characters")
    if not isinstance(envelope.type, str) or envelope.type not in _types:
        return CommandError("bad_type", "there is no such type of command", request_id)
    return CommandError("bad_fields", str(error), request_id)


def check_room(room: str) -> str:
    """Returns the room's name.

    Raises:
        CommandError: ``invalid_room``.
    """
    if not ROOM_NAME.fullmatch(room):
        raise CommandError(
            "invalid_room", "a room's name has 1 to 64 of the characters A-Z a-z 0-9 _ . -"
        )
    return room


def check_name(name: str) -> str:
    """Returns the user's name in Unicode's composed form (NFC).

    Raises:
        CommandError: ``invalid_name``, or ``too_long``.
    """
    if len(name) > MAX_NAME:
        raise CommandError("too_long", f"a name has at most {MAX_NAME} characters")
    name = unicodedata.normalize("NFC", name)
    if not 1 <= len(name) <= MAX_NAME:
        raise CommandError("invalid_name", f"a name has 1 to {MAX_NAME} characters")
    # isprintable() is false for control, format and unassigned characters, and for all white space
    # but the space.
    if not name.isprintable() or BIDIRECTIONAL.intersection(name):
        raise CommandError("invalid_name", "a name has printable characters only")
    if name.startswith(" ") or name.endswith(" "):
        raise CommandError("invalid_name", "a name neither starts nor ends with a space")
    return name


def check_text(text: str) -> str:
    """Returns the text of a message.

    Raises:
        CommandError: ``too_long``.
    """
    if len(text) > MAX_TEXT:
        raise CommandError("too_long", f"a message has at most {MAX_TEXT} characters")
    return text
