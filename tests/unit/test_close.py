"""Close codes and the payload of a Close frame."""

from __future__ import annotations

import pytest

from rfc6455.close import Close, CloseCode, is_sendable

SENDABLE = [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999]
NOT_SENDABLE = [-1, 0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535, 65536]


@pytest.mark.parametrize("code", SENDABLE)
def test_code_may_travel(code: int) -> None:
    assert is_sendable(code)
    close = Close(code, "é")
    assert close.payload() == code.to_bytes(2, "big") + b"\xc3\xa9"
    assert Close.parse(close.payload()) == close


@pytest.mark.parametrize("code", NOT_SENDABLE)
def test_code_must_not_travel(code: int) -> None:
    assert not is_sendable(code)
    with pytest.raises(ValueError, match=f"code {code}"):
        Close(code, "reason").payload()


@pytest.mark.parametrize("code", [code for code in NOT_SENDABLE if 0 <= code < 65536])
def test_parse_refuses_a_code_that_must_not_travel(code: int) -> None:
    with pytest.raises(ValueError, match=f"code {code}"):
        Close.parse(code.to_bytes(2, "big"))


def test_no_code_is_an_empty_payload() -> None:
    assert Close(CloseCode.NO_STATUS_RECEIVED).payload() == b""
    assert Close.parse(b"") == Close(1005)


def test_one_byte_has_no_room_for_a_code() -> None:
    with pytest.raises(ValueError, match="one byte"):
        Close.parse(b"\x03")


def test_reason_is_at_most_123_bytes_of_utf8() -> None:
    assert len(Close(1000, "é" * 61 + "e").payload()) == 125
    with pytest.raises(ValueError, match="124 bytes"):
        Close(1000, "é" * 62).payload()


def test_reason_that_is_not_unicode() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        Close(1000, "\ud800").payload()
    with pytest.raises(UnicodeDecodeError):
        Close.parse(b"\x03\xe8\xff")


@pytest.mark.parametrize(
    ("close", "text"),
    [
        (Close(1000), "1000 normal closure"),
        (Close(1009, "too big"), "1009 message too big 'too big'"),
        (Close(4001, "\x1b[2J\n\u202e"), r"4001 '\x1b[2J\n\u202e'"),
        (Close(4001), "4001"),
    ],
)
def test_str_names_the_code_and_escapes_the_reason(close: Close, text: str) -> None:
    assert str(close) == text


@pytest.mark.parametrize(
    ("reason", "seconds"),
    [
        ("retry-after=3.2", 3.2),
        ("restart retry-after=0", 0.0),
        ("restart retry-after=999999.999", 999999.999),
        ("", None),
        ("retry-after=", None),
        ("retry-after=-1", None),
        ("retry-after=1e9", None),
        ("retry-after=1000000", None),
        ("retry-after=.5", None),
        ("retry-after=1 ", None),
        ("retry-after=1\n", None),
        ("retry-after=١", None),
        ("xretry-after=1", None),
        ("retry-after=1 later", None),
    ],
)
def test_a_reason_may_say_when_to_come_back(reason: str, seconds: float | None) -> None:
    assert Close(1012, reason).retry_after == seconds
