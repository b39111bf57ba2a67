"""The sans-IO codecs alone: ours beside those of websockets and wsproto.

What lives here: streams of messages, and for each library the loop that its manual prescribes for
driving it. No sockets, no event loop: what is measured is bytes to messages, and messages to bytes.

    python -m bench.codec                   all sizes, receiving and sending
    python -m bench.codec --quick           128-byte messages only
    python -m bench.codec --json            also write bench/results/codec-native.json
    RFC6455_PURE=1 python -m bench.codec    the same with ours in pure Python
    python -m bench.codec --require 1.0     fail unless we reach this multiple of websockets
                                            in receiving 128-byte messages

Every library does its own work on a message and no other: ours and wsproto check UTF-8 and give
``str``; websockets gives ``bytes``, and leaves that to the layer above it (not measured here).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from rfc6455 import Connection, Role, codec, implementation
from rfc6455.frames import Opcode, encode
from rfc6455.parser import Decoder

from .harness import (
    RESULTS,
    environment,
    headline,
    interleave,
    median_rate,
    print_table,
    size_name,
    write_results,
)

SIZES: Final = (8, 128, 1024, 16 * 1024, 64 * 1024)
"""Bytes of a message."""
READ_SIZE: Final = 64 * 1024
"""Bytes that one read of a socket brings at most."""
BYTES_PER_RUN: Final = 16 * 1024 * 1024
MESSAGES_PER_RUN: Final = 8192

Prepare = Callable[[], Callable[[], object]]


@dataclass(frozen=True, slots=True)
class Codec:
    """One library: how it receives as a server, and how it sends as either side.

    Attributes:
        name: in the tables.
        receive: takes reads, and a list to collect messages in or None; returns the run.
        send: takes texts, how many are handed over before the bytes are collected, whether to mask,
            and a list to collect the bytes in or None; returns the run.
    """

    name: str
    receive: Callable[[list[bytes], list[str] | None], Callable[[], object]]
    send: Callable[[list[str], int, bool, list[bytes] | None], Callable[[], object]]


# rfc6455


def connection_receive(reads: list[bytes], sink: list[str] | None) -> Callable[[], object]:
    """`rfc6455.Connection`, as a transport drives it."""
    connection = Connection(Role.SERVER)

    def run() -> None:
        for data in reads:
            events = connection.receive_data(data)
            connection.data_to_send()
            if sink is not None:
                sink.extend(events)  # type: ignore[arg-type]

    return run


def connection_send(
    texts: list[str], batch: int, mask: bool, sink: list[bytes] | None
) -> Callable[[], object]:
    """`rfc6455.Connection`, as a transport drives it."""
    connection = Connection(Role.CLIENT if mask else Role.SERVER)
    batches = list(_batches(texts, batch))

    def run() -> None:
        for some in batches:
            for text in some:
                connection.send_text(text)
            data = connection.data_to_send()
            if sink is not None:
                sink.append(data)

    return run


def decoder_receive(
    decoder: type[Decoder], reads: list[bytes], sink: list[str] | None
) -> Callable[[], object]:
    """The receiving half of the seam in `rfc6455.codec`, by itself."""
    receive_data = decoder(masked=True, max_message_size=1024 * 1024).receive_data

    def run() -> None:
        for data in reads:
            events = receive_data(data)
            if sink is not None:
                sink.extend(events)  # type: ignore[arg-type]

    return run


def encoder_send(
    encoder: Callable[..., bytes],
    texts: list[str],
    batch: int,
    mask: bool,
    sink: list[bytes] | None,
) -> Callable[[], object]:
    """The sending half of the seam in `rfc6455.codec`, by itself, with one masking key for all."""
    batches = list(_batches(texts, batch))
    key = b"\x12\x34\x56\x78" if mask else None

    def run() -> None:
        for some in batches:
            data = b"".join([encoder(Opcode.TEXT, t.encode(), masking_key=key) for t in some])
            if sink is not None:
                sink.append(data)

    return run


# websockets


def websockets_receive(reads: list[bytes], sink: list[str] | None) -> Callable[[], object]:
    """`websockets.protocol.Protocol`, driven as its manual says."""
    from websockets.protocol import SERVER, Protocol

    protocol = Protocol(SERVER)

    def run() -> None:
        for data in reads:
            protocol.receive_data(data)
            frames = protocol.events_received()
            protocol.data_to_send()
            if sink is not None:
                sink.extend(frame.data.decode() for frame in frames)  # type: ignore[union-attr]

    return run


def websockets_send(
    texts: list[str], batch: int, mask: bool, sink: list[bytes] | None
) -> Callable[[], object]:
    """`websockets.protocol.Protocol`, driven as its manual says."""
    from websockets.protocol import CLIENT, SERVER, Protocol

    protocol = Protocol(CLIENT if mask else SERVER)
    batches = list(_batches(texts, batch))

    def run() -> None:
        for some in batches:
            for text in some:
                protocol.send_text(text.encode())
            data = protocol.data_to_send()
            if sink is not None:
                sink.extend(data)

    return run


# wsproto


def wsproto_receive(reads: list[bytes], sink: list[str] | None) -> Callable[[], object]:
    """`wsproto.connection.Connection`, driven as its manual says."""
    from wsproto.connection import Connection, ConnectionType

    connection = Connection(ConnectionType.SERVER)

    def run() -> None:
        for data in reads:
            connection.receive_data(data)
            for event in connection.events():
                if sink is not None:
                    # A part of a message, as it arrives.
                    sink.append(event.data)  # type: ignore[attr-defined]

    return run


def wsproto_send(
    texts: list[str], batch: int, mask: bool, sink: list[bytes] | None
) -> Callable[[], object]:
    """`wsproto.connection.Connection`, driven as its manual says."""
    from wsproto.connection import Connection, ConnectionType
    from wsproto.events import TextMessage

    connection = Connection(ConnectionType.CLIENT if mask else ConnectionType.SERVER)
    batches = list(_batches(texts, batch))

    def run() -> None:
        for some in batches:
            data = b"".join([connection.send(TextMessage(data=text)) for text in some])
            if sink is not None:
                sink.append(data)

    return run


def installed() -> list[Codec]:
    """Returns our codecs, and those of the peers that are installed; names the missing."""
    codecs = [
        Codec("rfc6455", connection_receive, connection_send),
        Codec(
            "its codec",
            partial(decoder_receive, codec.Decoder),
            partial(encoder_send, codec.encode),
        ),
    ]
    if implementation != "python":
        pure = Codec("in Python", partial(decoder_receive, Decoder), partial(encoder_send, encode))
        codecs.append(pure)
    for peer in (
        Codec("websockets", websockets_receive, websockets_send),
        Codec("wsproto", wsproto_receive, wsproto_send),
    ):
        if importlib.util.find_spec(peer.name) is None:
            print(f"{peer.name} is not installed: it is left out", file=sys.stderr)
        else:
            codecs.append(peer)
    return codecs


# The streams


def messages(size: int) -> list[str]:
    """Returns different JSON texts of ``size`` bytes, enough for one run."""
    count = max(64, min(MESSAGES_PER_RUN, BYTES_PER_RUN // size))
    return [json.dumps({"n": n, "text": "." * size})[:size] for n in range(count)]


def masked_frames(texts: list[str]) -> list[bytes]:
    """Returns the frames of a client, with keys that are the same in every run."""
    keys = random.Random(6455)
    return [encode(Opcode.TEXT, text.encode(), masking_key=keys.randbytes(4)) for text in texts]


def reads_of(frames: list[bytes], shape: str) -> list[bytes]:
    """Cuts a stream into reads: one frame each, 16 frames each, or as a full socket is read."""
    if shape == "64 KiB per read":
        stream = b"".join(frames)
        return [stream[i : i + READ_SIZE] for i in range(0, len(stream), READ_SIZE)]
    return [b"".join(some) for some in _batches(frames, 16 if shape == "16 per read" else 1)]


def _batches(items: list[Any], size: int) -> Iterator[list[Any]]:
    for i in range(0, len(items), size):
        yield items[i : i + size]


# The measurement


@dataclass(frozen=True, slots=True)
class Workload:
    """One row of a table: what each codec is to do, and a check that it did so."""

    direction: str
    size: int
    shape: str
    count: int
    candidates: dict[str, Prepare]


def receiving(codecs: list[Codec], size: int, shape: str) -> Workload:
    """Prepares messages of one size, cut into reads, and checks once what each codec gives."""
    texts = messages(size)
    reads = reads_of(masked_frames(texts), shape)
    for codec_ in codecs:
        sink: list[str] = []
        codec_.receive(reads, sink)()
        if "".join(sink) != "".join(texts):
            raise AssertionError(f"{codec_.name} received something else ({size} B, {shape})")
    candidates: dict[str, Prepare] = {c.name: partial(c.receive, reads, None) for c in codecs}
    return Workload("receive", size, shape, len(texts), candidates)


def sending(codecs: list[Codec], size: int, shape: str) -> Workload:
    """Prepares messages of one size, and checks once what each codec makes of them."""
    texts = messages(size)
    batch = 16 if shape.startswith("16") else 1
    mask = shape.endswith("masked")
    for codec_ in codecs:
        sink: list[bytes] = []
        codec_.send(texts, batch, mask, sink)()
        if Decoder(masked=mask).receive_data(b"".join(sink)) != texts:
            raise AssertionError(f"{codec_.name} sent something else ({size} B, {shape})")
    candidates: dict[str, Prepare] = {
        c.name: partial(c.send, texts, batch, mask, None) for c in codecs
    }
    return Workload("send", size, shape, len(texts), candidates)


WORKLOADS: Final[dict[str, tuple[Callable[..., Workload], tuple[str, ...]]]] = {
    "receive": (receiving, ("1 per read", "16 per read", "64 KiB per read")),
    "send": (sending, ("1 per write", "16 per write", "1 per write, masked")),
}


def measure(workload: Workload, rounds: int) -> dict[str, Any]:
    """Runs a workload and returns its row: samples, and rates in messages per second."""
    seconds = interleave(workload.candidates, rounds=rounds)
    return {
        "direction": workload.direction,
        "size": workload.size,
        "shape": workload.shape,
        "messages": workload.count,
        "seconds": seconds,
        "rates": {name: median_rate(times, workload.count) for name, times in seconds.items()},
        # The median of the ratios within each round says more than the ratio of two medians.
        "ratios": {
            name: statistics.median(
                theirs / ours for ours, theirs in zip(seconds["rfc6455"], times, strict=True)
            )
            for name, times in seconds.items()
            if name in ("websockets", "wsproto")
        },
    }


def table(direction: str, results: list[dict[str, Any]]) -> None:
    """Prints the rows of one direction."""
    rates, ratios = list(results[0]["rates"]), list(results[0]["ratios"])
    rows = [
        [
            f"{size_name(result['size'])}, {result['shape']}",
            *(f"{result['rates'][name] / 1000:.1f}" for name in rates),
            *(f"{result['ratios'][name]:.2f}" for name in ratios),
        ]
        for result in results
    ]
    title = {"receive": "Receiving masked text", "send": "Sending text"}[direction]
    print_table(
        f"{title}, thousand messages per second", ["", *rates, *(f"× {n}" for n in ratios)], rows
    )


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m bench.codec", description="Measure codecs.")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="BYTES")
    parser.add_argument("--rounds", type=int, default=9, help="runs of each codec (default: 9)")
    parser.add_argument("--quick", action="store_true", help="128-byte messages, five rounds")
    parser.add_argument("--json", action="store_true", help="write codec-*.json")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, metavar="FOLDER", help="(default: bench/results)"
    )
    parser.add_argument("--require", type=float, metavar="RATIO", help="to websockets, at 128 B")
    options = parser.parse_args(arguments)
    sizes, rounds = ((128,), 5) if options.quick else (options.sizes, options.rounds)

    facts = environment(["websockets", "wsproto"])
    print(headline(facts))
    codecs = installed()
    results = []
    for direction, (workload, shapes) in WORKLOADS.items():
        rows = [
            measure(workload(codecs, size, shape), rounds) for size in sizes for shape in shapes
        ]
        table(direction, rows)
        results += rows
    if options.json:
        path = write_results(f"codec-{implementation}", facts, results, folder=options.results)
        print(f"\nwritten to {path}")
    if options.require is not None:
        return _require(options.require, results)
    return 0


def _require(ratio: float, results: list[dict[str, Any]]) -> int:
    rows = [row for row in results if row["direction"] == "receive" and row["size"] == 128]
    reached = [row["ratios"].get("websockets", 0.0) for row in rows]
    if not reached or min(reached) < ratio:
        print(f"required {ratio:.2f} × websockets, reached {min(reached, default=0.0):.2f}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
