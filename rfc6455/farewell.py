"""What a server says to its connections when it ends.

What lives here: the Close that each gets, with a hint when to come back, and the count of how they
ended. This file does not know how a server goes about it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from .close import Close
from .errors import UsageError

__all__ = ["Drained", "ReconnectHint", "farewells"]

ReconnectHint: TypeAlias = "float | tuple[float, float] | None"


@dataclass(frozen=True, slots=True)
class Drained:
    """How connections ended while a server did.

    Attributes:
        closed: with a closing handshake.
        aborted: without one: dropped by us when their time was up, or by the client.
    """

    closed: int
    aborted: int


def farewells(code: int, reason: str, hint: ReconnectHint) -> Callable[[], Close]:
    """Returns what makes the Close of each connection.

    Args:
        code: the close code.
        reason: the close reason.
        hint: when clients are to come back, in seconds: a random time up to this, or between two
            numbers. The close reason carries it at its end, where `Close.retry_after` reads it.

    Raises:
        UsageError: there is none to be made.
    """
    low, high = hint if isinstance(hint, tuple) else (0.0, hint)
    if hint is not None and not 0 <= low <= (high or 0.0) < 1e6:
        raise UsageError(f"a hint is a time in seconds, or two, the smaller first: {hint!r}")

    def make() -> Close:
        if high is None:
            return Close(code, reason)
        told = f"retry-after={random.uniform(low, high):.1f}"
        return Close(code, f"{reason} {told}" if reason else told)

    try:
        # The longest that it can be.
        Close(code, f"{reason} retry-after=999999.9" if high is not None else reason).payload()
    except ValueError as error:
        raise UsageError(str(error)) from error
    return make
