"""The frames of one's own connection, for people who want to see what travels.

What lives here: a tape that a client may ask for when it connects, and what it tells of a frame. It
costs time for each frame, so nobody else has one.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec

import rfc6455

from . import protocol
from .logs import time_of
from .session import Session

__all__ = ["Tapes"]

MAX_WAITING: Final = 256
"""Frames of a connection that wait to be told."""
SHOWN: Final = 1000
"""Bytes, or characters, of a payload."""
OWN: Final = '{"type":"frames"'
"""How the events begin that tell of frames. In no other JSON of ours does this stand anywhere: in a
string, the quotation marks would be escaped."""


class Tapes:
    """All connections whose frames are watched."""

    def __init__(self) -> None:
        self._tapes: WeakKeyDictionary[Any, _Tape] = WeakKeyDictionary()
        self._told = 0

    def observe(self, request: rfc6455.Request) -> rfc6455.Observer | None:
        """Returns an observer where the client asks for one."""
        return _Tape(self._tapes) if "frames" in request.query.split("&") else None

    def tell(self, session: Session) -> None:
        """Tells a client of its frames, if it wants to hear of them and there are any."""
        tape = self._tapes.get(session.websocket)
        event = tape and tape.take()
        if event:
            # With a key of its own, it is left out where a client does not keep up.
            self._told += 1
            session.deliver(protocol.encode(event), key=f"frames:{self._told}")


class _Tape(rfc6455.FrameObserver):
    """Writes down the frames of one connection."""

    def __init__(self, tapes: WeakKeyDictionary[Any, _Tape]) -> None:
        super().__init__(keep=SHOWN)
        self._tapes = tapes
        self._frames: deque[protocol.Frame] = deque(maxlen=MAX_WAITING)
        self._missing = 0

    def opened(self, connection: Any, core: Any) -> None:
        """Begins with the first byte behind the opening handshake."""
        super().opened(connection, core)
        self._tapes[connection] = self

    def frame(self, connection: Any, frame: rfc6455.TracedFrame, *, sent: bool) -> None:
        """Keeps what there is to tell of a frame."""
        told = _told(frame, sent)
        if told is None:
            return
        self._missing += len(self._frames) == MAX_WAITING
        self._frames.append(told)

    def take(self) -> protocol.Frames | None:
        """Returns what there is to tell, once."""
        if not self._frames:
            return None
        event = protocol.Frames(frames=list(self._frames), missing=self._missing)
        self._frames.clear()
        self._missing = 0
        return event


def _told(frame: rfc6455.TracedFrame, sent: bool) -> protocol.Frame | None:
    """Returns what to tell of a frame; None of one that does nothing but tell of others."""
    message = next((event for event in frame.events if isinstance(event, str)), None)
    text = frame.unmasked.decode(errors="replace") if message is None else message[:SHOWN]
    if message is not None and OWN in message:
        if message.startswith(OWN):
            return None
        text = _others(message)[:SHOWN]
    header = frame.header
    close = next((event for event in frame.events if isinstance(event, rfc6455.Close)), None)
    error = frame.error
    return protocol.Frame(
        time=time_of(int(time.time() * 1000)),
        sent=sent,
        head=frame.head.hex(),
        opcode=str(error) if header is None else header.opcode.name,
        fin=header is not None and header.fin,
        length=0 if header is None else header.length,
        compressed=frame.compressed,
        key="" if header is None or header.masking_key is None else header.masking_key.hex(),
        text=text if close is None else close.reason,
        code=None if close is None else int(close.code),
    )


def _others(batch: str) -> str:
    """Returns a message with several events without the one that tells of frames."""
    events = [bytes(event).decode() for event in msgspec.json.decode(batch, type=list[msgspec.Raw])]
    return f"[{','.join(event for event in events if not event.startswith(OWN))}]"
