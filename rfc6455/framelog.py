"""Frames in the log: what travelled on a connection, one line a frame.

What lives here: how a frame looks in a log. What a frame is, `tracing` finds out. It costs what it
costs, and is there only while a logger wants DEBUG.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from .connection import Connection
from .errors import ProtocolError
from .events import Event
from .frameobserver import FrameObserver
from .logs import LoggerLike
from .observer import Observer
from .tracing import TracedFrame

__all__ = ["FrameLog", "with_frame_log"]

SHOWN: Final = 40
"""Bytes of a payload."""


class FrameLog(FrameObserver):
    """Logs every frame at DEBUG: ``<`` for those that came, ``>`` for those that left.

    Args:
        logger: where.
        then: another observer, who sees the same.
    """

    def __init__(self, logger: LoggerLike, then: Observer | None = None) -> None:
        super().__init__(keep=SHOWN)
        self._logger = logger
        self._then = Observer() if then is None else then

    def opened(self, connection: Any, core: Connection) -> None:
        """Begins to look."""
        super().opened(connection, core)
        self._then.opened(connection, core)

    def received(self, connection: Any, data: bytes, events: Sequence[Event], frames: int) -> None:
        """Logs what came."""
        super().received(connection, data, events, frames)
        self._then.received(connection, data, events, frames)

    def sent(self, connection: Any, data: bytes, frames: int) -> None:
        """Logs what left."""
        super().sent(connection, data, frames)
        self._then.sent(connection, data, frames)

    def frame(self, connection: Any, frame: TracedFrame, *, sent: bool) -> None:
        """Logs a frame."""
        self._logger.debug("%s %s", ">" if sent else "<", _line(frame))

    def latency(self, connection: Any, seconds: float) -> None:
        """Logs how long a Ping took."""
        self._logger.debug("%% latency %.1f ms", 1000 * seconds)
        self._then.latency(connection, seconds)

    def fault(self, connection: Any, error: ProtocolError) -> None:
        """Logs what was wrong."""
        self._logger.debug("! %s", error)
        self._then.fault(connection, error)

    def dropped(self, connection: Any, messages: int) -> None:
        """Logs what was given up."""
        self._logger.debug("! %d pushed messages dropped", messages)
        self._then.dropped(connection, messages)

    def closed(self, connection: Any, code: int) -> None:
        """Logs the end."""
        self._logger.debug("= closed with %d", code)
        self._then.closed(connection, code)


def with_frame_log(observer: Observer | None, logger: LoggerLike) -> Observer | None:
    """Returns the observer, with a log of frames before it where the logger wants one."""
    return FrameLog(logger, observer) if logger.isEnabledFor(logging.DEBUG) else observer


def _line(frame: TracedFrame) -> str:
    header = frame.header
    if header is None:
        return f"malformed {frame.head.hex(' ')}"
    shown: object = frame.unmasked
    messages = [event for event in frame.events if isinstance(event, str | bytes)]
    if messages:
        shown = messages[0][:SHOWN]
    marks = ("" if header.fin else ", more to come") + (", compressed" if frame.compressed else "")
    return f"{header.opcode.name} {shown!a} [{header.length} bytes{marks}]"
