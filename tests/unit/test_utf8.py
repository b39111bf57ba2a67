"""UTF-8 in pieces: valid texts pass however they are cut, others fail at the first bad octet."""

from __future__ import annotations

import pytest

from rfc6455.utf8 import Utf8Validator

VALID = [
    "",
    "Hello",
    "\x00\x7f",
    "\x80\u07ff",
    "\u0800\ud7ff\ue000\ufffd\ufffe\uffff",
    "\U00010000\U0010ffff",
    "κόσμε",
    "Hello-µ@ßöäüàá-UTF-8!!",
]

# (octets before, the first octet that no continuation can make valid)
INVALID = [
    ("", "80"),
    ("", "bf"),
    ("", "c0"),
    ("", "c1"),
    ("", "f5"),
    ("", "f8"),
    ("", "fc"),
    ("", "fe"),
    ("", "ff"),
    ("c3", "28"),
    ("c3", "c3"),
    ("e0", "80"),
    ("e0", "9f"),
    ("e2 82", "41"),
    ("ed", "a0"),
    ("ed", "bf"),
    ("f0", "80"),
    ("f0", "8f"),
    ("f0 90", "41"),
    ("f0 90 80", "c0"),
    ("f4", "90"),
    ("41 e2 82 ac", "80"),
]


@pytest.mark.parametrize("text", VALID)
def test_valid_text_passes_however_it_is_cut(text: str) -> None:
    octets = text.encode()
    for first in range(len(octets) + 1):
        for second in range(first, len(octets) + 1):
            validator = Utf8Validator()
            for piece in (octets[:first], octets[first:second], octets[second:]):
                validator.feed(piece)
            assert validator.complete


@pytest.mark.parametrize(("before", "bad"), INVALID)
def test_fails_at_the_first_impossible_octet(before: str, bad: str) -> None:
    prefix, octet = bytes.fromhex(before), bytes.fromhex(bad)
    for position in range(len(prefix) + 1):
        validator = Utf8Validator()
        validator.feed(prefix[:position])
        validator.feed(prefix[position:])
        with pytest.raises(UnicodeDecodeError):
            validator.feed(octet)
    bytewise = Utf8Validator()
    for i in range(len(prefix)):
        bytewise.feed(prefix[i : i + 1])
    with pytest.raises(UnicodeDecodeError):
        bytewise.feed(octet)


def test_nothing_is_complete() -> None:
    validator = Utf8Validator()
    assert validator.complete
    assert validator.incomplete == b""


@pytest.mark.parametrize(("before", "bad"), INVALID)
def test_fails_in_one_piece(before: str, bad: str) -> None:
    with pytest.raises(UnicodeDecodeError):
        Utf8Validator().feed(bytes.fromhex(before + bad))


@pytest.mark.parametrize("octets", ["c3", "e2", "e2 82", "ed 9f", "f0", "f0 90", "f4 8f bf"])
def test_a_cut_code_point_is_not_complete(octets: str) -> None:
    validator = Utf8Validator()
    validator.feed(bytes.fromhex("41" + octets))
    assert not validator.complete
    assert validator.incomplete == bytes.fromhex(octets)


def test_agrees_with_the_decoder_on_every_two_octets() -> None:
    for first in range(256):
        for second in range(256):
            octets = bytes((first, second))
            try:
                octets.decode()
            except UnicodeDecodeError:
                is_text = False
            else:
                is_text = True
            validator = Utf8Validator()
            try:
                validator.feed(octets)
            except UnicodeDecodeError:
                assert not is_text
            else:
                assert validator.complete is is_text
