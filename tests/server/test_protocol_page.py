"""The examples on the page about the chat's protocol are what the chat speaks."""

from __future__ import annotations

import re
from typing import get_args

import msgspec
import pytest

from server import protocol
from tests.helpers import ROOT

PAGE = (ROOT / "docs" / "chat-protocol.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
EVENTS = protocol.AnyEvent
ANSWERS = protocol.Ack.__subclasses__() + protocol.RoomAck.__subclasses__() + [protocol.Error]


def examples(section: str) -> list[str]:
    blocks = re.findall(r"^```json\n(.*?)^```$", SECTIONS[section], re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def speaks(example: str, type_: object) -> bool:
    """Whether an example is a value of a type, whole: nothing missing and nothing more."""
    try:
        value = msgspec.json.decode(example, type=type_)
    except msgspec.ValidationError:
        return False
    return bool(msgspec.json.decode(example) == msgspec.to_builtins(value))


def test_each_command_has_an_example() -> None:
    commands = [protocol.decode(example) for example in examples("Commands")]
    assert [type(command) for command in commands] == list(get_args(protocol.AnyCommand))


@pytest.mark.parametrize("example", examples("Events"))
def test_event_is_one(example: str) -> None:
    assert speaks(example, EVENTS)


def test_each_event_has_an_example_or_opens_the_conversation() -> None:
    shown = [*examples("A conversation")[:1], *examples("Events")]
    types = {type(msgspec.json.decode(example, type=EVENTS)) for example in shown}
    assert types == set(get_args(EVENTS))


@pytest.mark.parametrize("example", examples("Errors"))
def test_error_is_one(example: str) -> None:
    assert speaks(example, protocol.Error)


@pytest.mark.parametrize("example", examples("A conversation"))
def test_line_of_the_conversation_is_spoken(example: str) -> None:
    assert any(speaks(example, type_) for type_ in (protocol.AnyCommand, EVENTS, *ANSWERS))


def test_every_error_code_is_explained() -> None:
    used = {
        code
        for path in (ROOT / "server").glob("*.py")
        for code in re.findall(r'CommandError\(\s*"(\w+)"', path.read_text(encoding="utf-8"))
    }
    rows = re.findall(r"^\| (`.+?) \|", SECTIONS["Errors"], re.MULTILINE)
    explained = {code for row in rows for code in re.findall(r"`(\w+)`", row)}
    assert "name_taken" in used
    assert used <= explained
