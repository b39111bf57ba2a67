"""``rfc6455 bench``, ``rfc6455 echo`` and the list of commands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import rfc6455
from rfc6455 import WebSocket
from rfc6455.cli.bench import Latencies
from tests.cli.support import command, command_beside, echo_server
from tests.helpers import async_test
from tests.transports.support import uri


def test_bench_counts_what_came_back() -> None:
    with echo_server() as address:
        options = ["-c", "3", "-i", "4", "-s", "1K", "-d", "0.2"]
        done = command("bench", address, *options, "--json")
        assert (done.status, done.err) == (0, "")
        result = json.loads(done.out)
        assert result["connections"] == 3
        assert result["messages"] > 0
        assert result["size"] == 1024
        assert (result["lost_messages"], result["failures"]) == (0, {})
        latency = result["latency"]
        assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["max"]
        rate = result["messages"] / result["seconds"]
        assert result["messages_per_second"] == pytest.approx(rate, rel=0.01)
        table = command("bench", address, *options, "--binary", "--compression").out
        assert re.fullmatch(
            r"connections  3 of 3, 4 in flight on each\n"
            r"messages     \d+ of 1024 bytes in \d\.\d\d s\n"
            r"rate         \d+ messages/s, \d+\.\d\d MB/s each way\n"
            r"latency      p50 [\d.]+ ms, p90 [\d.]+ ms, p99 [\d.]+ ms, max [\d.]+ ms\n",
            table,
        )


def test_bench_tells_of_connections_that_failed() -> None:
    done = command("bench", "ws://127.0.0.1:1", "-c", "3", "-d", "0.1")
    assert done.status == 3
    assert "connections  0 of 3" in done.out
    assert "failed       3 times: " in done.out


def test_bench_refuses_what_is_no_uri() -> None:
    done = command("bench", "http://localhost")
    assert done == (2, "", "rfc6455 bench: not a ws:// or wss:// URI: 'http://localhost'\n")


@async_test
async def test_bench_tells_what_is_no_echo() -> None:
    async def handler(websocket: WebSocket) -> None:
        async for _ in websocket:
            await websocket.send("something else")

    async with rfc6455.serve(handler, "127.0.0.1", 0) as server:
        done = await command_beside("bench", uri(server), "-c", "2", "-d", "0.1")
    assert done.status == 1
    assert "failed       2 times: the server sent something else than our message" in done.out
    assert "lost         2 messages did not come back" in done.out


@async_test
async def test_bench_tells_of_connections_that_ended() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.recv()
        await websocket.close(1011)

    async with rfc6455.serve(handler, "127.0.0.1", 0) as server:
        done = await command_beside("bench", uri(server), "-c", "2", "-d", "0.1", "--json")
    assert done.status == 1
    result = json.loads(done.out)
    assert sum(result["failures"].values()) == 2
    assert "1011" in next(iter(result["failures"]))


def test_quantiles_are_within_a_hundredth() -> None:
    latencies = Latencies()
    assert latencies.quantile(0.5) == 0
    for number in range(1, 1001):
        latencies.add(number / 1000)
    for share in (0.01, 0.5, 0.9, 0.99):
        assert latencies.quantile(share) == pytest.approx(share, rel=0.011)
    assert latencies.quantile(1) == latencies.largest == 1


# echo


def test_echo_listens_on_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    for _ in range(2):
        with echo_server("--unix", str(path)) as line:
            assert line == f"ws://localhost/ on {path}"
            assert path.is_socket()
        assert not path.exists()


def test_echo_leaves_files_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious", "utf-8")
    done = command("echo", "--unix", str(path))
    assert done.status == 1
    assert "Address already in use" in done.err
    assert path.read_text("utf-8") == "precious"


def test_echo_without_compression() -> None:
    with echo_server("--no-compression") as address:
        done = command(address, "-v", "-n", "1", stdin="a\n")
    assert "> Sec-WebSocket-Extensions" in done.err
    assert "< Sec-WebSocket-Extensions" not in done.err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--key", "x"], 1, "--key needs --cert"),
        (["--cert", "/nowhere"], 1, "No such file or directory"),
        (["--port", "70000"], 2, "argument --port: invalid port value: '70000'"),
    ],
)
def test_echo_refuses_what_cannot_be(arguments: list[str], status: int, said: str) -> None:
    done = command("echo", *arguments)
    assert done.status == status
    assert said in done.err


# The list of commands


def test_version() -> None:
    assert command("--version") == (0, f"rfc6455 {rfc6455.__version__}\n", "")


def test_help_names_every_command() -> None:
    done = command("--help", COLUMNS="100")
    for name in ("connect", "echo", "explain", "bench"):
        assert re.search(rf"^    {name}  ", done.out, re.MULTILINE)
        assert command(name, "--help").status == 0
