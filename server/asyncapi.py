"""The chat's protocol as an AsyncAPI 3 document, for programs that read such.

What lives here: how the types of `protocol` become channels, operations and messages. There is no
second description of the protocol: what a command or an event is, its type says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

import rfc6455

from .auth import COOKIE
from .protocol import Ack, Command, Error, Event

__all__ = ["document"]

CONTENT_TYPE: Final = "application/json"
ABOUT: Final = (
    "Rooms, private messages and notifications over a WebSocket: one JSON object in each text"
    " message. The server speaks first, with `welcome`; a client's first command is `hello`. Every"
    " command is answered once, in order, with its `id`."
)
SCHEMAS: Final = "#/components/schemas/{name}"


def document(
    answers: Mapping[type[Command], type[Ack]], *, host: str, path: str, secure: bool
) -> dict[str, Any]:
    """Returns the document.

    Args:
        answers: every command, with the type of its answer.
        host: the server's name and port.
        path: of the WebSocket.
        secure: whether it is reached over TLS.
    """
    events = list(_concrete_events())
    types: list[type[Event | Command]] = [*answers, *dict.fromkeys(answers.values()), Error]
    types += events
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Chat",
            "version": rfc6455.__version__,
            "description": ABOUT,
            "license": {"name": "MIT"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "chat": {
                "host": host,
                "protocol": "wss" if secure else "ws",
                "description": "Takes tokens where it is told to; otherwise guests may enter.",
                "security": [
                    {"$ref": f"#/components/securitySchemes/{scheme}"} for scheme in _SECURITY
                ],
            }
        },
        "channels": {
            "chat": {
                "address": path,
                "description": "Commands one way, answers and events the other.",
                "messages": {
                    type.__name__: {"$ref": f"#/components/messages/{type.__name__}"}
                    for type in types
                },
                "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
            }
        },
        "operations": dict([*map(_command, answers.items()), *map(_event, events)]),
        "components": {
            "messages": {type.__name__: _message(type) for type in types},
            "schemas": _schemas(types),
            "securitySchemes": _SECURITY,
        },
    }


_SECURITY: Final = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Or as the second of two subprotocols, after `bearer`; or in `hello`.",
    },
    "query": {"type": "httpApiKey", "in": "query", "name": "token"},
    "cookie": {"type": "httpApiKey", "in": "cookie", "name": COOKIE},
}


def _concrete_events(base: type[Event] = Event) -> Iterator[type[Event]]:
    """Every event that is no answer: those of the types under `Event` that have a name."""
    for type in base.__subclasses__():
        if not issubclass(type, Ack | Error):
            if _tag(type):
                yield type
            yield from _concrete_events(type)


def _tag(type: type[Event | Command]) -> str:
    """The value of a type's ``type``; empty for one that only others are made of."""
    tag = type.__struct_config__.tag
    # Without a name of its own msgspec takes the class's.
    return "" if tag is None or tag == type.__name__ else str(tag)


def _command(pair: tuple[type[Command], type[Ack]]) -> tuple[str, dict[str, Any]]:
    command, answer = pair
    return _tag(command), {
        # AsyncAPI takes the side of the application that it describes: the server receives.
        "action": "receive",
        "channel": {"$ref": "#/channels/chat"},
        "summary": _summary(command),
        "messages": [_in_channel(command)],
        "reply": {
            "channel": {"$ref": "#/channels/chat"},
            "messages": [_in_channel(answer), _in_channel(Error)],
        },
    }


def _event(event: type[Event]) -> tuple[str, dict[str, Any]]:
    return f"on_{_tag(event)}", {
        "action": "send",
        "channel": {"$ref": "#/channels/chat"},
        "summary": _summary(event),
        "messages": [_in_channel(event)],
    }


def _in_channel(type: type[Event | Command]) -> dict[str, str]:
    return {"$ref": f"#/channels/chat/messages/{type.__name__}"}


def _message(type: type[Event | Command]) -> dict[str, Any]:
    message = {
        "name": _tag(type),
        "title": type.__name__,
        "summary": _summary(type),
        "contentType": CONTENT_TYPE,
        "payload": {"$ref": SCHEMAS.format(name=type.__name__)},
    }
    if "id" in type.__struct_fields__:
        message["correlationId"] = {"location": "$message.payload#/id"}
    return message


def _schemas(types: list[type[Event | Command]]) -> dict[str, Any]:
    _, schemas = msgspec.json.schema_components(types, ref_template=SCHEMAS)
    return {name: _without_discriminators(schema) for name, schema in schemas.items()}


def _without_discriminators(schema: Any) -> Any:
    """Leaves out what OpenAPI means by the word; to AsyncAPI it is something else."""
    if isinstance(schema, list):
        return [_without_discriminators(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_discriminators(value)
        for key, value in schema.items()
        if not (key == "discriminator" and isinstance(value, dict) and "mapping" in value)
    }


def _summary(type: type[Event | Command]) -> str:
    return (type.__doc__ or "").partition("\n")[0]
