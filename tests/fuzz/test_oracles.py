"""The oracles themselves: with a bug planted, each target finds it among its seeds.

An oracle that has never failed proves nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import pytest

import rfc6455
from fuzz.oracles import Violation, outcome, pieces, retained
from fuzz.targets import TARGETS, _frames
from rfc6455 import CloseCode, Connection, Event, Fault, ProtocolError
from rfc6455.codec import Decoder
from rfc6455.extensions.codec import LibraryCompressor
from rfc6455.frames import Opcode


def found_by(target: str) -> Exception:
    """Returns what the target raises for the first of its seeds that finds the bug."""
    check = TARGETS[target].check()
    for data in TARGETS[target].seeds().values():
        try:
            check(data)
        except Exception as error:
            return error
    pytest.fail(f"{target} does not find it")


class Planted(Decoder):
    """A decoder with one bug, over the interface that every decoder has."""

    __slots__ = ("calls", "kept")

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.calls = 0
        self.kept: list[Any] = []


class GoesOnAfterTheEnd(Planted):
    def receive_data(self, data: bytes | bytearray | memoryview) -> list[Event]:
        events = super().receive_data(data)
        if self.kept:
            return [rfc6455.Ping()]
        self.kept = [event for event in events if isinstance(event, rfc6455.Close | Fault)]
        return events


class LosesWhatIsCut(Planted):
    def receive_data(self, data: bytes | bytearray | memoryview) -> list[Event]:
        self.calls += 1
        return super().receive_data(data[1:] if self.calls == 3 else data)


class KeepsTheBuffer(Planted):
    def receive_data(self, data: bytes | bytearray | memoryview) -> list[Event]:
        events = super().receive_data(data)
        if isinstance(data, bytearray):
            return [data if isinstance(event, str) else event for event in events]  # type: ignore[misc]
        return events


class RemembersEverything(Planted):
    def receive_data(self, data: bytes | bytearray | memoryview) -> list[Event]:
        self.kept.append(bytes(200_000))
        return super().receive_data(data)


class FailsWithAnotherCode(Planted):
    def receive_data(self, data: bytes | bytearray | memoryview) -> list[Event]:
        events = super().receive_data(data)
        for number, event in enumerate(events):
            if isinstance(event, Fault):
                events[number] = Fault(ProtocolError(CloseCode.NORMAL_CLOSURE, "as you wish"))
        return events


class Raises(Planted):
    def receive_data(self, data: bytes | bytearray | memoryview) -> list[Event]:
        if data[:1] == b"\x89":
            raise IndexError("list index out of range")
        return super().receive_data(data)


@pytest.mark.parametrize("target", ["frames_server", "frames_client", "inflate"])
@pytest.mark.parametrize(
    ("bug", "message"),
    [
        (GoesOnAfterTheEnd, ""),
        (LosesWhatIsCut, "the cut matters"),
        (KeepsTheBuffer, ""),
        (RemembersEverything, "too much is retained"),
        (FailsWithAnotherCode, "wrong close code"),
        (Raises, "list index out of range"),
    ],
)
def test_planted_bug_in_a_decoder_is_found(
    target: str, bug: type[Planted], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    TARGETS[target].check()
    monkeypatch.setattr(_frames, "Decoder", bug)
    if target == "inflate":
        monkeypatch.setattr("fuzz.targets.inflate.Decoder", bug)
    error = found_by(target)
    assert message in str(error)
    assert isinstance(error, IndexError if bug is Raises else Violation)


class LosesAMessage(Connection):
    def send_text(self, text: str, *, final: bool = True, compress: bool | None = None) -> None:
        if text != "Hi":
            super().send_text(text, final=final, compress=compress)


class ClosesTwice(Connection):
    def close(self, *arguments: Any) -> None:
        super().close(*arguments)
        self._send_frame(Opcode.CLOSE, b"")


class SaysItTwice(Connection):
    def data_to_send(self) -> bytes:
        return super().data_to_send() or b"\x8a\x00"


class NeverEnds(Connection):
    def next_deadline(self) -> float | None:
        return None


class EndsTwice(Connection):
    def receive_eof(self) -> list[Event]:
        return super().receive_eof() or [rfc6455.Closed(1006, "", False)]


class Forgets(Connection):
    def answer_close(self, now: float = 0.0) -> None:
        raise KeyError(self.state)


@pytest.mark.parametrize(
    ("bug", "message"),
    [
        (LosesAMessage, "something else was sent"),
        (ClosesTwice, "after our Close"),
        (SaysItTwice, "something twice"),
        (NeverEnds, "time does not end it"),
        (EndsTwice, "an event after the last"),
        (Forgets, "State."),
    ],
)
def test_planted_bug_in_a_connection_is_found(
    bug: type[Connection], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    TARGETS["connection"].check()
    monkeypatch.setattr("fuzz.targets.connection.Connection", bug)
    assert message in str(found_by("connection"))


@pytest.mark.skipif(rfc6455.implementation != "native", reason="needs the native twin")
def test_channel_finds_a_short_way_that_starts_within_a_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Connection, "at_boundary", property(lambda self: True))
    assert "the ways differ" in str(found_by("channel"))


def test_twin_that_reads_something_else_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    TARGETS["twins"].check()
    monkeypatch.setattr("rfc6455.codec.Decoder", LosesWhatIsCut)
    assert "the twins differ" in str(found_by("twins"))


def test_twin_that_writes_something_else_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    TARGETS["twins"].check()
    encode = rfc6455.codec.encode
    monkeypatch.setattr("rfc6455.codec.encode", lambda *a, **k: encode(*a, **{**k, "fin": True}))
    assert "different frames" in str(found_by("twins"))


@pytest.mark.skipif(rfc6455.implementation != "native", reason="needs the native twin")
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda found, history: found + b"x", "another message"),
        (lambda found, history: history.clear() or found, "another history"),
    ],
)
def test_twin_that_inflates_something_else_is_found(
    wrong: Callable[[bytes, bytearray], bytes], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, find = replaced("twins", "inflate_whole_for")

    def inflate(payload: bytes, history: bytearray, bits: int, limit: int | None) -> bytes | None:
        found: bytes | None = find(zlib)[0](payload, history, bits, None)
        return None if found is None else wrong(found, history)

    monkeypatch.setattr(path, lambda library: (inflate, 0))
    assert message in str(found_by("twins"))


def test_twin_that_compresses_something_else_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Adds(LibraryCompressor):
        def compress(self, payload: bytes, /) -> bytes:
            return super().compress(payload + b"x")

    path, _ = replaced("twins", "new_compressor")
    monkeypatch.setattr(path, Adds)
    assert "comes out of zlib as something else" in str(found_by("twins"))


def replaced(target: str, name: str) -> tuple[str, Callable[..., Any]]:
    """Returns the path and the original of a function as a target sees it."""
    TARGETS[target].check()
    module = __import__(f"fuzz.targets.{target}", fromlist=[name])
    return f"fuzz.targets.{target}.{name}", getattr(module, name)


def test_frame_written_in_another_way_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    path, encode = replaced("frame", "encode")
    monkeypatch.setattr(path, lambda *a, **k: encode(*a, **{**k, "rsv": 0}))
    assert "written in another way" in str(found_by("frame"))


def test_header_that_more_bytes_change_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    path, decode_header = replaced("frame", "decode_header")

    def hasty(data: bytes, **settings: Any) -> Any:
        return decode_header(data + b"\x00" * (len(data) == 1), **settings)

    monkeypatch.setattr(path, hasty)
    assert isinstance(found_by("frame"), Violation)


@pytest.mark.parametrize("held", [1, 3])
def test_late_verdict_on_text_is_found(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path, validator = replaced("utf8", "Utf8Validator")

    class Late(validator):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__()
            self.waiting = b""

        def feed(self, octets: bytes) -> None:
            octets = self.waiting + octets
            self.waiting = octets[-held:]
            super().feed(octets[:-held])

    monkeypatch.setattr(path, Late)
    assert isinstance(found_by("utf8"), Violation)


def test_tokens_that_are_none_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = replaced("headers", "parse_tokens")
    monkeypatch.setattr(
        path, lambda lines, **_: [part.decode("latin-1") for part in b",".join(lines).split(b",")]
    )
    assert "not tokens" in str(found_by("headers"))


def test_undocumented_error_of_a_grammar_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    path, parse_extensions = replaced("headers", "parse_extensions")

    def parse(lines: list[bytes]) -> Any:
        for line in lines:
            line.decode("ascii").encode()
        return parse_extensions(lines)

    def raising(lines: list[bytes]) -> Any:
        try:
            return parse(lines)
        except UnicodeDecodeError:
            raise KeyError("ascii") from None

    monkeypatch.setattr(path, raising)
    assert isinstance(found_by("headers"), KeyError)


def test_uri_that_ends_a_line_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = replaced("uri", "parse_uri")
    monkeypatch.setattr(
        path, lambda text: rfc6455.uri.WebSocketURI(False, "a", 80, "/" + text.partition("://")[2])
    )
    assert isinstance(found_by("uri"), Violation)


def test_close_code_that_must_not_travel_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    replaced("close", "Close")
    monkeypatch.setattr("rfc6455.close.is_sendable", lambda code: code != 1002)
    assert isinstance(found_by("close"), Violation)


def test_inflater_that_changes_a_message_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    path, negotiate = replaced("inflate", "negotiate")

    def wrong(settings: Any) -> Any:
        client, server = negotiate(settings)
        encode = type(client).encode

        class Wrong(type(client)):  # type: ignore[misc]
            __slots__ = ()

            def encode(self, payload: bytes, *, final: bool) -> bytes:
                result: bytes = encode(self, payload + b"!", final=final)
                return result

        client.__class__ = Wrong
        return client, server

    monkeypatch.setattr(path, wrong)
    assert found_by("inflate") is not None


@pytest.mark.parametrize("target", ["request_head", "response_head"])
def test_head_that_depends_on_the_cut_is_found(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    TARGETS[target].check()
    feed = rfc6455.http.HeadReader.feed

    def forgetful(self: Any, data: bytes) -> Any:
        return feed(self, data[:-1] if len(data) == 2 else data)

    monkeypatch.setattr(rfc6455.http.HeadReader, "feed", forgetful)
    assert isinstance(found_by(target), Violation)


def test_answer_with_a_line_of_the_clients_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    path, error_response = replaced("request_head", "error_response")

    def echo(error: Any) -> Any:
        response = error_response(error)
        response.headers._fields.append((b"X-Error", b"a\r\nX: b"))
        return response

    monkeypatch.setattr(path, echo)
    assert not isinstance(found_by("request_head"), AttributeError)


def test_difference_without_a_reason_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    path, decoder = replaced("differential", "Decoder")

    class Lenient(decoder):  # type: ignore[misc, valid-type]
        __slots__ = ()

        def receive_data(self, data: bytes) -> list[Event]:
            return super().receive_data(data.replace(b"\x83", b"\x81"))  # type: ignore[no-any-return]

    monkeypatch.setattr(path, Lenient)
    assert "without a known reason" in str(found_by("differential"))


def test_undocumented_errors_pass_through() -> None:
    with pytest.raises(KeyError):
        outcome({}.__getitem__, "missing", documented=ValueError)


def test_pieces_are_the_input_in_every_kind_of_buffer() -> None:
    kinds = set()
    for size in range(200):
        data = bytes(range(size))
        taken = []
        for piece in pieces(data):
            kinds.add(type(piece))
            taken.append(bytes(piece))
        assert b"".join(taken) == data
    assert kinds == {bytes, bytearray, memoryview}


def test_retained_sees_what_attributes_hold() -> None:
    decoder = Decoder(masked=False)
    before = retained(decoder)
    decoder.receive_data(b"\x02\x7e\x10\x00" + b"*" * 1000)
    assert retained(decoder) - before >= 1000
