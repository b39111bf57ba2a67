"""What may reach a terminal, and in which colours.

What lives here: escaping of what a peer sent, so that it cannot steer the terminal that shows it;
and styles, which are empty where colours are not wanted. This file does not know about frames or
connections.
"""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass
from typing import Final, TextIO

__all__ = ["Style", "escape", "preview", "style_for"]

PRINTABLE_ASCII: Final = re.compile(r"[ -\[\]-~]*")


def escape(text: str, *, newlines: bool = False) -> str:
    r"""Returns ``text`` with all that a terminal would obey, or show as something else, escaped.

    Control characters (C0, C1, DEL), marks that change the direction of writing and other invisible
    format characters, lone surrogates and unassigned characters become ``\\xNN`` or ``\\uNNNN``; a
    backslash is doubled, so that nothing can pretend to be an escape.

    Args:
        text: from anywhere.
        newlines: whether line feeds and tabs stay as they are.
    """
    if PRINTABLE_ASCII.fullmatch(text):
        return text
    return "".join(
        character if newlines and character in "\n\t" else _escape_one(character)
        for character in text
    )


def _escape_one(character: str) -> str:
    if character == "\\":
        return "\\\\"
    # Cc control, Cf format (bidirectional marks among them), Cs surrogates, Co private, Cn
    # unassigned, Zl and Zp line separators.
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character


def preview(message: str | bytes, size: int = 60) -> str:
    """Returns the beginning of a message on one line, escaped and quoted."""
    if isinstance(message, str):
        return f'"{escape(message[:size])}"' + ("…" if len(message) > size else "")
    shown = message[: size // 3].hex(" ")
    return (shown or "empty") + (" …" if len(message) > size // 3 else "")


@dataclass(frozen=True, slots=True)
class Style:
    """Colours by what they say; without colours each returns the text as it is."""

    enabled: bool

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.enabled and text else text

    def name(self, text: str) -> str:
        """The name of a thing."""
        return self._paint("1", text)

    def sent(self, text: str) -> str:
        """What went out."""
        return self._paint("36", text)

    def received(self, text: str) -> str:
        """What came in."""
        return self._paint("32", text)

    def data(self, text: str) -> str:
        """Octets and bits."""
        return self._paint("33", text)

    def good(self, text: str) -> str:
        """What went well."""
        return self._paint("32", text)

    def bad(self, text: str) -> str:
        """What is wrong."""
        return self._paint("31", text)

    def aside(self, text: str) -> str:
        """What may be overlooked."""
        return self._paint("2", text)


def style_for(stream: TextIO, choice: str = "auto") -> Style:
    """Returns the style for a stream.

    Args:
        stream: where it is printed.
        choice: ``always``, ``never``, or ``auto``: on a terminal that can, unless NO_COLOR is set
            (https://no-color.org).
    """
    if choice == "auto":
        return Style(
            stream.isatty()
            and not os.environ.get("NO_COLOR")
            and os.environ.get("TERM", "") != "dumb"
        )
    return Style(choice == "always")
