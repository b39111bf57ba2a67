"""What a run of the chaos tests records.

What lives here: plain values, in the order in which they were noted. This file does not know who
records them, nor what is right.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias


class Outcome(Enum):
    """What a publisher was told."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    """For good: it must not be in the log."""
    INDETERMINATE = "indeterminate"
    """No answer came, or one that the server could not do it then."""


@dataclass(frozen=True, slots=True)
class Publish:
    """A publisher said a value, behind the ones before it, and was told what became of it."""

    publisher: str
    room: str
    value: str
    outcome: Outcome
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Entered:
    """A subscriber was told that what follows goes on where it was (``recovered``), or not."""

    recovered: bool


@dataclass(frozen=True, slots=True)
class Delivered:
    """A subscriber was handed an entry of the log."""

    offset: int
    value: str


Step: TypeAlias = Entered | Delivered


@dataclass(slots=True)
class History:
    """A whole run.

    Attributes:
        publishes: each publisher's in the order in which they were said.
        received: what came to each subscriber of each room, as it came: by subscriber and room.
        logs: the entries of each room in the end, by room and offset.
    """

    publishes: list[Publish] = field(default_factory=list)
    received: dict[tuple[str, str], list[Step]] = field(default_factory=dict)
    logs: dict[str, dict[int, str]] = field(default_factory=dict)
