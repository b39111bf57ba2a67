"""What reaches a terminal, whoever wrote it."""

from __future__ import annotations

import io
import unicodedata

import pytest

from rfc6455.cli.terminal import escape, preview, style_for


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Grüße, 日本 🎉", "Grüße, 日本 🎉"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b2J", r"\x9b2J"),
        ("\r\n\t\0\x7f", r"\r\n\t\x00\x7f"),
        ("\u202eevil\u2066", r"\u202eevil\u2066"),
        ("\u200b\ufeff\u2028", r"\u200b\ufeff\u2028"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        (r"\x1b", r"\\x1b"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_no_control_character_passes() -> None:
    everything = "".join(map(chr, range(0x3000)))
    assert {unicodedata.category(c) for c in escape(everything)}.isdisjoint({"Cc", "Cf", "Cs"})
    kept = escape(everything, newlines=True)
    assert {c for c in kept if unicodedata.category(c) == "Cc"} == {"\n", "\t"}


def test_previews_are_short() -> None:
    assert preview("x" * 61) == '"' + "x" * 60 + '"…'
    assert preview("x" * 60) == '"' + "x" * 60 + '"'
    assert preview(b"\x00\xff") == "00 ff"
    assert preview(bytes(21)) == " ".join(["00"] * 20) + " …"
    assert preview(b"") == "empty"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_follow_the_terminal_and_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert style_for(Terminal()).enabled
    assert not style_for(io.StringIO()).enabled
    monkeypatch.setenv("NO_COLOR", "1")
    assert not style_for(Terminal()).enabled
    assert style_for(Terminal(), "always").enabled
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not style_for(Terminal()).enabled
