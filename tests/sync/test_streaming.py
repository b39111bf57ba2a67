"""Receiving a message in pieces, in threads: as they come, given up, timed out, beside whole ones.

Knows a raw peer at the other end of a socket pair.
"""

from __future__ import annotations

import pytest

from rfc6455 import ConnectionClosedError, ConnectionClosedOK, Role, UsageError
from rfc6455.frames import Opcode
from tests.helpers import peer_frame
from tests.transports.conftest import TLS
from tests.transports.support import binary, close, ping, text

from .support import Task, pair, until

HEL = peer_frame(Role.SERVER, Opcode.TEXT, b"Hel", fin=False)
LO = peer_frame(Role.SERVER, Opcode.CONTINUATION, b"lo")


def test_pieces_come_as_they_arrive(link: TLS | None) -> None:
    with pair(tls=link) as (websocket, peer):
        pieces = websocket.recv_streaming()
        peer.send(HEL)
        assert next(pieces) == "Hel"
        peer.send(ping(b"?"))
        peer.send(peer_frame(Role.SERVER, Opcode.CONTINUATION, "é".encode()[:1], fin=False))
        peer.send(peer_frame(Role.SERVER, Opcode.CONTINUATION, "é".encode()[1:] + b"lo"))
        assert "".join(map(str, pieces)) == "élo"
        assert peer.frame().payload == b"?"
        assert list(pieces) == []
        peer.send(text("whole"))
        assert websocket.recv() == "whole"


def test_a_large_frame_comes_in_pieces() -> None:
    message = bytes(range(256)) * 4096
    frame = binary(message)
    with pair() as (websocket, peer):
        peer.send(frame[:50_000])
        pieces = websocket.recv_streaming()
        received = next(pieces)
        assert isinstance(received, bytes)
        assert 0 < len(received) < 50_000
        sender = Task(peer.send, frame[50_000:])
        for piece in pieces:
            assert isinstance(piece, bytes)
            received += piece
        assert received == message
        sender.result()


def test_a_message_that_is_here_is_one_piece() -> None:
    with pair() as (websocket, peer):
        peer.send(text("a") + text("b"))
        assert websocket.recv() == "a"
        assert list(websocket.recv_streaming()) == ["b"]


def test_a_message_that_has_begun_is_given_from_its_start() -> None:
    with pair() as (websocket, peer):
        peer.send(text("a") + HEL)
        assert websocket.recv() == "a"
        pieces = websocket.recv_streaming()
        assert next(pieces) == "Hel"
        peer.send(LO)
        assert list(pieces) == ["lo"]


def test_the_rest_of_a_message_that_is_given_up_is_thrown_away() -> None:
    with pair() as (websocket, peer):
        peer.send(HEL)
        assert next(websocket.recv_streaming()) == "Hel"
        peer.send(LO + text("next"))
        assert websocket.recv() == "next"
        peer.send(HEL)
        assert next(websocket.recv_streaming()) == "Hel"
        peer.send(LO + HEL)
        pieces = websocket.recv_streaming()
        assert next(pieces) == "Hel"
        peer.send(LO)
        assert list(pieces) == ["lo"]


def test_a_piece_that_does_not_come_in_time_can_be_waited_for_again() -> None:
    with pair() as (websocket, peer):
        pieces = websocket.recv_streaming(timeout=0.01)
        with pytest.raises(TimeoutError):
            next(pieces)
        peer.send(HEL)
        assert next(pieces) == "Hel"
        with pytest.raises(TimeoutError):
            next(pieces)
        peer.send(LO)
        assert list(pieces) == ["lo"]


def test_a_recv_that_times_out_between_pieces_loses_none() -> None:
    with pair() as (websocket, peer):
        with pytest.raises(TimeoutError):
            next(websocket.recv_streaming(timeout=0.01))
        peer.send(HEL)
        with pytest.raises(TimeoutError):
            websocket.recv(timeout=0.05)
        peer.send(LO)
        assert websocket.recv() == "Hello"
        with pytest.raises(TimeoutError):
            next(websocket.recv_streaming(timeout=0.01))
        peer.send(HEL)
        with pytest.raises(TimeoutError):
            websocket.recv(timeout=0.05)
        peer.send(LO)
        assert "".join(map(str, websocket.recv_streaming())) == "Hello"


@pytest.mark.parametrize(
    ("code", "kind"), [(1000, ConnectionClosedOK), (4000, ConnectionClosedError)]
)
def test_the_end_in_the_middle_is_raised(code: int, kind: type[Exception]) -> None:
    with pair() as (websocket, peer):
        pieces = websocket.recv_streaming()
        peer.send(HEL + close(code))
        assert next(pieces) == "Hel"
        with pytest.raises(kind):
            next(pieces)


def test_the_limit_of_a_message_holds_for_the_sum_of_its_pieces() -> None:
    with pair(max_message_size=5) as (websocket, peer):
        pieces = websocket.recv_streaming()
        peer.send(HEL)
        assert next(pieces) == "Hel"
        peer.send(peer_frame(Role.SERVER, Opcode.CONTINUATION, b"lo!", fin=False))
        with pytest.raises(ConnectionClosedError):
            next(pieces)
        assert peer.close_frame().code == 1009


def test_a_thread_that_waits_for_a_piece_is_receiving() -> None:
    with pair() as (websocket, peer):
        waiting = Task(lambda: list(websocket.recv_streaming()), name="the reader")
        until(lambda: websocket._receiver)
        with pytest.raises(UsageError, match="the reader"):
            websocket.recv()
        with pytest.raises(UsageError, match="the reader"):
            next(websocket.recv_streaming())
        peer.send(HEL + LO)
        assert "".join(map(str, waiting.result())) == "Hello"


def test_pieces_that_nobody_takes_pause_reading() -> None:
    with pair(max_queued_messages=4) as (websocket, peer):
        pieces = websocket.recv_streaming()
        peer.send(HEL)
        assert next(pieces) == "Hel"
        for _ in range(10):
            peer.send(peer_frame(Role.SERVER, Opcode.CONTINUATION, b"l", fin=False))
            until(lambda: websocket._inbox or websocket._reading_paused)
        until(lambda: websocket._reading_paused)
        peer.send(LO)
        assert "".join(map(str, pieces)) == "l" * 10 + "lo"
