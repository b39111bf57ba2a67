"""Every frame of a connection, for those who want to see it.

What lives here: the step from bytes of reads and writes to frames, for an observer. What a frame
is, `tracing` finds out. This file does not know what is done with what is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from .connection import Connection, Role
from .events import Event
from .observer import Observer
from .tracing import FrameTracer, TracedFrame, inflaters

__all__ = ["FrameObserver"]


class FrameObserver(Observer):
    """Sees each frame that travels: derive from it, and override `frame`.

    What the connection has taken apart already is taken apart once more, in Python; so this is for
    few connections, or for a short time. ``observer`` of `serve` may choose which.

    Args:
        keep: bytes of each payload that are kept to be shown.
    """

    def __init__(self, *, keep: int = 128) -> None:
        self._keep = keep
        self._tracers: WeakKeyDictionary[Any, tuple[FrameTracer, FrameTracer]] = WeakKeyDictionary()

    def opened(self, connection: Any, core: Connection) -> None:
        """Begins to look."""
        is_server = core.role is Role.SERVER
        received, sent = (
            FrameTracer(masked=masked, extensions=(mine, mine), keep=self._keep)
            for masked in (is_server, not is_server)
            for mine in [inflaters(bool(core.extensions))]
        )
        self._tracers[connection] = received, sent

    def received(self, connection: Any, data: bytes, events: Sequence[Event], frames: int) -> None:
        """Tells of the frames that came."""
        for frame in self._tracers[connection][0].receive_data(data):
            self.frame(connection, frame, sent=False)

    def sent(self, connection: Any, data: bytes, frames: int) -> None:
        """Tells of the frames that left."""
        for frame in self._tracers[connection][1].receive_data(data):
            self.frame(connection, frame, sent=True)

    def frame(self, connection: Any, frame: TracedFrame, *, sent: bool) -> None:
        """A frame is complete, or has failed; ``sent`` tells whether we sent it."""
