"""Frames in the log: one line each, of both directions, with nothing that a peer could forge."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rfc6455.close import CloseCode
from rfc6455.connection import Connection, Role
from rfc6455.errors import ProtocolError
from rfc6455.extensions import PermessageDeflate
from rfc6455.framelog import FrameLog, with_frame_log
from rfc6455.frameobserver import FrameObserver
from rfc6455.frames import Opcode
from rfc6455.observer import Observer, observer_of
from rfc6455.tracing import TracedFrame
from tests.helpers import both_roles, peer_frame
from tests.negotiation import open_pair

if TYPE_CHECKING:
    import pytest


class Somebody:
    """A connection, as far as a log is concerned."""


class Counter(Observer):
    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattribute__(self, name: str) -> object:
        if name in Observer.__dict__ and not name.startswith("_"):
            self.calls.append(name)
        return super().__getattribute__(name)


@both_roles
def test_lines(role: Role, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "frames")
    counter, somebody, core = Counter(), Somebody(), Connection(role)
    log = FrameLog(logging.getLogger("frames"), counter)
    log.opened(somebody, core)
    for data in (
        peer_frame(role, Opcode.TEXT, "é\n\x1b".encode()),
        peer_frame(role, Opcode.BINARY, bytes(100), fin=False),
        peer_frame(role, Opcode.PING, b"p"),
        b"\xff",
    ):
        log.received(somebody, data, [], 1)
    core.send("hello")
    core.close(1000)
    log.sent(somebody, core.data_to_send(), 1)
    log.latency(somebody, 0.0125)
    log.dropped(somebody, 3)
    log.fault(somebody, ProtocolError(CloseCode.PROTOCOL_ERROR, "wrong", "5.2"))
    log.closed(somebody, 1006)
    assert [record.getMessage() for record in caplog.records] == [
        r"< TEXT '\xe9\n\x1b' [4 bytes]",
        f"< BINARY {bytes(40)!r} [100 bytes, more to come]",
        "< PING b'p' [1 bytes]",
        "< malformed ff",
        "> TEXT 'hello' [5 bytes]",
        r"> CLOSE b'\x03\xe8' [2 bytes]",
        "% latency 12.5 ms",
        "! 3 pushed messages dropped",
        "! wrong (RFC 6455 §5.2)",
        "= closed with 1006",
    ]
    assert counter.calls == [
        *["opened", "received", "received", "received", "received"],
        *["sent", "latency", "dropped", "fault", "closed"],
    ]


def test_compressed_messages_are_shown_as_they_were(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "frames")
    pair = open_pair(client=[PermessageDeflate()], server=[PermessageDeflate()])
    log, somebody = FrameLog(logging.getLogger("frames")), Somebody()
    log.opened(somebody, pair.server)
    pair.server.send("x" * 2000)
    log.sent(somebody, pair.server.data_to_send(), 1)
    (record,) = caplog.records
    assert record.getMessage().startswith("> TEXT 'xxxxxxxx")
    assert record.getMessage().endswith("bytes, compressed]")


def test_it_is_there_only_while_it_is_wanted() -> None:
    observer, logger = Observer(), logging.getLogger("frames.wanted")
    logger.setLevel(logging.INFO)
    assert with_frame_log(observer, logger) is observer
    assert with_frame_log(None, logger) is None
    logger.setLevel(logging.DEBUG)
    assert isinstance(with_frame_log(observer, logger), FrameLog)


def test_who_observes_may_depend_on_the_request() -> None:
    observer = Observer()
    assert observer_of(None, "request") is None
    assert observer_of(observer, "request") is observer
    assert observer_of({"watched": observer}.get, "watched") is observer
    assert observer_of({"watched": observer}.get, "other") is None


@both_roles
def test_frames_for_a_program(role: Role) -> None:
    seen = []

    class Seer(FrameObserver):
        def frame(self, connection: object, frame: TracedFrame, *, sent: bool) -> None:
            super().frame(connection, frame, sent=sent)
            seen.append((connection, sent, frame.unmasked, frame.error is None))

    seer, somebody, core = Seer(keep=3), Somebody(), Connection(role)
    seer.opened(somebody, core)
    data = peer_frame(role, Opcode.TEXT, b"hello")
    seer.received(somebody, data[:4], [], 0)
    assert seen == []
    seer.received(somebody, data[4:] + b"\xff", [], 1)
    core.send("me")
    seer.sent(somebody, core.data_to_send(), 1)
    assert seen == [
        (somebody, False, b"hel", True),
        (somebody, False, b"", False),
        (somebody, True, b"me", True),
    ]
