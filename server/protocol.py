"""The chat's protocol: commands, answers and events, and their JSON.

What lives here: how what travels is written and read, and what is wrong with what is no command.
The one schema of it has three parts, `commands`, `answers` and `events`; all their names can be had
from here. This file does not know who is connected.
"""

from __future__ import annotations

from typing import Final, TypeAlias, get_args

import msgspec
from msgspec import Raw, Struct

from rfc6455 import PreparedMessage

from .answers import *  # noqa: F403
from .commands import *  # noqa: F403
from .commands import AnyCommand, CommandError, RequestId
from .events import *  # noqa: F403
from .events import Event

Encoded: TypeAlias = str | PreparedMessage
"""An event as it is sent."""
MAX_FAULT: Final = 200
"""Characters of an explanation that may quote what a client sent."""

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
