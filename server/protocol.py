"""The chat's protocol: every command and event, as typed values, and their JSON.

What lives here: the one schema of what travels, and what is wrong with what does not fit it. This
file does not know who is connected.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Final, TypeAlias, get_args

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

MAX_TEXT: Final = 4000
"""Characters in a message."""
MAX_NAME: Final = 64
"""Characters in a user's name, and in a room's."""

MAX_INTEGER: Final = 2**53 - 1
"""The largest integer that JavaScript keeps exactly."""
MAX_FAULT: Final = 200
"""Characters of an explanation that may quote what a client sent."""

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


class Command(Struct, tag_field="type", forbid_unknown_fields=True, kw_only=True):
    """What a client asks for; `id` comes back in the answer."""

    id: RequestId | None = None


class Hello(Command, tag="hello"):
    """Enter, under a name or with a token that tells it. The first command."""

    name: str | UnsetType = UNSET
    token: str | UnsetType = UNSET


class Refresh(Command, tag="refresh"):
    """Stay, with a new token in the place of one that expires."""

    token: str


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
    Hello | Refresh | ListRooms | CreateRoom | Join | Leave | Send | Private | Typing | Members
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


# Answers: one to each command


class Ack(Event, tag="ack"):
    """The answer to a command that was carried out; its `id` is set when it is sent."""

    id: RequestId | None = None


class HelloAck(Ack, kw_only=True):
    """The user's name as the others see it, and all rooms; how long the token is good for."""

    name: str
    role: str
    rooms: list[RoomInfo]
    expires_in: float | UnsetType = UNSET


class RefreshAck(Ack, kw_only=True):
    """For how many seconds the token is good."""

    expires_in: float


class RoomsAck(Ack, kw_only=True):
    """All rooms."""

    rooms: list[RoomInfo]


class RoomAck(Ack, kw_only=True):
    """The room that was created, left or typed in."""

    room: str


class JoinAck(RoomAck, kw_only=True):
    """Who is in the room, the newcomer too, and what was said there, the oldest first."""

    members: list[str]
    history: list[Message]


class SendAck(RoomAck, kw_only=True):
    """Where the message stands in its room."""

    offset: int


class MembersAck(RoomAck, kw_only=True):
    """Who is in the room."""

    members: list[str]


class PrivateAck(Ack, kw_only=True):
    """The receiver's name as the others see it."""

    to: str


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
    # Normalizing takes time with the length, and makes of four characters one at the most.
    if len(name) <= 4 * MAX_NAME:
        name = unicodedata.normalize("NFC", name)
    if len(name) > MAX_NAME:
        raise CommandError("too_long", f"a name has at most {MAX_NAME} characters")
    if not name:
        raise CommandError("invalid_name", "a name has at least one character")
    # isprintable() is false for control, format and unassigned characters, and for all white space
    # but the space.
    if not name.isprintable() or BIDIRECTIONAL.intersection(name):
        raise CommandError("invalid_name", "a name has printable characters only")
    if name.startswith(" ") or name.endswith(" "):
        raise CommandError("invalid_name", "a name neither starts nor ends with a space")
    return name


def name_key(name: str) -> str:
    """Returns what all names have in common that count as the same as this one.

    Neither case makes a difference nor a compatibility variant, such as full-width letters.
    """
    if len(name) > 4 * MAX_NAME:
        return name
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def check_text(text: str) -> str:
    """Returns the text of a message.

    Raises:
        CommandError: ``too_long``.
    """
    if len(text) > MAX_TEXT:
        raise CommandError("too_long", f"a message has at most {MAX_TEXT} characters")
    return text
