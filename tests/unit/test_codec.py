"""The native twin gives what the Python gives, and is there when it should be."""

from __future__ import annotations

import ctypes
import importlib.util
import itertools
import mmap
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import rfc6455
from rfc6455 import codec, frames, parser
from rfc6455.events import Fault
from rfc6455.frames import Opcode

PROT_NONE = 0

native = pytest.mark.skipif(
    codec.implementation != "native", reason="the native twin is not built, or not wanted"
)


def test_the_native_twin_is_there_when_it_should_be() -> None:
    if os.environ.get("RFC6455_PURE"):
        assert rfc6455.implementation == "python"
    elif os.environ.get("CI") == "true":
        assert rfc6455.implementation == "native"
    else:
        assert rfc6455.implementation in ("native", "python")


def load_codec_again(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Runs the module a second time, under another name."""
    path = Path(codec.__file__)
    spec = importlib.util.spec_from_file_location("rfc6455.codec_again", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "rfc6455.codec_again", module)
    spec.loader.exec_module(module)
    return module


def test_python_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RFC6455_PURE", "1")
    again = load_codec_again(monkeypatch)
    assert again.implementation == "python"
    assert again.Decoder is parser.Decoder
    assert again.encode is frames.encode


def test_the_native_twin_is_used_where_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RFC6455_PURE", raising=False)
    again = load_codec_again(monkeypatch)
    if again.implementation == "native":
        assert issubclass(again.Decoder, parser.Decoder)
        assert again.encode is not frames.encode
        message = frames.encode(Opcode.TEXT, b"hi", masking_key=b"1234")
        assert again.Decoder(masked=True).receive_data(message) == ["hi"]


def outcome(call: Callable[..., Any], *args: Any, **kwargs: Any) -> object:
    """What a call gives, or the kind of error that it raises."""
    try:
        return call(*args, **kwargs)
    except Exception as error:
        return type(error)


keys = st.none() | st.binary(min_size=4, max_size=4)
payloads = st.binary(max_size=300) | st.sampled_from([125, 126, 127, 65535, 65536]).map(bytes)


@native
@given(
    st.sampled_from(Opcode), payloads, st.booleans(), st.sampled_from([0, 0x40, 0x20, 0x10]), keys
)
def test_both_encode_alike(
    opcode: Opcode, payload: bytes, fin: bool, rsv: int, key: bytes | None
) -> None:
    assert codec.encode(opcode, payload, fin=fin, rsv=rsv, masking_key=key) == frames.encode(
        opcode, payload, fin=fin, rsv=rsv, masking_key=key
    )


texts = st.text(st.characters(codec="utf-8"), max_size=100)


@native
@given(texts | payloads, keys)
def test_both_encode_messages_alike(message: str | bytes, key: bytes | None) -> None:
    assert codec.encode_message(message, key) == frames.encode_message(message, key)


@native
@pytest.mark.parametrize("message", ["\ud800", "a\udfff", None, 1, ["a"]])
def test_both_refuse_the_same_messages(message: Any) -> None:
    found = outcome(codec.encode_message, message)
    assert isinstance(found, type)
    expected = outcome(frames.encode_message, message)
    assert found is expected or (found, expected) == (TypeError, TypeError)


@native
@pytest.mark.parametrize("size", range(130))
def test_both_mask_alike_at_every_alignment(size: int) -> None:
    from rfc6455._native.codec import apply_mask

    octets = bytes(range(256)) * 2
    for start in range(8):
        payload = octets[start : start + size]
        view = memoryview(octets)[start : start + size]
        expected = frames.apply_mask(payload, b"\x11\x22\x44\x88")
        assert apply_mask(payload, b"\x11\x22\x44\x88") == expected
        assert apply_mask(bytes(view), b"\x11\x22\x44\x88") == expected


@native
@pytest.mark.parametrize("key", [b"", b"123", b"12345"])
def test_a_key_has_four_bytes(key: bytes) -> None:
    from rfc6455._native import codec as twin

    with pytest.raises(ValueError, match="four bytes"):
        twin.apply_mask(b"payload", key)
    with pytest.raises(ValueError, match="four bytes"):
        twin.encode(1, b"payload", masking_key=key)
    with pytest.raises(ValueError, match="four bytes"):
        twin.encode_message(b"payload", key)


@pytest.fixture
def guarded() -> Iterator[memoryview]:
    """A page of memory between two pages that may not be touched: a process that does dies."""
    if sys.platform != "linux":
        pytest.skip("pages are guarded as Linux does it")
    libc = ctypes.CDLL(None, use_errno=True)
    size = mmap.PAGESIZE
    pages = mmap.mmap(-1, 3 * size)
    first = ctypes.c_char.from_buffer(pages)
    address = ctypes.addressof(first)
    for guard in (address, address + 2 * size):
        assert libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(size), PROT_NONE) == 0
    with memoryview(pages) as whole, whole[size : 2 * size] as page:
        yield page
    del first
    pages.close()


def at_edges(page: memoryview, data: bytes) -> Iterator[Any]:
    """Places data so that it ends where the page ends, and so that it starts where it starts."""
    for start in (len(page) - len(data), 0):
        with page[start : start + len(data)] as place:
            place[:] = data
            yield place


KEY = b"\x11\x22\x44\x88"


@native
def test_the_guards_are_there() -> None:
    """Reading one octet too many ends the process: the tests below could not fail otherwise."""
    program = (
        "import ctypes, mmap\n"
        "pages = mmap.mmap(-1, 2 * mmap.PAGESIZE)\n"
        "address = ctypes.addressof(ctypes.c_char.from_buffer(pages)) + mmap.PAGESIZE\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE), 0)\n"
        "ctypes.string_at(address - 1, 1)\n"
        "print('within', flush=True)\n"
        "ctypes.string_at(address - 1, 2)\n"
        "print('beyond', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.stdout == b"within\n"
    assert done.returncode != 0


@native
@pytest.mark.parametrize("size", range(130))
def test_payloads_and_keys_end_at_a_guarded_page(guarded: memoryview, size: int) -> None:
    from rfc6455._native.codec import apply_mask, encode, encode_message

    payload = bytes(range(256))[:size]
    masked = frames.apply_mask(payload, KEY)
    written = frames.encode(Opcode.BINARY, payload, masking_key=KEY)
    for place in at_edges(guarded, payload):
        assert apply_mask(place, KEY) == masked
        assert encode(Opcode.BINARY, place, masking_key=KEY) == written
        assert encode_message(place, KEY) == written
        assert encode_message(place) == frames.encode(Opcode.BINARY, payload)
    for key in at_edges(guarded, KEY):
        assert apply_mask(payload, key) == masked
        assert encode(Opcode.BINARY, payload, masking_key=key) == written
        assert encode_message(payload, key) == written


@native
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
@pytest.mark.parametrize("size", range(130))
def test_frames_end_at_a_guarded_page(
    guarded: memoryview, size: int, opcode: Opcode, masked: bool
) -> None:
    """Frames that are cut at any place are left, whole ones are taken."""
    from rfc6455._native.codec import take_whole_messages

    frame = frames.encode(opcode, b"x" * size, masking_key=KEY if masked else None)
    for cut in range(len(frame) + 1):
        for place in at_edges(guarded, frame[:cut]):
            events: list[Any] = []
            taken = take_whole_messages(place, 0, masked, 0xFFFF, events)
            assert (taken, len(events)) == ((cut, 1) if cut == len(frame) else (0, 0))


@native
@pytest.mark.parametrize(
    "octets",
    [
        *("", "ff", "81", "817e", "817e00", "81fe", "81fe00", "82ff", "827f", "827f00000000000100"),
        *("827f0000000000010000", "82ff00000000000100", "82ff7fffffffffffffff112233"),
    ],
)
@pytest.mark.parametrize("masked", [True, False])
def test_headers_end_at_a_guarded_page(guarded: memoryview, octets: str, masked: bool) -> None:
    from rfc6455._native.codec import take_whole_messages

    before = frames.encode(Opcode.TEXT, b"a", masking_key=KEY if masked else None)
    for place in at_edges(guarded, before + bytes.fromhex(octets)):
        events: list[Any] = []
        assert take_whole_messages(place, 0, masked, 0xFFFF, events) == len(before)
        assert take_whole_messages(place, len(place), masked, 0xFFFF, events) == len(place)
        assert events == ["a"]


marked_frames = st.lists(
    st.builds(
        frames.encode,
        st.sampled_from([Opcode.TEXT, Opcode.BINARY, *Opcode]),
        st.text(max_size=60).map(str.encode) | st.binary(max_size=20) | payloads,
        rsv=st.sampled_from([0, 0x40, 0x40, 0x40, 0x20]),
        masking_key=st.just(KEY),
    ),
    max_size=80,
).map(b"".join)


@native
@given(
    marked_frames,
    st.sampled_from([0, 0x40, 0x20]),
    st.sampled_from([0, 1, 125, 1000]),
    st.sampled_from([0, 1, 10_000]),
)
def test_both_take_the_same_run(data: bytes, mark: int, limit: int, factor: int) -> None:
    from rfc6455._native.codec import take_whole_messages

    def unwrap(payload: bytes, is_text: bool) -> str | bytes | None:
        if is_text:
            return None if len(payload) % 10 == 9 else "x" * len(payload) * factor
        return payload * factor

    def result(take: Callable[..., int]) -> object:
        events: list[Any] = []
        return take(data, 0, True, limit, events, mark, unwrap if mark else None), events

    assert result(take_whole_messages) == result(parser.take_whole_messages)


@native
def test_wrong_arguments_are_refused() -> None:
    from rfc6455._native.codec import take_whole_messages

    marked = frames.encode(Opcode.TEXT, b"", rsv=0x40, masking_key=KEY)
    wrong: list[tuple[Any, ...]] = [
        (marked, 0, True, 10, [], 0x40),
        (marked, 0, True, 10, [], "", len),
        (marked, 0, True, 10, [], 0x40, 1),
        (marked, 0, True, 10, [], 0x40, lambda *_: 1),
        (b"", -1, True, 10, []),
        (b"", 1, True, 10, []),
        (b"", 0, True, 10, ()),
        ("", 0, True, 10, []),
    ]
    for arguments in wrong:
        assert outcome(take_whole_messages, *arguments) in (ValueError, TypeError)


# Streams of frames: mostly good, sometimes not, cut anywhere.
streams = st.lists(
    st.builds(
        frames.encode,
        st.sampled_from([Opcode.TEXT, Opcode.TEXT, Opcode.BINARY, *Opcode]),
        st.text(max_size=60).map(str.encode) | st.binary(max_size=20) | payloads,
        fin=st.sampled_from([True, True, True, False]),
        rsv=st.sampled_from([0] * 9 + [0x40]),
        masking_key=st.sampled_from([b"\x01\x02\x03\x04", b"\x00" * 4, b"\xff\x80\x7f\x00"])
        | st.none(),
    )
    | st.binary(min_size=1, max_size=10),
    max_size=8,
).map(b"".join)


def run(decoder: parser.Decoder, data: bytes, cuts: list[int], kind: Callable[[bytes], Any]) -> Any:
    events: list[Any] = []
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, stop in itertools.pairwise(edges):
        events += decoder.receive_data(kind(data[start:stop]))
    return [
        (e.error.code, e.error.reason, e.error.section) if isinstance(e, Fault) else e
        for e in events
    ]


@native
@given(
    streams,
    st.lists(st.integers(0, 2000), max_size=6),
    st.booleans(),
    st.sampled_from([None, 0, 1, 125, 126, 300]),
    st.sampled_from([None, 0, 1, 3]),
    st.sampled_from([bytes, bytearray, memoryview]),
)
@example(bytes.fromhex("8180 00000000"), [], True, 0, 0, bytes)
@example(bytes.fromhex("8183 00000000 eda080 8181 00000000 41"), [], True, None, None, bytes)
@example(
    bytes.fromhex("8283 00000000 eda080 81fe 007d 00000000") + bytes(125), [], True, None, 1, bytes
)
def test_both_decode_alike(
    data: bytes,
    cuts: list[int],
    masked: bool,
    max_size: int | None,
    max_fragments: int | None,
    kind: Callable[[bytes], Any],
) -> None:
    expected, found = (
        run(
            decoder(masked=masked, max_message_size=max_size, max_fragments=max_fragments),
            data,
            cuts,
            kind,
        )
        for decoder in (parser.Decoder, codec.Decoder)
    )
    assert found == expected
