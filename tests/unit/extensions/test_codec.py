"""Who compresses: libraries with zlib's interface, and the native twin's own compressor.

Knows `rfc6455.extensions.codec`. How connections use it is shown in ``test_permessage_deflate.py``.
"""

from __future__ import annotations

import collections
import contextlib
import importlib.util
import itertools
import json
import os
import random
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rfc6455.extensions import codec
from rfc6455.extensions.codec import (
    TAIL,
    InflateWhole,
    LibraryCompressor,
    inflate_whole_for,
    new_compressor,
)
from tests.deflate import BlockWriter, inflate, installed_libraries

each_library = pytest.mark.parametrize(
    "library", installed_libraries(), ids=lambda library: library.__name__
)
native = pytest.mark.skipif(
    inflate_whole_for(zlib)[0] is None, reason="the native twin is not built, or not wanted"
)
KiB = 1024


def load_codec_again(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Runs the module a second time, under another name."""
    name = "rfc6455.extensions.codec_again"
    spec = importlib.util.spec_from_file_location(name, Path(codec.__file__))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def test_python_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RFC6455_PURE", "1")
    again = load_codec_again(monkeypatch)
    assert type(again.new_compressor(zlib, 1, 5, 12)) is again.LibraryCompressor
    for library in installed_libraries():
        assert again.inflate_whole_for(library) == (None, 0)


def test_the_native_twin_stands_in_for_zlib_at_level_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RFC6455_PURE", raising=False)
    again = load_codec_again(monkeypatch)
    compressor = again.new_compressor(zlib, 1, 5, 12)
    if os.environ.get("CI") == "true":
        assert type(compressor) is not again.LibraryCompressor
    assert inflate(compressor.compress(b"Hello") + TAIL).data == b"Hello"
    for level in (None, 0, 2, 6):
        assert type(again.new_compressor(zlib, level, 5, 12)) is again.LibraryCompressor
    other = ModuleType("other")
    vars(other).update(vars(zlib))
    assert type(again.new_compressor(other, 1, 5, 12)) is again.LibraryCompressor
    assert again.inflate_whole_for(other) == (None, 0)
    if type(compressor) is not again.LibraryCompressor:
        assert None not in [again.inflate_whole_for(known)[0] for known in installed_libraries()]


@each_library
@pytest.mark.parametrize("level", [None, 1])
def test_libraries_compress(library: ModuleType, level: int | None) -> None:
    compressor = LibraryCompressor(library, level, 5, 12)
    history = b""
    for message in (b"Hello", b"", b"Hello" * 100, b""):
        inflated = inflate(compressor.compress(message) + TAIL, history)
        assert inflated.data == message
        history += message
    assert inflate(compressor.compress(b"Hello" * 50) + TAIL, history).longest_distance > 0


# What stands in for zlib, whichever that is here


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


short = st.binary(max_size=8)
payloads = st.one_of(
    short,
    st.text(alphabet="abc", max_size=300).map(str.encode),
    st.builds(noise, st.integers(0, 3), st.integers(0, 5000)),
    st.builds(lambda unit, times, end: unit * times + end, short, st.integers(0, 9000), short),
)


@given(st.integers(8, 15), st.lists(payloads, max_size=6))
@example(8, [noise(1, 300) * 3, noise(1, 300)])
@example(15, [noise(1, 40_000), noise(1, 40_000)])
def test_what_is_compressed_is_deflate_within_the_window(bits: int, sent: list[bytes]) -> None:
    compressor = new_compressor(zlib, 1, 5, bits)
    inflater = zlib.decompressobj(-bits)
    history = b""
    for message in sent:
        payload = compressor.compress(message)
        assert not payload.endswith(TAIL)
        # What no window is left for, zlib takes all the same while it is in its own output.
        inflated = inflate(payload + TAIL, history)
        assert inflated.data == message
        assert inflated.longest_distance <= 1 << bits
        assert inflated.final_blocks == 0
        assert inflater.decompress(payload + TAIL) == message
        history = (history + message)[-(1 << bits) :]


def json_text(source: random.Random, records: int) -> bytes:
    words = ["the", "of", "and", "to", "in", "is", "that", "for", "it", "was", "with", "not"]
    return json.dumps(
        [
            {
                "id": source.randrange(10_000),
                "user": source.choice(["ada", "alan", "barbara", "grace", "ken"]),
                "price": round(source.uniform(1, 1000), 2),
                "text": " ".join(source.choices(words, k=10)),
            }
            for _ in range(records)
        ]
    ).encode()


@pytest.mark.parametrize("records", [1, 8, 500])
def test_json_is_no_larger_than_zlib_makes_it(records: int) -> None:
    texts = [json_text(random.Random(number), records) for number in range(2000 // records)]
    ours, theirs = new_compressor(zlib, 1, 5, 12), LibraryCompressor(zlib, 1, 5, 12)
    sizes = [sum(len(c.compress(text)) for text in texts) for c in (ours, theirs)]
    assert sizes[0] <= sizes[1]


@pytest.mark.parametrize("size", [0, 1, 100, 32 * KiB - 1, 32 * KiB, 32 * KiB + 1, 200_000])
def test_noise_grows_by_its_blocks_alone(size: int) -> None:
    message = noise(1, size)
    payload = new_compressor(zlib, 1, 5, 12).compress(message)
    # zlib's blocks are of less than 2 ** (memory_level + 6) bytes each.
    assert len(payload) <= size + 6 * (size // 2047 + 1)
    assert inflate(payload + TAIL).data == message


@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_codes_are_never_longer_than_15_bits(order: str) -> None:
    # Huffman's own would be, for symbols that are as frequent as Fibonacci's numbers.
    counts = [1, 1]
    while sum(counts) < 28_000:
        counts.append(counts[-1] + counts[-2])
    octets = [octet for octet, count in enumerate(counts) for _ in range(count)]
    random.Random(1).shuffle(octets)
    message = bytes(sorted(octets) if order == "sorted" else octets)
    payload = new_compressor(zlib, 1, 5, 12).compress(message)
    assert inflate(payload + TAIL).data == message


@pytest.mark.parametrize("symbols", range(1, 20))
def test_few_symbols_make_codes_that_others_read(symbols: int) -> None:
    source = random.Random(symbols)
    compressor = new_compressor(zlib, 1, 5, 12)
    inflater = zlib.decompressobj(-12)
    for size in range(1, 200, 7):
        message = bytes(source.choices(range(symbols), k=size))
        assert inflater.decompress(compressor.compress(message) + TAIL) == message


def test_places_of_long_ago_are_not_taken_for_new_ones() -> None:
    # Places are kept in 16 bits: those of a window's distance and 65536 bytes back look alike.
    compressor = new_compressor(zlib, 1, 5, 9)
    inflater = zlib.decompressobj(-9)
    for number in range(300):
        message = noise(number % 7, 1013)
        assert inflater.decompress(compressor.compress(message) + TAIL) == message


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_compressed(kind: Any) -> None:
    message = b"the same words, the same words"
    payload = new_compressor(zlib, 1, 5, 12).compress(kind(message))
    assert inflate(payload + TAIL).data == message
    with pytest.raises(TypeError):
        new_compressor(zlib, 1, 5, 12).compress("text")  # type: ignore[arg-type]


@native
@pytest.mark.parametrize(
    ("arguments", "error"),
    [((7,), ValueError), ((16,), ValueError), ((), TypeError), (("12",), TypeError)],
)
def test_native_compressor_takes_nothing_but_a_window(
    arguments: tuple[Any, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        type(new_compressor(zlib, 1, 5, 12))(*arguments)


@native
def test_large_messages_are_compressed_by_several_threads_at_once() -> None:
    texts = [json_text(random.Random(number), 1000) for number in range(8)]

    def compress(_: int) -> list[bytes]:
        compressor = new_compressor(zlib, 1, 5, 12)
        return [compressor.compress(part) for text in texts for part in (text, text[:500])]

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(compress, range(8))
    assert all(other == first for other in others)
    inflater = zlib.decompressobj(-12)
    found = [inflater.decompress(payload + TAIL) for payload in first]
    assert found == [part for text in texts for part in (text, text[:500])]


@native
def test_one_compressor_serves_one_thread_at_a_time() -> None:
    compressor = new_compressor(zlib, 1, 5, 12)
    refused = threading.Event()

    def compress_for_long() -> None:
        while not refused.is_set():
            with contextlib.suppress(RuntimeError):
                compressor.compress(bytes(1000 * KiB))

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(compress_for_long)
        try:
            with pytest.raises(RuntimeError, match="another thread"):
                collections.deque(map(compressor.compress, itertools.repeat(b"short")), maxlen=0)
        finally:
            refused.set()
        done.result()
    assert compressor.compress(b"short")


# Whole messages


def inflate_whole() -> InflateWhole:
    found, most = inflate_whole_for(zlib)
    assert found is not None
    assert most == sys.maxsize
    return found


@native
@given(
    st.integers(8, 15),
    st.integers(0, 9),
    st.sampled_from([zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE]),
    st.lists(payloads, max_size=6),
)
@example(15, 9, zlib.Z_DEFAULT_STRATEGY, [noise(1, 40_000) * 2, bytes(200_000)])
def test_native_inflater_reads_what_zlib_writes(
    bits: int, level: int, strategy: int, sent: list[bytes]
) -> None:
    compressor = zlib.compressobj(level, zlib.DEFLATED, -max(bits, 9), 9, strategy)
    history, whole = bytearray(), b""
    for message in sent:
        payload = (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
        if not payload:
            continue
        for limit in (len(message), None):
            before = bytearray(history)
            if len(message):
                with pytest.raises(OverflowError):
                    inflate_whole()(payload, before, bits, len(message) - 1)
            assert before == history
            assert inflate_whole()(payload, before, bits, limit) == message
        history = before
        whole += message
        assert history == whole[-(1 << bits) :]


@native
@given(st.binary(max_size=120), st.binary(max_size=40), st.integers(0, 400))
@example(b"\x05\xff\xff\xff\xff\xff\xff\xff", b"", 100)
def test_native_inflater_takes_nothing_that_zlib_would_not_take_alike(
    payload: bytes, before: bytes, limit: int
) -> None:
    history = bytearray(before)
    try:
        message = inflate_whole()(payload, history, 9, limit)
    except OverflowError:
        message = None
    if message is None:
        assert history == before
        return
    inflater = zlib.decompressobj(-9, zdict=before) if before else zlib.decompressobj(-9)
    assert inflater.decompress(payload + TAIL) == message
    assert history == (before + message)[-512:]
    # It ended between two blocks, or the next message would mean something else.
    assert inflater.decompress(b"\x03\x00") == b""
    assert inflater.eof


@native
@given(st.data())
def test_native_inflater_is_not_led_astray_by_changed_bits(data: st.DataObject) -> None:
    message = json_text(random.Random(data.draw(st.integers(0, 3))), 5)
    payload = bytearray(new_compressor(zlib, 1, 5, 12).compress(message))
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, 8 * len(payload) - 1))
        payload[place // 8] ^= 1 << place % 8
    history = bytearray()
    found = inflate_whole()(bytes(payload), history, 12, None)
    if found is not None:
        assert zlib.decompressobj(-12).decompress(bytes(payload) + TAIL) == found


@native
@pytest.mark.parametrize("bits", range(8, 16))
def test_native_inflater_leaves_distances_beyond_the_window_to_zlib(bits: int) -> None:
    window = 1 << bits
    history = bytearray(noise(1, window))
    for distance in (window, window + 1):
        for start in (b"", b"a"):
            message = BlockWriter().begin().literals(start)
            payload = message.match(3, distance).end().message() if distance <= 32768 else b""
            before = bytearray(history)
            found = inflate_whole()(payload, before, bits, None)
            if distance > window:
                assert found is None
                assert before == history
            else:
                assert found == start + history[len(start) :][:3]


@native
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((b"\x00", bytearray(), 12), TypeError),
        ((b"\x00", b"", 12, None), ValueError),
        ((b"\x00", bytearray(), 7, None), ValueError),
        ((b"\x00", bytearray(), 16, None), ValueError),
        ((b"\x00", bytearray(), 12, -1), ValueError),
        (("text", bytearray(), 12, None), TypeError),
        ((b"\x00", bytearray(), "12", None), TypeError),
    ],
)
def test_native_inflater_refuses_other_arguments(
    arguments: tuple[Any, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        inflate_whole()(*arguments)


@native
def test_native_inflater_takes_any_limit() -> None:
    for limit in (0, sys.maxsize, 1 << 100):
        assert inflate_whole()(b"\x00", bytearray(), 12, limit) == b""
