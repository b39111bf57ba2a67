"""``rfc6455 URI`` in a pipe: the real command, against servers of ours."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rfc6455
from rfc6455 import Limits, Request, Response, WebSocket
from rfc6455.cli.status import TABLE
from tests.cli.support import COMMAND, command, command_beside, echo_server, environment
from tests.helpers import async_test
from tests.transports.proxies import http_proxy
from tests.transports.support import (
    RawPeer,
    accepting,
    echo,
    scripted_server,
    uri,
)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """An echo server."""
    with echo_server() as address:
        yield address


# Lines in, lines out


@pytest.mark.parametrize(
    ("given", "printed"),
    [
        ("one\ntwo\n", "one\ntwo\n"),
        ("one\ntwo", "one\ntwo\n"),
        ("one\n\ntwo\n", "one\n\ntwo\n"),
        ("Grüße 日本\n", "Grüße 日本\n"),
        ("crlf\r\n", "crlf\r\n"),
    ],
)
def test_each_line_is_a_message_and_each_message_a_line(
    server: str, given: str, printed: str
) -> None:
    count = str(printed.count("\n"))
    assert command(server, "-n", count, stdin=given) == (0, printed, "")


def test_the_end_of_the_input_ends_it(server: str) -> None:
    assert command(server, stdin="") == (0, "", "")
    assert command(server, "--wait", "0", stdin="") == (0, "", "")


def test_more_lines_than_fit_anywhere_come_back_in_order(server: str) -> None:
    lines = "".join(f"{number}\n" for number in range(50_000))
    assert command(server, "-n", "50000", stdin=lines) == (0, lines, "")


def test_null_bytes_divide_messages_of_several_lines(server: str) -> None:
    assert command(server, "-0", "-n", "2", stdin="a\nb\0c").out == "a\nb\0c\0"


def test_binary_messages_hold_any_bytes(server: str) -> None:
    done = command(server, "--binary", "--json", "-n", "1", stdin=b"\xff\x00\n")
    event = json.loads(done.out.splitlines()[0])
    assert base64.b64decode(event["base64"]) == b"\xff\x00"
    assert event["type"] == "binary"


def test_a_line_that_is_not_utf8_is_told_and_nothing_of_it_is_sent(server: str) -> None:
    done = command(server, stdin=b"good\n\xff\n")
    assert done.status == 2
    assert "line 2 of the input is not UTF-8; --binary sends any bytes" in done.err


def test_messages_may_be_arguments(server: str) -> None:
    assert command(server, "-m", "one", "-m", "two\nlines", "-n", "2") == (
        0,
        "one\ntwo\nlines\n",
        "",
    )


def test_json_lines_tell_type_data_and_time(server: str) -> None:
    done = command(server, "--json", "-n", "2", stdin="one\n\x1b[2J\n")
    first, second, last = map(json.loads, done.out.splitlines())
    assert (first["type"], first["data"]) == ("text", "one")
    assert second["data"] == "\x1b[2J"
    assert "\x1b" not in done.out
    assert (last["type"], last["code"], last["reason"]) == ("close", 1000, "")
    assert first["time"] <= second["time"] <= last["time"]


def test_count_ends_it(server: str) -> None:
    assert command(server, "-n", "2", stdin="a\nb\nc\n") == (0, "a\nb\n", "")


def test_a_reader_that_has_enough_ends_it(server: str) -> None:
    with subprocess.Popen(
        [*COMMAND, server],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"a\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"a\n"
        process.stdout.close()
        process.stdin.write(b"b\n")
        process.stdin.flush()
        assert process.wait(120) == 141
        assert process.stderr.read() == b""


@pytest.mark.parametrize("number", [2, 15])
def test_a_signal_closes_in_good_order(number: int) -> None:
    closed: list[int | None] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.send("ready")
        await websocket.wait_closed()
        closed.append(websocket.close_code)

    @async_test
    async def scenario() -> None:
        async with rfc6455.serve(handler, "127.0.0.1", 0) as server:
            process = await asyncio.create_subprocess_exec(
                *COMMAND, uri(server), "--no-stdin", stdout=subprocess.PIPE, env=environment()
            )
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
            process.send_signal(number)
            assert await process.wait() == 128 + number

    scenario()
    assert closed == [1000]


# When it is over


@async_test
async def test_replies_that_come_late_are_waited_for() -> None:
    async def handler(websocket: WebSocket) -> None:
        received = [message async for message in collect(websocket, 2)]
        await websocket.send(f"{len(received)} messages")

    async def collect(websocket: WebSocket, count: int) -> Any:
        for _ in range(count):
            yield await websocket.recv()

    async with rfc6455.serve(handler, "127.0.0.1", 0) as server:
        done = await command_beside(uri(server), "--wait", "inf", stdin="a\nb\n")
        assert done == (0, "2 messages\n", "")


def test_timeout_ends_it(server: str) -> None:
    assert command(server, "--no-stdin", "--timeout", "0.1") == (124, "", "")
    assert command(server, "-m", "a", "-n", "2", "--timeout", "5") == (124, "a\n", "")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (1000, 0),
        (1001, 0),
        (1005, 0),
        (1002, 102),
        (1008, 108),
        (1011, 111),
        (1013, 113),
        (3000, 30),
        (3999, 30),
        (4000, 40),
        (4999, 40),
    ],
)
@async_test
async def test_close_code_becomes_the_exit_status(code: int, status: int) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.send("last words")
        await websocket.close(code, "" if code == 1005 else "\x1b[31mreason")

    async with rfc6455.serve(handler, "127.0.0.1", 0) as server:
        done = await command_beside(uri(server), "--no-stdin")
    assert (done.status, done.out) == (status, "last words\n")
    if status:
        assert f"rfc6455: closed with {code}" in done.err
        assert r"\x1b[31mreason" in done.err
    else:
        assert done.err == ""


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        (b"", 106, "lost: no Close came (1006)"),
        (b"\x83\x00", 102, "failed with 1002 protocol error: unknown opcode 0x3 (RFC 6455 §5.2)"),
        (b"\x81\x01\xff", 107, "failed with 1007 invalid payload data: text message is not valid"),
        (b"\x82\x7f\0\0\0\0\0\x10\0\x01", 109, "failed with 1009 message too big: "),
    ],
)
@async_test
async def test_faults_of_the_server_become_the_exit_status(
    data: bytes, status: int, said: str
) -> None:
    async def script(peer: RawPeer, request: bytes) -> None:
        peer.send(accepting(request) + data)

    async with scripted_server(script) as address:
        done = await command_beside(address, "--no-stdin")
    assert done.status == status
    assert f"rfc6455: {said}" in done.err


def test_every_status_is_in_the_help_and_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs/howto/command-line.md").read_text("utf-8")
    statuses = re.findall(r"^  ([0-9]+(?: - [0-9]+)?) ", TABLE, re.MULTILINE)
    assert len(statuses) == 10
    for status in statuses:
        assert f"| {status.replace(' - ', '–')} |" in page
    assert TABLE in command("connect", "--help").out


# The opening handshake


@async_test
async def test_options_shape_the_request() -> None:
    requests: list[Request] = []

    async def handler(websocket: WebSocket) -> None:
        assert websocket.request is not None
        requests.append(websocket.request)
        assert websocket.subprotocol == "b"

    options = ["-H", "X-One: 1", "--header", "X-Two:  two words ", "--origin", "https://a.example"]
    options += ["-s", "a", "--subprotocol", "b", "-u", "Aladdin:open sesame", "--no-compression"]
    async with rfc6455.serve(handler, "127.0.0.1", 0, subprotocols=["b"]) as server:
        assert (await command_beside(*options, uri(server, "/path?query"))).status == 0
    headers = requests[0].headers
    assert requests[0].target == "/path?query"
    assert headers["X-One"] == "1"
    assert headers["X-Two"] == "two words"
    assert headers["Origin"] == "https://a.example"
    assert headers["Sec-WebSocket-Protocol"] == "a, b"
    # RFC 7617 §2 has this example.
    assert headers["Authorization"] == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert "Sec-WebSocket-Extensions" not in headers


@async_test
async def test_a_refused_handshake_is_4() -> None:
    def refuse(request: Request) -> Response:
        return Response.text("no\n", 403)

    async with rfc6455.serve(echo, "127.0.0.1", 0, process_request=refuse) as server:
        done = await command_beside(uri(server), "-n", "1", stdin="a\n")
    assert done == (4, "", "rfc6455: server answered with HTTP status 403\n")


def test_a_server_that_is_not_there_is_3() -> None:
    done = command("ws://127.0.0.1:1")
    assert (done.status, done.out) == (3, "")
    assert "127.0.0.1" in done.err


@async_test
async def test_a_server_that_does_not_answer_is_3() -> None:
    async def script(peer: RawPeer, request: bytes) -> None:
        await peer.rest()

    async with scripted_server(script) as address:
        done = await command_beside(address, "--open-timeout", "0.1")
    assert done == (3, "", "rfc6455: no connection within 0.1 s\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["http://localhost"], "not a ws:// or wss:// URI: 'http://localhost'"),
        (["nonsense"], "not a ws:// or wss:// URI: 'nonsense'"),
        (["ws://localhost", "-H", "bad"], "a header is written 'Name: value', not 'bad'"),
        (["ws://localhost", "-H", "Host: x"], "Host is ours to set"),
        (["ws://localhost", "-H", "X: a\r\nb: c"], "value"),
        (["ws://localhost", "-s", "a b"], "a subprotocol is an HTTP token"),
        (["ws://localhost", "--insecure"], "options of TLS need a wss:// URI"),
        (["wss://localhost", "--key", "x"], "--key needs --cert"),
        (["wss://localhost", "--cacert", "/nowhere"], "No such file or directory"),
        (["ws://localhost", "--max-size", "big"], "argument --max-size: invalid size value: 'big'"),
        (["ws://localhost", "--timeout=-1"], "argument --timeout: invalid time value: '-1'"),
        (["ws://localhost", "-n", "0"], "argument -n/--count: invalid count value: '0'"),
        (["ws://localhost", "--no-pings", "--ping-interval", "1"], "not allowed with argument"),
        (["ws://localhost", "--nonsense"], "unrecognized arguments: --nonsense"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_wrong_usage_is_2(arguments: list[str], said: str) -> None:
    done = command(*arguments)
    assert (done.status, done.out) == (2, "")
    assert said in done.err


# TLS


def test_tls_is_verified_unless_that_is_refused(certificate: Path) -> None:
    with echo_server("--cert", str(certificate)) as address:
        assert address.startswith("wss://127.0.0.1:")
        refused = command(address, "-n", "1", stdin="a\n")
        assert refused.status == 3
        assert "CERTIFICATE_VERIFY_FAILED" in refused.err
        assert command(address, "--cacert", str(certificate), "-n", "1", stdin="a\n") == (
            0,
            "a\n",
            "",
        )
        assert command(address, "--insecure", "-n", "1", stdin="a\n") == (0, "a\n", "")
        named = [address, "--cacert", str(certificate), "--server-name"]
        assert command(*named, "localhost", "-n", "1", stdin="a\n") == (0, "a\n", "")
        assert command(*named, "elsewhere.example", "-n", "1", stdin="a\n").status == 3
        timing = command(address, "-k", "--timing", "-n", "1", stdin="a\n").err
        assert re.findall(r"^(.*?)  .* ms$", timing, re.MULTILINE) == [
            "TCP",
            "TLS",
            "opening handshake",
            "first message",
        ]


# The way to the server


@async_test
async def test_an_http_proxy_leads_to_the_server_and_is_seen_on_the_way() -> None:
    async with http_proxy() as proxy, rfc6455.serve(echo, "127.0.0.1", 0) as server:
        address, through = uri(server), f"http://{proxy.address}"
        done = await command_beside(
            address, "--proxy", through, "-v", "--trace", "-n", "1", stdin="a\n"
        )
        assert (done.status, done.out) == (0, "a\n")
        assert f"> CONNECT {address[5:-1]} HTTP/1.1\n" in done.err
        assert "> GET / HTTP/1.1\n" in done.err
        assert "> text, masked, 6 + 1 bytes\n" in done.err
        assert len(proxy.asked) == 1
        environment = {"http_proxy": through, "no_proxy": ""}
        assert (
            await command_beside(address, "--no-proxy", "-n", "1", stdin="a\n", **environment)
        ).out == "a\n"
        assert len(proxy.asked) == 1


def test_a_proxy_that_is_not_there_is_3() -> None:
    done = command("ws://localhost", "--proxy", "http://127.0.0.1:1")
    assert (done.status, done.out) == (3, "")
    assert command("ws://localhost", "--proxy", "ftp://x").status == 2
    assert command("ws://localhost", "--proxy", "http://x", "--no-proxy").status == 2


def test_a_unix_socket_is_connected_to(tmp_path: Path) -> None:
    with echo_server("--unix", str(tmp_path / "socket")):
        options = ["--unix", str(tmp_path / "socket"), "-vv"]
        done = command("ws://name/", *options, "-n", "1", stdin="a\n")
        assert (done.status, done.out) == (0, "a\n")
        assert "> Host: name\n" in done.err
        assert "< text, unmasked, 2 + 1 bytes\n" in done.err


# What is shown


def test_trace_shows_every_frame_of_both_directions_as_explain_does(server: str) -> None:
    done = command(server, "--trace", "-n", "1", stdin="Hello\n")
    assert (done.status, done.out) == (0, "Hello\n")
    blocks = re.split(r"\n[<>]\n(?=[<>] \w)", done.err)
    assert [block.partition("\n")[0] for block in blocks] == [
        "> text, masked, 6 + 5 bytes",
        "< text, unmasked, 2 + 5 bytes",
        "> Close, masked, 6 + 2 bytes",
        "< Close, unmasked, 2 + 2 bytes",
    ]
    received = re.sub("^< ?", "", blocks[1], flags=re.MULTILINE)
    assert received + "\n" == command("explain", "81 05 48 65 6c 6c 6f").out


def test_trace_inflates(server: str) -> None:
    text = "compressible " * 200
    done = command(server, "--trace", "-n", "1", "-m", text)
    assert "> text, compressed, masked" in done.err
    assert "< text, compressed, unmasked" in done.err
    assert done.err.count('It completes a text message of 2600 characters: "compressible') == 2


def test_verbose_shows_the_handshake_but_no_secrets(server: str) -> None:
    options = ["-v", "-u", "me:secret", "-H", "Cookie: secret"]
    done = command(server, *options, "-n", "1", stdin="a\n")
    assert "> GET / HTTP/1.1\n" in done.err
    assert "< HTTP/1.1 101 Switching Protocols\n" in done.err
    assert "> Authorization: (not shown)\n" in done.err
    assert "> Cookie: (not shown)\n" in done.err
    assert "secret" not in done.err
    assert "c2VjcmV0" not in done.err
    assert "bWU6c2VjcmV0" not in done.err
    assert "6 + 1 bytes" not in done.err
    assert done.err.endswith("rfc6455: closed with 1000\n")


def test_more_verbose_shows_a_line_for_each_frame(server: str) -> None:
    done = command(server, "-vv", "-n", "1", stdin="a\n")
    assert re.findall("^[<>] .*bytes$", done.err, re.MULTILINE) == [
        "> text, masked, 6 + 1 bytes",
        "< text, unmasked, 2 + 1 bytes",
        "> Close, masked, 6 + 2 bytes",
        "< Close, unmasked, 2 + 2 bytes",
    ]


@async_test
async def test_keepalive_can_be_set_and_switched_off() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.wait_closed()

    async with rfc6455.serve(handler, "127.0.0.1", 0) as server:
        options = [uri(server), "--no-stdin", "--timeout", "1", "-vv"]
        pinged = await command_beside(*options, "--ping-interval", "0.05")
        assert "> Ping, masked, 6 + 0 bytes\n" in pinged.err
        silent = await command_beside(*options, "--no-pings")
        assert "Ping" not in silent.err


@async_test
async def test_larger_messages_are_received_when_they_may() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.send("x" * 3000)

    async with rfc6455.serve(handler, "127.0.0.1", 0, limits=Limits()) as server:
        small = await command_beside(uri(server), "--no-stdin", "--max-size", "2K")
        assert small.status == 109
        large = await command_beside(uri(server), "--no-stdin", "--max-size", "3K")
        assert large == (0, "x" * 3000 + "\n", "")
        unlimited = await command_beside(uri(server), "--no-stdin", "--max-size", "0")
        assert unlimited == large
