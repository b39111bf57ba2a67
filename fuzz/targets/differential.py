"""Ours beside the sans-IO protocols of wsproto and websockets, on the same stream of frames.

What lives here: an adapter for each of them that says in common words what it makes of a stream,
and the list of reasons for which they may differ. A disagreement without a reason fails: either we
are wrong, or the list lacks a line. Each reason names the clause, and the condition that proves it
is narrow: it looks at what both say at the first place where they part, not at the input.

The peer that is imitated is the one whose mask the first frame has: a client, or a server.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final, TypeAlias

from websockets.frames import Close as WebsocketsClose
from websockets.frames import Frame
from websockets.frames import Opcode as WebsocketsOpcode
from websockets.protocol import CLIENT, OPEN, SERVER, Protocol
from wsproto.frame_protocol import Frame as WsprotoFrame
from wsproto.frame_protocol import FrameProtocol, ParseFailed
from wsproto.frame_protocol import Opcode as WsprotoOpcode

from rfc6455 import Close, Fault, Ping, Pong
from rfc6455.codec import Decoder

from ..oracles import require
from ..seeds import CLIENT_STREAMS, SERVER_STREAMS

MAX_FRAGMENTS: Final = 8


@dataclass(frozen=True, slots=True)
class Failed:
    """The connection fails, with this close code; why, in the words of whoever says so."""

    code: int
    why: str = ""


Outcome: TypeAlias = str | bytes | Ping | Pong | Close | Failed
"""What a stream leads to: a message, a control frame, or a failure, after which nothing comes."""


class Ours:
    """`rfc6455.codec.Decoder`."""

    def __init__(self, masked: bool, max_size: int) -> None:
        self._decoder = Decoder(
            masked=masked, max_message_size=max_size, max_fragments=MAX_FRAGMENTS
        )

    def feed(self, data: bytes) -> list[Outcome]:
        """Returns what the bytes lead to."""
        return [
            Failed(event.error.code, event.error.reason) if isinstance(event, Fault) else event  # type: ignore[misc]
            for event in self._decoder.receive_data(data)
        ]


class Peer:
    """What the two adapters tell beyond outcomes; each overrides what it has."""

    in_message = False
    """Whether a message has begun and not ended."""
    held = b""
    """Octets of a text that were taken and not judged."""
    patience = 0
    """How many more octets it takes at most until a wrong frame is judged."""

    def __init__(self, masked: bool, max_size: int) -> None:
        raise NotImplementedError

    def feed(self, data: bytes) -> list[Outcome]:
        """Returns what the bytes lead to."""
        raise NotImplementedError


class Websockets(Peer):
    """`websockets.protocol.Protocol`, which gives frames, under the least that makes messages."""

    patience = 70_000

    def __init__(self, masked: bool, max_size: int) -> None:
        self._protocol = Protocol(SERVER if masked else CLIENT, state=OPEN, max_size=max_size)
        self._parts: list[bytes] = []
        self._opcode: WebsocketsOpcode | None = None
        self._ended = False

    @property
    def in_message(self) -> bool:  # type: ignore[override]
        """Whether fragments have come, and not the last of them."""
        return self._opcode is not None

    def feed(self, data: bytes) -> list[Outcome]:
        """Returns what the bytes lead to."""
        self._protocol.receive_data(data)
        found = [self._outcome(event) for event in self._protocol.events_received()]
        error = self._protocol.parser_exc
        if error is not None:
            sent = self._protocol.close_sent
            assert sent is not None
            found.append(Failed(sent.code, str(error)))
        outcomes: list[Outcome] = []
        for outcome in found:
            if outcome is not None and not self._ended:
                outcomes.append(outcome)
                self._ended = isinstance(outcome, Failed | Close)
        return outcomes

    def _outcome(self, frame: object) -> Outcome | None:
        assert isinstance(frame, Frame)
        payload = bytes(frame.data)
        match frame.opcode:
            case WebsocketsOpcode.PING:
                return Ping(payload)
            case WebsocketsOpcode.PONG:
                return Pong(payload)
            case WebsocketsOpcode.CLOSE:
                close = WebsocketsClose.parse(payload)
                return Close(int(close.code), close.reason)
            case WebsocketsOpcode.TEXT | WebsocketsOpcode.BINARY:
                self._opcode = frame.opcode
        self._parts.append(payload)
        if not frame.fin:
            return None
        message, text = b"".join(self._parts), self._opcode is WebsocketsOpcode.TEXT
        self._parts, self._opcode = [], None
        try:
            return message.decode() if text else message
        except UnicodeDecodeError:
            return Failed(1007, "message is not UTF-8")


class Wsproto(Peer):
    """`wsproto.frame_protocol.FrameProtocol`, which gives the parts of messages.

    The layer above it tells of a failure as if the peer had sent a Close.
    """

    patience = 14

    def __init__(self, masked: bool, max_size: int) -> None:
        self._protocol = FrameProtocol(client=not masked, extensions=[])
        self._parts: list[str | bytes] = []

    @property
    def held(self) -> bytes:  # type: ignore[override]
        """What Python's incremental decoder has not judged."""
        decoder = self._protocol._message_decoder.decoder
        return decoder.getstate()[0] if decoder is not None else b""

    def feed(self, data: bytes) -> list[Outcome]:
        """Returns what the bytes lead to."""
        outcomes: list[Outcome] = []
        self._protocol.receive_bytes(data)
        try:
            for frame in self._protocol.received_frames():
                outcome = self._outcome(frame)
                if outcome is not None:
                    outcomes.append(outcome)
        except ParseFailed as error:
            outcomes.append(Failed(int(error.code), str(error)))
        return outcomes

    def _outcome(self, frame: WsprotoFrame) -> Outcome | None:
        payload = frame.payload
        if isinstance(payload, tuple):
            code, reason = payload
            return Close(int(code), reason)
        if frame.opcode is WsprotoOpcode.PING:
            return Ping(bytes(payload))  # type: ignore[arg-type]
        if frame.opcode is WsprotoOpcode.PONG:
            return Pong(bytes(payload))  # type: ignore[arg-type]
        self._parts.append(payload)
        if not frame.message_finished:
            return None
        empty = "" if isinstance(payload, str) else b""
        message: str | bytes = empty.join(self._parts)  # type: ignore[arg-type]
        self._parts = []
        return message


@dataclass(frozen=True, slots=True)
class Parting:
    """The first place where a peer says something else than we do.

    Attributes:
        ours: what we say there; None when we wait for more bytes.
        theirs: what the peer says there; None when it waits.
        ours_later: where one of us waits, what we say there after as many octets of 0xFF as the
            peer needs to judge a frame. (No frame starts with 0xFF.)
        theirs_later: what the peer says there after them.
        peer: the adapter, after the stream and without the zeros.
        max_size: the limit of a message, in bytes.
    """

    ours: Outcome | None
    theirs: Outcome | None
    ours_later: Outcome | None
    theirs_later: Outcome | None
    peer: Peer
    max_size: int


Reason: TypeAlias = Callable[[Parting], bool]


def _failed(outcome: Outcome | None, code: int, why: str = "") -> bool:
    return isinstance(outcome, Failed) and outcome.code == code and why in outcome.why


def _message(outcome: Outcome | None) -> bool:
    return isinstance(outcome, str | bytes)


def _within(outcome: Outcome | None, max_size: int) -> bool:
    octets = outcome.encode() if isinstance(outcome, str) else outcome
    return isinstance(octets, bytes) and len(octets) <= max_size


# By what proves it, never by what might explain it. Ours stands first in each line.
WEBSOCKETS_REASONS: Final[dict[str, Reason]] = {
    "§5.2: it judges a frame when it has come whole, we by the first wrong byte": lambda p: (
        _failed(p.ours, 1002) and p.theirs is None and isinstance(p.theirs_later, Failed)
    ),
    "§5.2: it takes lengths that are not in their shortest form": lambda p: (
        (_failed(p.ours, 1002, "shortest form") or _failed(p.ours, 1002, "longer than 125"))
        and not _failed(p.theirs, 1002)
    ),
    "our limit: it compares the length before it looks at the rest of the header": lambda p: (
        _failed(p.ours, 1002) and _failed(p.theirs, 1009)
    ),
    "our limit: it compares the length before the masking key has come": lambda p: (
        p.ours is None and _failed(p.theirs, 1009) and isinstance(p.ours_later, Failed)
    ),
    "§5.4: it holds control frames against the limit of the message around them": lambda p: (
        p.peer.in_message
        and _failed(p.theirs, 1009)
        and isinstance(p.ours or p.ours_later, Ping | Pong | Close | Failed)
        and not _failed(p.ours or p.ours_later, 1009)
    ),
    "§8.1: it leaves UTF-8 to the layer above, which sees whole messages": lambda p: (
        _failed(p.ours, 1007, "text message") and not _message(p.theirs)
    ),
    "§7.1.5: it fails a connection that is closed inside a fragmented message": lambda p: (
        isinstance(p.ours, Close) and p.peer.in_message and _failed(p.theirs, 1002, "incomplete")
    ),
    "§7.4: it reads the reason of a Close before the code": lambda p: (
        _failed(p.ours, 1002, "must not travel") and _failed(p.theirs, 1007)
    ),
    "our limit: it does not count the fragments of a message": lambda p: _failed(
        p.ours, 1008, "fragments"
    ),
}
WSPROTO_REASONS: Final[dict[str, Reason]] = {
    "§5.2: it judges a header when it has come whole, we by the first wrong byte": lambda p: (
        _failed(p.ours, 1002) and p.theirs is None and _failed(p.theirs_later, 1002)
    ),
    "our limit: it has none for the size of a message": lambda p: (
        _failed(p.ours, 1009) and not _within(p.theirs, p.max_size)
    ),
    "our limit: it does not count the fragments of a message": lambda p: _failed(
        p.ours, 1008, "fragments"
    ),
    "§8.1: its decoder holds an encoded surrogate until the third octet": lambda p: (
        _failed(p.ours, 1007, "text message")
        and not _message(p.theirs)
        and re.fullmatch(rb"\xed[\xa0-\xbf]", p.peer.held) is not None
    ),
    "§7.4.1: it does not know code 1014, which IANA has registered since": lambda p: (
        _failed(p.theirs, 1002, "unknown reserved code")
        and (
            (isinstance(p.ours, Close) and p.ours.code == 1014)
            or _failed(p.ours, 1007, "close reason")
        )
    ),
}
PEERS: Final[dict[str, tuple[type[Peer], dict[str, Reason]]]] = {
    "websockets": (Websockets, WEBSOCKETS_REASONS),
    "wsproto": (Wsproto, WSPROTO_REASONS),
}
disagreements: Counter[str] = Counter()
"""How often each reason was found, for whoever wants to tell."""


def seeds() -> dict[str, bytes]:
    """Returns every vector of both directions."""
    return {
        f"from-{side}-{name}": data
        for side, streams in (("client", CLIENT_STREAMS), ("server", SERVER_STREAMS))
        for name, data in streams.items()
    }


def check(data: bytes) -> None:
    """Compares what the three make of a stream."""
    masked = len(data) > 1 and data[1] & 0x80 != 0
    # With one limit, 64-bit lengths are within it; with the other, short inputs can exceed it.
    max_size = 0x10010 if len(data) % 2 else 300
    ours = Ours(masked, max_size).feed(data)
    for name, (kind, reasons) in PEERS.items():
        peer = kind(masked, max_size)
        theirs = peer.feed(data)
        place = _parting(ours, theirs)
        if place is None:
            continue
        later = theirs_later = None
        if max(len(ours), len(theirs)) > min(len(ours), len(theirs)) == place:
            more = data + b"\xff" * kind.patience
            later = _at(Ours(masked, max_size).feed(more), place)
            theirs_later = _at(kind(masked, max_size).feed(more), place)
        parting = Parting(_at(ours, place), _at(theirs, place), later, theirs_later, peer, max_size)
        found = [reason for reason, proves in reasons.items() if proves(parting)]
        require(found, f"{name} differs without a known reason", parting, masked)
        disagreements[f"{name}: {found[0]}"] += 1


def _parting(ours: list[Outcome], theirs: list[Outcome]) -> int | None:
    """Where the two part: failures are the same when their codes are."""
    pairs = zip_longest(map(_comparable, ours), map(_comparable, theirs))
    return next((place for place, (a, b) in enumerate(pairs) if a != b), None)


def _comparable(outcome: Outcome) -> object:
    return (Failed, outcome.code) if isinstance(outcome, Failed) else outcome


def _at(outcomes: list[Outcome], place: int) -> Outcome | None:
    return outcomes[place] if place < len(outcomes) else None
