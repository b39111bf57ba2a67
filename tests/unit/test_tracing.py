"""`FrameTracer`: however reads cut the bytes, the frames are the same."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from rfc6455 import Close, Fault, Ping
from rfc6455.frames import Opcode, encode
from rfc6455.tracing import FrameTracer, TracedFrame, inflaters
from tests.helpers import KEY, chunkings, comparable

CONVERSATION = b"".join(
    [
        encode(Opcode.TEXT, b"Hel", fin=False, masking_key=KEY),
        encode(Opcode.PING, b"alive?", masking_key=KEY),
        encode(Opcode.CONTINUATION, b"lo", masking_key=KEY),
        encode(Opcode.BINARY, bytes(300), masking_key=KEY),
        encode(Opcode.CLOSE, Close(1000, "bye").payload(), masking_key=KEY),
    ]
)


def trace(chunks: list[bytes], **options: Any) -> tuple[list[TracedFrame], FrameTracer]:
    tracer = FrameTracer(masked=True, **options)
    return [frame for chunk in chunks for frame in tracer.receive_data(chunk)], tracer


def test_frames_are_the_same_however_reads_cut_them() -> None:
    frames, tracer = trace([CONVERSATION])
    assert [frame.events for frame in frames] == [
        (),
        (Ping(b"alive?"),),
        ("Hello",),
        (bytes(300),),
        (Close(1000, "bye"),),
    ]
    assert all(frame.complete for frame in frames)
    assert tracer.receive_eof() is None
    for chunks in chunkings(CONVERSATION):
        assert trace(chunks)[0] == frames


def test_offsets_are_those_in_the_stream() -> None:
    frames, _ = trace([CONVERSATION])
    assert frames[0].offset == 0
    for before, after in itertools.pairwise(frames):
        assert after.offset == before.offset + len(before.head) + before.received


@pytest.mark.parametrize(
    "bad",
    [b"\x83", b"\x81\x00", b"\x89\xff", b"\x82\xfe\x00\x01", b"\x80\x80" + KEY],
    ids=lambda bad: bad.hex(),
)
def test_a_fault_ends_it_at_its_first_byte(bad: bytes) -> None:
    start = encode(Opcode.TEXT, b"a", masking_key=KEY)
    for chunks in chunkings(start + bad + b"more"):
        frames, tracer = trace(chunks)
        assert len(frames) == 2
        fault = frames[1]
        assert isinstance(fault.events[-1], Fault)
        assert fault.error is not None
        assert fault.error.code == 1002
        assert fault.head == bad
        assert tracer.ended
        assert tracer.discarded == 4
        assert tracer.receive_eof() is None


def test_no_more_of_a_payload_is_kept_than_is_shown() -> None:
    data = encode(Opcode.BINARY, bytes(range(256)), masking_key=bytes(4))
    for chunks in chunkings(data):
        (frame,), _ = trace(chunks, keep=10)
        assert frame.payload == bytes(range(10))
        assert frame.received == 256


def test_a_message_over_the_limit_is_a_fault() -> None:
    data = encode(Opcode.BINARY, bytes(11), masking_key=KEY)
    frames, _ = trace([data], max_message_size=10)
    assert comparable(frames[0].events) == [(1009, "")]


@pytest.mark.parametrize("size", [1, 2, 5, 6, 7])
def test_a_frame_that_is_cut_off_is_told_at_the_end(size: int) -> None:
    data = encode(Opcode.TEXT, b"ab", masking_key=KEY)[:size]
    frames, tracer = trace([data])
    assert frames == []
    rest = tracer.receive_eof()
    assert rest is not None
    assert not rest.complete
    assert rest.head + rest.payload == data
    assert tracer.receive_eof() is None


def test_both_sides_in_one_stream_are_told_apart_by_their_masks() -> None:
    tracer = FrameTracer()
    data = encode(Opcode.TEXT, b"client", masking_key=KEY)
    frames = tracer.receive_data(data + encode(Opcode.TEXT, b"server"))
    assert [frame.events for frame in frames] == [("client",), ("server",)]


def test_what_undoes_the_compression_of_one_side() -> None:
    assert inflaters(False) == ()
    (extension,) = inflaters(True)
    assert extension.name == "permessage-deflate"
