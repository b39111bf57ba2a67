"""The load generator and the echo server in C: small loads, whose counts must be right."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.comparison import Candidate, launch
from bench.memory import measure as measure_memory
from bench.peers import SERVERS
from bench.processes import BuildError, Process, build, start_server
from bench.rounds import Load
from tests.helpers import ROOT

pytestmark = pytest.mark.compiler

BY_NAME = {server.name: server for server in SERVERS}


def short(mode: str = "echo", **shape: Any) -> Load:
    return Load(mode=mode, warmup=0.02, seconds=0.1, **shape)


def run(load: Load, server: Process, least: int) -> dict[str, Any]:
    """Runs a load, and once more for longer where the machine has too much else to do.

    Args:
        load: a short one.
        server: that it is for.
        least: so many messages have to be counted.
    """
    for seconds in (load.seconds, 1.0, 10.0):
        sample = replace(load, seconds=seconds).run(server, core=None)
        if sample["count"] >= least:
            return sample
    raise AssertionError(f"{sample['count']} messages in {sample['seconds']} s")


@contextmanager
def serving(name: str, workload: str = "echo", deflate: str | None = None) -> Iterator[Process]:
    server = BY_NAME[name]
    lacking = server.missing()
    if lacking:
        pytest.skip(f"{name} needs {lacking}")
    with launch(Candidate(name, server, workload, deflate), None) as process:
        yield process


@pytest.mark.parametrize("name", ["rfc6455-asyncio", "rfc6455-listener", "c-ws", "c-raw"])
@pytest.mark.parametrize(
    ("size", "binary"), [(8, False), (128, True), (200, False), (70_000, True)]
)
def test_echo_counts_what_comes_back(name: str, size: int, binary: bool) -> None:
    load = short(size=size, binary=binary, connections=4, in_flight=16)
    with serving(name) as server:
        sample = run(load, server, 64)
    assert sample["rate"] == pytest.approx(sample["count"] / sample["seconds"], rel=0.01)
    assert sample["cpu_us"] > 0
    latency = sample["latency_us"]
    assert 0 < latency["p50"] <= latency["p99"] <= latency["max"] * 1.04


@pytest.mark.parametrize("name", ["rfc6455-asyncio", "c-ws"])
def test_deflated_echo_is_inflated_and_compared(name: str) -> None:
    load = short(size=4096, deflate=True, connections=3, in_flight=2)
    with serving(name, deflate="zlib") as server:
        run(load, server, 6)


@pytest.mark.parametrize("name", ["rfc6455", "rfc6455-listener", "c-ws", "raw-asyncio"])
def test_a_broadcast_reaches_everybody(name: str) -> None:
    load = short("broadcast", connections=7)
    with serving(name, "broadcast") as server:
        run(load, server, 7)


@pytest.mark.parametrize("name", ["rfc6455-asyncio", "c-ws"])
def test_handshakes_are_opened_and_closed(name: str) -> None:
    load = short("handshakes", connections=4)
    with serving(name) as server:
        run(load, server, 4)


def test_a_paced_client_sends_one_message_each_interval() -> None:
    load = Load(interval_us=10_000, warmup=0.02, seconds=0.2)
    with serving("c-ws") as server:
        sample = run(load, server, 1)
    # A hundred a second, and what a busy machine held up; without pauses there are ten thousands.
    assert sample["rate"] < 5000


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_is_the_slope_between_two_counts() -> None:
    with serving("rfc6455-asyncio") as server:
        found = measure_memory(server, Load(mode="idle"), (10, 300), None)
    # No connection costs less than its socket's objects, nor as much as a read buffer for each.
    assert 1 < found["pss_kib"] < 64
    assert 1 < found["rss_kib"] < 64


WRONG = """
import asyncio, sys
sys.path.insert(0, {root!r})
from bench.servers.raw import Raw, Echoing

class Wrong(Echoing):
    def __init__(self, transport):
        self.transport = transport
    def data_received(self, data):
        {action}

async def main():
    await asyncio.get_running_loop().create_server(
        lambda: Raw(Wrong), "127.0.0.1", int(sys.argv[1])
    )
    await asyncio.get_running_loop().create_future()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ("self.transport.write(data[:-1] + bytes([data[-1] ^ 1]))", "another message came back"),
        ("self.transport.write(b'\\x82' + data[1:])", "a frame with opcode 2 came back"),
        ("self.transport.write(b'\\x88\\x02\\x03\\xf0')", "closed connection 0 with code 1008"),
        ("self.transport.abort()", "dropped connection 0"),
        # The first 16 messages are compared; then one comes back twice.
        (
            "self.n = getattr(self, 'n', 0) + 1; self.transport.write(data * (1 + self.n // 20))",
            "more came back",
        ),
    ],
)
def test_a_server_that_does_something_else_fails(action: str, message: str, tmp_path: Path) -> None:
    script = tmp_path / "wrong.py"
    script.write_text(WRONG.format(action=action, root=str(ROOT)))
    with (
        start_server("wrong", lambda port: [sys.executable, str(script), str(port)]) as server,
        pytest.raises(RuntimeError, match=message),
    ):
        short().run(server, core=None)


def test_a_server_that_cannot_start_is_told_with_what_it_printed() -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such port')"]
    with (
        pytest.raises(RuntimeError, match=r"broken ended with code 1\nno such port"),
        start_server("broken", lambda port: command),
    ):
        pass


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["echo"], "--port is 1 to 65535"),
        (["--port", "1"], "one mode, please"),
        (["shout", "--port", "1"], "no such mode: shout"),
        (["echo", "--port", "1"], "--messages, please"),
        (["echo", "--port", "1", "--messages", "/no/such/file"], "cannot read /no/such/file"),
        (["echo", "--port", "1", "--connections", "0"], "at least 1"),
        (["echo", "--port", "1", "--interval-us", "5", "--in-flight", "2"], "one connection"),
        (["echo", "--loud"], "unrecognized option"),
    ],
)
def test_wrong_options_of_the_generator(arguments: list[str], message: str) -> None:
    done = subprocess.run([build("load"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert message in done.stderr


def test_without_a_compiler_the_error_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("bench.processes.BUILT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(BuildError, match="needs a compiler"):
        build("load")
    monkeypatch.setenv("CC", sys.executable)
    with pytest.raises(BuildError, match="zlib's headers"):
        build("load")
    assert list(tmp_path.iterdir()) == []
