"""Which names and texts are allowed.

What lives here: the grammars of identifiers (rooms, topics, keys), of what people are called, and
the lengths of texts. This file does not know who or what bears a name.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from .protocol import MAX_NAME, MAX_TEXT, MAX_TOPIC, CommandError

__all__ = [
    "check_description",
    "check_name",
    "check_pattern",
    "check_room",
    "check_text",
    "check_topic",
    "name_key",
]

ROOM_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
TOPIC: Final = re.compile(r"[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,7}")
PATTERN: Final = re.compile(r"([A-Za-z0-9_-]{1,64}|\*)(\.([A-Za-z0-9_-]{1,64}|\*)){0,7}(\.#)?|#")
# Overrides and isolates of the writing direction would let a name pose as another.
BIDIRECTIONAL: Final = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)


def check_room(room: str) -> str:
    """Returns the room's name.

    Raises:
        CommandError: ``invalid_room``.
    """
    if not ROOM_NAME.fullmatch(room):
        raise CommandError(
            "invalid_room", "a room's name has 1 to 64 of the characters A-Z a-z 0-9 _ . -"
        )
    return room


def check_name(name: str) -> str:
    """Returns the user's name in Unicode's composed form (NFC).

    Raises:
        CommandError: ``invalid_name``, or ``too_long``.
    """
    # Normalizing takes time with the length, and makes of four characters one at the most.
    if len(name) <= 4 * MAX_NAME:
        name = unicodedata.normalize("NFC", name)
    if len(name) > MAX_NAME:
        raise CommandError("too_long", f"a name has at most {MAX_NAME} characters")
    if not name:
        raise CommandError("invalid_name", "a name has at least one character")
    # isprintable() is false for control, format and unassigned characters, and for all white space
    # but the space.
    if not name.isprintable() or BIDIRECTIONAL.intersection(name):
        raise CommandError("invalid_name", "a name has printable characters only")
    if name.startswith(" ") or name.endswith(" "):
        raise CommandError("invalid_name", "a name neither starts nor ends with a space")
    return name


def name_key(name: str) -> str:
    """Returns what all names have in common that count as the same as this one.

    Neither case makes a difference nor a compatibility variant, such as full-width letters.
    """
    if len(name) > 4 * MAX_NAME:
        return name
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def check_text(text: str) -> str:
    """Returns the text of a message.

    Raises:
        CommandError: ``too_long``.
    """
    if len(text) > MAX_TEXT:
        raise CommandError("too_long", f"a message has at most {MAX_TEXT} characters")
    return text


def check_description(topic: str) -> str:
    """Returns what a room is about.

    Raises:
        CommandError: ``too_long``.
    """
    if len(topic) > MAX_TOPIC:
        raise CommandError("too_long", f"what a room is about has at most {MAX_TOPIC} characters")
    return topic


def check_topic(topic: str) -> str:
    """Returns the topic of a notification: 1 to 8 words with dots between them.

    Raises:
        CommandError: ``invalid_topic``.
    """
    if not TOPIC.fullmatch(topic):
        raise CommandError(
            "invalid_topic", "a topic is 1 to 8 words of A-Z a-z 0-9 _ - with dots between them"
        )
    return topic


def check_pattern(pattern: str) -> str:
    """Returns a pattern of topics: as a topic, but ``*`` is any word, ``#`` at the end any rest.

    Raises:
        CommandError: ``invalid_topic``.
    """
    if not PATTERN.fullmatch(pattern):
        raise CommandError(
            "invalid_topic", "a pattern is a topic in which * is any word, and # any rest"
        )
    return pattern
