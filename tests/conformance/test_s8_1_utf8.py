"""RFC 6455 §8.1: text is UTF-8, and what is not fails at the first octet that shows it.

The sequences are those of Markus Kuhn's decoder stress test.
"""

from __future__ import annotations

import itertools

import pytest

from rfc6455.close import CloseCode
from rfc6455.connection import Role
from rfc6455.events import Ping
from rfc6455.frames import Opcode
from tests.helpers import (
    Failure,
    assert_fails,
    both_roles,
    deliver,
    header,
    peer_frame,
    run,
)

VALID = {
    "greek": "κόσμε",
    "first of each length": "\x00\x80\u0800\U00010000",
    "last of each length": "\x7f\u07ff\uffff\U0010ffff",
    "around the surrogates": "\ud7ff\ue000",
    "replacement character": "\ufffd",
    "noncharacters": "\ufdd0\ufdef\ufffe\uffff\U0001fffe\U0010fffe",
}

# What comes before, and the octet at which no continuation can save the text.
INVALID = {
    "continuation 80": ("", "80"),
    "continuation bf": ("", "bf"),
    "continuations": ("61", "80bf80bf"),
    "after greek": ("ceba", "80"),
    "lonely start of two": ("c3", "20"),
    "lonely start of three": ("e2", "20"),
    "lonely start of three, one more": ("e282", "20"),
    "lonely start of four": ("f0", "20"),
    "lonely start of four, two more": ("f09f98", "20"),
    "start of five": ("", "f8"),
    "start of six": ("", "fc"),
    "impossible fe": ("", "fe"),
    "impossible ff": ("", "ff"),
    "start after start": ("c3", "c3"),
    "overlong slash, two": ("", "c0af"),
    "overlong slash, three": ("e0", "80af"),
    "overlong slash, four": ("f0", "8080af"),
    "overlong boundary, two": ("", "c1bf"),
    "overlong boundary, three": ("e0", "9fbf"),
    "overlong boundary, four": ("f0", "8fbfbf"),
    "overlong nul": ("", "c080"),
    "surrogate d800": ("ed", "a080"),
    "surrogate dfff": ("ed", "bfbf"),
    "surrogate pair": ("ed", "a081edb080"),
    "above 10ffff": ("f4", "908080"),
    "start f5": ("", "f5"),
}
EACH_VALID = pytest.mark.parametrize("text", VALID.values(), ids=VALID)
EACH_INVALID = pytest.mark.parametrize(
    ("before", "bad"),
    [(bytes.fromhex(before), bytes.fromhex(bad)) for before, bad in INVALID.values()],
    ids=INVALID,
)


@pytest.mark.clause("W162", "W218")
@both_roles
@EACH_VALID
def test_s8_1_valid_text_arrives(role: Role, text: str) -> None:
    assert deliver(peer_frame(role, Opcode.TEXT, text.encode()), role).events == [text]


@pytest.mark.clause("W162", "W124")
@both_roles
@EACH_VALID
def test_s5_6_fragments_may_cut_a_code_point(role: Role, text: str) -> None:
    octets = text.encode()
    ping = peer_frame(role, Opcode.PING)
    for first, second in itertools.combinations_with_replacement(range(len(octets) + 1), 2):
        data = [
            peer_frame(role, Opcode.TEXT, octets[:first], fin=False),
            peer_frame(role, Opcode.CONTINUATION, octets[first:second], fin=False),
            ping,
            peer_frame(role, Opcode.CONTINUATION, octets[second:]),
        ]
        assert run([b"".join(data)], role).events == [Ping(), text]


@pytest.mark.clause("W162", "W218", "W240")
@both_roles
@EACH_INVALID
def test_s8_1_invalid_text_fails_1007(role: Role, before: bytes, bad: bytes) -> None:
    data = peer_frame(role, Opcode.TEXT, b"ok " + before + bad + b" more")
    outcome = deliver(data, role)
    assert outcome.events == [Failure(CloseCode.INVALID_PAYLOAD_DATA, "8.1")]
    assert_fails(data, CloseCode.INVALID_PAYLOAD_DATA, "8.1", role)


@pytest.mark.clause("W218")
@both_roles
@EACH_INVALID
def test_s8_1_fails_at_the_first_octet_that_shows_it(role: Role, before: bytes, bad: bytes) -> None:
    # The payload goes on after what was received: the fault does not wait for the end of the frame.
    data = header(role, 0x01, b"\x7d") + before + bad[:1]
    assert run([data], role).events == [Failure(CloseCode.INVALID_PAYLOAD_DATA, "8.1")]
    assert run([data[:-1], data[-1:]], role).events == run([data], role).events
    assert run([data[:-1]], role).events == []


@pytest.mark.clause("W162", "W218")
@both_roles
@EACH_INVALID
def test_s8_1_invalid_text_over_fragments_fails_1007(role: Role, before: bytes, bad: bytes) -> None:
    first = peer_frame(role, Opcode.TEXT, before, fin=False)
    assert run([first], role).events == []
    data = first + peer_frame(role, Opcode.CONTINUATION, bad[:1], fin=False)
    assert_fails(data, CloseCode.INVALID_PAYLOAD_DATA, "8.1", role)


@pytest.mark.clause("W162", "W218")
@both_roles
@pytest.mark.parametrize("octets", ["c3", "e2", "e282", "f0", "f09f", "f09f98", "61ed9f"])
def test_s8_1_text_that_ends_inside_a_code_point_fails_1007(role: Role, octets: str) -> None:
    payload = bytes.fromhex(octets)
    whole = peer_frame(role, Opcode.TEXT, payload)
    assert_fails(whole, CloseCode.INVALID_PAYLOAD_DATA, "8.1", role)
    parts = [
        peer_frame(role, Opcode.TEXT, payload, fin=False),
        peer_frame(role, Opcode.CONTINUATION, b""),
    ]
    assert_fails(b"".join(parts), CloseCode.INVALID_PAYLOAD_DATA, "8.1", role)


@pytest.mark.clause("W218")
@both_roles
def test_s8_1_close_inside_a_cut_code_point_is_no_fault(role: Role) -> None:
    for payload in (b"\xc3", b"\xc3\xa9"):
        first = peer_frame(role, Opcode.TEXT, payload, fin=False)
        close = peer_frame(role, Opcode.CLOSE, b"\x03\xe8")
        outcome = deliver(first + close, role)
        assert [frame.payload for frame in outcome.sent] == [b"\x03\xe8"]
