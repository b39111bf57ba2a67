"""Frames in the log: what travelled on a connection, one line a frame.

What lives here: how a frame looks in a log. What a frame is, `tracing` finds out. It costs what it
costs, and is there only while a logger wants DEBUG.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

from .connection import Connection, Role
from .errors import ProtocolError
from .events import Event
from .frames import apply_mask
from .logs import LoggerLike
from .observer import Observer
from .tracing import FrameTracer, TracedFrame, inflaters

__all__ = ["FrameLog", "with_frame_log"]

SHOWN: Final = 40
"""Bytes of a payload."""


class FrameLog(Observer):
    """Logs every frame at DEBUG: ``<`` for those that came, ``>`` for those that left.

    Args:
        logger: where.
        then: another observer, who sees the same.
    """

    def __init__(self, logger: LoggerLike, then: Observer | None = None) -> None:
        self._logger = logger
        self._then = Observer() if then is None else then
        self._tracers: WeakKeyDictionary[Any, tuple[FrameTracer, FrameTracer]] = WeakKeyDictionary()

    def opened(self, connection: Any, core: Connection) -> None:
        """Begins to look."""
        is_server = core.role is Role.SERVER
        received, sent = (
            FrameTracer(masked=masked, extensions=(mine, mine), keep=SHOWN)
            for masked in (is_server, not is_server)
            for mine in [inflaters(bool(core.extensions))]
        )
        self._tracers[connection] = received, sent
        self._then.opened(connection, core)

    def received(self, connection: Any, data: bytes, events: Sequence[Event]) -> None:
        """Logs what came."""
        self._log("<", self._tracers[connection][0], data)
        self._then.received(connection, data, events)

    def sent(self, connection: Any, data: bytes, frames: int) -> None:
        """Logs what left."""
        self._log(">", self._tracers[connection][1], data)
        self._then.sent(connection, data, frames)

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

    def _log(self, direction: str, tracer: FrameTracer, data: bytes) -> None:
        for frame in tracer.receive_data(data):
            self._logger.debug("%s %s", direction, _line(frame))


def with_frame_log(observer: Observer | None, logger: LoggerLike) -> Observer | None:
    """Returns the observer, with a log of frames before it where the logger wants one."""
    return FrameLog(logger, observer) if logger.isEnabledFor(logging.DEBUG) else observer


def _line(frame: TracedFrame) -> str:
    header = frame.header
    if header is None:
        return f"malformed {frame.head.hex(' ')}"
    shown: object = apply_mask(frame.payload, header.masking_key or bytes(4))
    messages = [event for event in frame.events if isinstance(event, str | bytes)]
    if messages:
        shown = messages[0][:SHOWN]
    marks = ("" if header.fin else ", more to come") + (", compressed" if frame.compressed else "")
    return f"{header.opcode.name} {shown!a} [{header.length} bytes{marks}]"
