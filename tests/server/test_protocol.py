"""The schema of the chat: what is read, what is refused and why."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import names, protocol
from server.protocol import CommandError


def refusal(message: str | bytes) -> tuple[str, object]:
    with pytest.raises(CommandError) as caught:
        protocol.decode(message)
    return caught.value.code, caught.value.id


def test_a_command_is_read_into_its_type() -> None:
    command = protocol.decode('{"type": "send", "id": 7, "room": "lobby", "text": "hi"}')
    assert command == protocol.Send(id=7, room="lobby", text="hi")


def test_an_id_is_not_needed() -> None:
    assert protocol.decode('{"type": "list_rooms"}') == protocol.ListRooms()


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        '{"a":' * 12_000,
        '{"type": "hello", "name": "\\ud800"}',
        "nonsense",
        "[1",
        "[" * 60_000,
        '{"type": NaN}',
        '{"type": "hello", "name": 1',
        '{"type": "hello", "name": "a", "extra": ' + "[" * 60_000,
        '{"type": "dance", "id": 1,}',
    ],
    ids=lambda message: message[:45],
)
def test_what_is_not_json_is_refused_without_an_id(message: str) -> None:
    assert refusal(message) == ("bad_json", None)


@pytest.mark.parametrize("message", ["null", "[]", '"hello"', "1", "[[[]]]", "1e999"])
def test_json_that_is_no_object_is_refused(message: str) -> None:
    assert refusal(message) == ("bad_fields", None)


def test_binary_is_refused() -> None:
    assert refusal(b'{"type": "list_rooms"}') == ("binary", None)


@pytest.mark.parametrize("type_", ['"dance"', "1", "null", '["hello"]', '{"a": 1}', '"Hello"'])
def test_an_unknown_type_is_refused_with_its_id(type_: str) -> None:
    assert refusal(f'{{"type": {type_}, "id": "a"}}') == ("bad_type", "a")


@pytest.mark.parametrize(
    "fields",
    [
        {"name": 1},
        {"token": 1},
        {"name": None},
        {"name": "a", "extra": 1},
        {"name": ["a"]},
        {"name": 10**400},
    ],
    ids=repr,
)
def test_wrong_fields_are_refused_with_the_id(fields: dict[str, object]) -> None:
    assert refusal(json.dumps({"type": "hello", "id": 5, **fields})) == ("bad_fields", 5)


def test_an_explanation_is_short_however_long_the_field() -> None:
    with pytest.raises(CommandError) as caught:
        protocol.decode(json.dumps({"type": "hello", "name": "a", "x" * 60_000: 1}))
    assert len(caught.value.message) <= protocol.MAX_FAULT


@pytest.mark.parametrize(
    "id_", ['""', '"' + "x" * 65 + '"', "1.5", "[1]", "{}", "true", "9" * 4000]
)
def test_a_bad_id_is_not_sent_back(id_: str) -> None:
    assert refusal(f'{{"type": "list_rooms", "id": {id_}}}')[1] is None


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_nothing_but_a_command_error_is_raised(message: str | bytes) -> None:
    # Random text is never a command: those have a type.
    assert refusal(message)[0] in {"binary", "bad_json", "bad_type", "bad_fields"}


@pytest.mark.parametrize("room", ["a", "lobby", "A-Z_0.9", "x" * 64])
def test_room_names_that_are_allowed(room: str) -> None:
    assert names.check_room(room) == room


@pytest.mark.parametrize(
    "room",
    ["", "x" * 65, "a b", "*", "a:*", "{a}b", "../", "ä", "a\n", "\u202ea", "a,b", "$p", "a\0"],
)
def test_room_names_that_are_not(room: str) -> None:
    with pytest.raises(CommandError) as caught:
        names.check_room(room)
    assert caught.value.code == "invalid_room"


@pytest.mark.parametrize("name", ["a", "Ann Lee", "Zoë", "王小明", "👩‍🚀"[0], "x" * 64])
def test_names_that_are_allowed(name: str) -> None:
    assert names.check_name(name) == name


@pytest.mark.parametrize(
    ("name", "composed"),
    [("Zoe\u0308", "Zoë"), ("\u03b1\u0313\u0300\u0345" * 64, "\u1f82" * 64)],
    ids=["short", "longest"],
)
def test_a_name_is_composed(name: str, composed: str) -> None:
    assert names.check_name(name) == composed


@pytest.mark.parametrize(
    ("name", "other"),
    [("Ann", "aNN"), ("Straße", "STRASSE"), ("Ann", "Ａｎｎ"), ("Zoë", "ZOE\u0308"), ("ﬁn", "Fin")],
)
def test_names_that_count_as_the_same(name: str, other: str) -> None:
    assert names.name_key(name) == names.name_key(other)


def test_names_that_do_not() -> None:
    assert names.name_key("Zoe") != names.name_key("Zoë")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "invalid_name"),
        (" a", "invalid_name"),
        ("a ", "invalid_name"),
        ("a\tb", "invalid_name"),
        ("a\nb", "invalid_name"),
        ("a\u202eb", "invalid_name"),
        ("a\u2066b", "invalid_name"),
        ("a\u200bb", "invalid_name"),
        ("\x1b[2J", "invalid_name"),
        ("x" * 65, "too_long"),
        ("a" + "\u0315\u0300" * 30_000, "too_long"),
    ],
)
def test_names_that_are_not(name: str, code: str) -> None:
    with pytest.raises(CommandError) as caught:
        names.check_name(name)
    assert caught.value.code == code


def test_a_text_has_a_largest_length() -> None:
    assert names.check_text("x" * protocol.MAX_TEXT)
    with pytest.raises(CommandError) as caught:
        names.check_text("x" * (protocol.MAX_TEXT + 1))
    assert caught.value.code == "too_long"


def test_events_carry_their_type_and_the_sender_as_from() -> None:
    event = protocol.Message(room="r", offset=1, sender="Ann", user="u", text="hi", time="t")
    assert json.loads(protocol.encode(event)) == {
        "type": "message",
        "room": "r",
        "offset": 1,
        "from": "Ann",
        "user": "u",
        "text": "hi",
        "time": "t",
    }


def test_an_acknowledgement_carries_id_and_result() -> None:
    assert json.loads(protocol.encode(protocol.SendAck(id=3, room="r", epoch="e", offset=7))) == {
        "type": "ack",
        "id": 3,
        "room": "r",
        "epoch": "e",
        "offset": 7,
    }
