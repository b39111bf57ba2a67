"""The native reader of heads gives what the Python gives, and is there when it should be."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import rfc6455
from rfc6455.errors import HandshakeError
from rfc6455.handshake import codec
from rfc6455.handshake.server import ServerHandshake, validate
from rfc6455.limits import Limits
from tests.helpers import opening

NAME = "rfc6455._native.head"
twin: Any = importlib.import_module(NAME) if importlib.util.find_spec(NAME) else None

native = pytest.mark.skipif(twin is None, reason="the native twin is not built")

OPENING = opening(
    "GET /chat?room=1 HTTP/1.1",
    connection="keep-alive, Upgrade",
    origin="http://example.com",
    x_empty="",
)


def load_again(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Runs the module a second time, under another name."""
    spec = importlib.util.spec_from_file_location(
        "rfc6455.handshake.codec_again", Path(codec.__file__)
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "rfc6455.handshake.codec_again", module)
    spec.loader.exec_module(module)
    return module


def test_it_runs_where_the_others_run() -> None:
    assert (codec.read_request is None) == (rfc6455.implementation == "python")


def test_python_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RFC6455_PURE", "1")
    assert load_again(monkeypatch).read_request is None


def test_the_native_twin_is_used_where_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RFC6455_PURE", raising=False)
    again = load_again(monkeypatch)
    assert again.read_request is (None if twin is None else twin.read_request)


Reader = Callable[..., Any] | None


def verdict(data: bytes, limits: Limits, reader: Reader) -> object:
    """What a handshake makes of a read, with a native reader or without; as values that compare."""
    before = codec.read_request
    codec.read_request = reader
    try:
        handshake = ServerHandshake(limits)
        request = handshake.receive_data(data)
        if request is None:
            return None
        fields = request.headers.items(), request.headers.by_name()
        offer: object
        try:
            offer = validate(request)
        except HandshakeError as error:
            offer = error.status, str(error)
        return request, fields, offer, handshake.trailing_data, handshake.wants_content
    except HandshakeError as error:
        return error.status, str(error)
    finally:
        codec.read_request = before


def agree(data: bytes, limits: Limits | None = None) -> None:
    """Demands that both readers give the same, of the head alone and of what follows it."""
    limits = Limits() if limits is None else limits
    expected = verdict(data, limits, None)
    assert verdict(data, limits, twin.read_request) == expected


def read(data: bytes, limits: Limits | None = None) -> Any:
    limits = Limits() if limits is None else limits
    return twin.read_request(
        data,
        limits.max_request_line_size,
        limits.max_header_line_size,
        limits.max_head_size,
        limits.max_headers,
    )


@native
def test_what_nearly_everybody_sends_is_taken() -> None:
    method, target, path, query, lines, values, size = read(OPENING + b"\x81\x80mask")
    assert (method, target, path, query) == ("GET", "/chat?room=1", "/chat", "room=1")
    assert f"{method} {target} HTTP/1.1\r\n".encode() + lines + b"\r\n" == OPENING
    assert values[b"upgrade"] == [b"websocket"]
    assert values[b"x-empty"] == [b""]
    assert size == len(OPENING)
    agree(OPENING + b"\x81\x80mask")


@native
@pytest.mark.parametrize(
    "data",
    [
        OPENING[:-2],
        b"\r\n" + OPENING,
        OPENING.replace(b"\r\n", b"\n"),
        OPENING.replace(b"HTTP/1.1", b"HTTP/1.0"),
        OPENING.replace(b"/chat", b"http://example.com/chat"),
        OPENING.replace(b"/chat", b"/ch#at"),
        opening(host=None),
        opening(host="a:b"),
        opening(host="[::1]"),
        opening(host="a%20b"),
        opening(host=["a", "a"]),
        opening(content_length="0"),
        opening(transfer_encoding="chunked"),
        opening(expect="100-continue"),
        opening(upgrade="web\rsocket"),
        opening(upgrade="web\x7fsocket"),
        opening(upgrade="websocket\r\n folded"),
        opening(**{"upgrade ": "websocket"}),
    ],
)
def test_all_else_is_left(data: bytes) -> None:
    assert read(data) is None
    agree(data)


@native
@pytest.mark.parametrize("name", ["max_request_line_size", "max_header_line_size", "max_head_size"])
def test_both_keep_the_same_limits_of_size(name: str) -> None:
    for limit in [*range(len(OPENING) + 3), None]:
        agree(OPENING, replace(Limits(), **{name: limit}))


@native
def test_both_keep_the_same_limit_of_fields() -> None:
    for limit in range(12):
        agree(OPENING, Limits(max_headers=limit))
    assert read(OPENING, Limits(max_headers=OPENING.count(b"\r\n") - 2)) is not None
    assert read(OPENING, Limits(max_headers=OPENING.count(b"\r\n") - 3)) is None


@native
def test_limits_that_are_no_numbers_of_c_are_left_to_python() -> None:
    agree(OPENING, Limits(max_head_size=1 << 70, max_headers=1 << 70))
    agree(OPENING, Limits(max_head_size=1e4))  # type: ignore[arg-type]


@native
def test_wrong_arguments() -> None:
    with pytest.raises(TypeError, match="5 arguments"):
        twin.read_request(OPENING)
    assert twin.read_request(bytearray(OPENING), None, None, None, None) is None


@native
def test_both_agree_wherever_the_head_is_cut() -> None:
    for end in range(len(OPENING) + 1):
        agree(OPENING[:end])


@native
def test_both_agree_whatever_octet_stands_anywhere() -> None:
    limits = Limits(max_request_line_size=40, max_header_line_size=60)
    request = b"GET /a?b HTTP/1.1\r\nHost: a:1\r\nX:  y z \r\nUpgrade: websocket\r\n\r\n"
    for place in range(len(request)):
        before, behind = request[:place], request[place + 1 :]
        agree(before + behind, limits)
        for octet in range(256):
            agree(before + bytes([octet]) + behind, limits)


def changed(request: bytes) -> Iterator[st.SearchStrategy[bytes]]:
    """Strategies for a request in which something was replaced, or inserted."""
    places = st.integers(0, len(request))
    for piece in (
        st.binary(max_size=3),
        st.sampled_from(
            [b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b",", b"Host: b\r\n", b"\r", b"?"]
        ),
        st.sampled_from([b"X: a\r\n", b"x-Y:\t b\t\r\n", b"Expect: 100-continue\r\n"]),
    ):
        yield st.builds(
            lambda place, length, piece: request[:place] + piece + request[place + length :],
            places,
            st.integers(0, 4),
            piece,
        )


small = st.none() | st.integers(0, 200)
limits = st.builds(
    Limits,
    max_request_line_size=small,
    max_header_line_size=small,
    max_head_size=st.none() | st.integers(0, 400),
    max_headers=st.none() | st.integers(0, 12),
)


@native
@given(st.one_of(*changed(OPENING)), limits, st.binary(max_size=3))
@example(OPENING, Limits(), b"")
def test_both_read_alike(request: bytes, limits: Limits, behind: bytes) -> None:
    agree(request + behind, limits)


@native
def test_nothing_is_kept() -> None:
    requests = [OPENING, OPENING[:-1], opening(host=["a", "a"]), opening(expect="x"), b"", b"GET /"]
    for request in requests:
        read(request)
    before = sys.getallocatedblocks()
    for _ in range(300):
        for request in requests:
            read(request)
    assert sys.getallocatedblocks() - before < 100
