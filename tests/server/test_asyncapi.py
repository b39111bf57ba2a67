"""The AsyncAPI document: valid by AsyncAPI's own schema, and true of what the chat speaks."""

from __future__ import annotations

import json
from typing import Any, get_args

import aiohttp
import jsonschema
import msgspec
import pytest

from server import protocol
from server.asyncapi import document
from server.chat import Chat
from server.engines.embedded import EmbeddedEngine
from tests.helpers import ROOT, async_test

from .support import client, running

SPECS = ROOT / ".node" / "node_modules" / "@asyncapi" / "specs" / "schemas"


def generated(chat: Chat | None = None) -> dict[str, Any]:
    chat = chat or Chat(EmbeddedEngine(None))
    return document(chat.answer_types, host="chat.example:8765", path="/ws", secure=True)


def resolve(whole: dict[str, Any], reference: str) -> Any:
    assert reference.startswith("#/")
    found: Any = whole
    for step in reference[2:].split("/"):
        found = found[step]
    return found


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [ref for item in value.values() for ref in references(item)]
    return [ref for item in value for ref in references(item)] if isinstance(value, list) else []


@pytest.mark.asyncapi
def test_it_is_valid() -> None:
    schema = json.loads((SPECS / "3.0.0-without-$id.json").read_text())
    validator = jsonschema.Draft7Validator(schema)
    assert [error.message for error in validator.iter_errors(generated())] == []
    # The schema finds what is wrong.
    broken = generated() | {"operations": {"x": {"action": "dance"}}}
    assert not validator.is_valid(broken)


def test_every_reference_leads_somewhere() -> None:
    whole = generated()
    found = references(whole)
    assert len(found) > 50
    for reference in found:
        assert isinstance(resolve(whole, reference), dict)


def test_every_command_and_event_is_there() -> None:
    whole = generated()
    actions = {name: operation["action"] for name, operation in whole["operations"].items()}
    for command in get_args(protocol.AnyCommand):
        assert actions.pop(command.__struct_config__.tag) == "receive"
        assert (
            whole["components"]["messages"][command.__name__]["summary"]
            == (command.__doc__.partition("\n")[0])
        )
    assert {"on_welcome", "on_message", "on_private", "on_joined"} <= actions.keys()
    assert set(actions.values()) == {"send"}
    assert not [name for name in actions if name in ("on_ack", "on_error", "on_")]


def validate(whole: dict[str, Any], message: dict[str, Any], name: str) -> None:
    schema = {"$ref": f"#/components/schemas/{name}"} | {"components": whole["components"]}
    jsonschema.Draft202012Validator(schema).validate(message)


@async_test
async def test_it_is_served_and_true() -> None:
    async with running() as address, client(address) as ann:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://{address}/asyncapi.json") as response,
        ):
            whole = await response.json()
        assert whole["servers"]["chat"]["host"] == address
        assert whole["servers"]["chat"]["protocol"] == "ws"
        for command, fields in [
            ("hello", {"name": "Ann"}),
            ("join", {"room": "lobby"}),
            ("send", {"room": "lobby", "text": "hi"}),
            ("list_rooms", {}),
            ("leave", {"room": "nowhere"}),
        ]:
            operation = whole["operations"][command]
            sent = resolve(whole, resolve(whole, operation["messages"][0]["$ref"])["$ref"])
            validate(whole, {"type": command, "id": 1, **fields}, sent["title"])
            answer = await ann.ask(command, **fields)
            replies = [
                resolve(whole, resolve(whole, reply["$ref"])["$ref"])
                for reply in operation["reply"]["messages"]
            ]
            reply = next(r for r in replies if r["name"] == answer["type"])
            validate(whole, answer, reply["title"])
        for event in ann.events:
            operation = whole["operations"][f"on_{event['type']}"]
            told = resolve(whole, resolve(whole, operation["messages"][0]["$ref"])["$ref"])
            validate(whole, event, told["title"])
        with pytest.raises(jsonschema.ValidationError):
            validate(whole, {"type": "join", "id": 1}, "Join")


def test_the_documents_schema_is_that_of_the_decoder() -> None:
    whole = generated()
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"type": "join", "room": 5}, protocol.Join)
    with pytest.raises(jsonschema.ValidationError):
        validate(whole, {"type": "join", "room": 5}, "Join")
