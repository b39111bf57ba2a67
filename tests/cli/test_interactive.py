"""``rfc6455 URI`` on a terminal: typed at, and read, as a person would."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rfc6455
from rfc6455 import WebSocket
from tests.cli.support import ROOT, Terminal, echo_server, running
from tests.helpers import async_test
from tests.transports.support import uri

WITHOUT_PROMPT_TOOLKIT = """\
import sys
sys.modules["prompt_toolkit"] = None
from rfc6455.cli import main
sys.exit(main())
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """An echo server."""
    with echo_server("--subprotocol", "chat") as address:
        yield address


@pytest.fixture
def terminal(server: str) -> Iterator[Terminal]:
    """A conversation that has begun."""
    with Terminal(server, NO_COLOR="1") as terminal:
        terminal.expect_above(
            "connected to ws://127.0.0.1:[0-9]+ .*/help lists commands, Ctrl-D closes."
        )
        yield terminal


def test_what_is_typed_is_sent_and_what_comes_is_shown(terminal: Terminal) -> None:
    terminal.type("Hello\r")
    terminal.expect_above(r"< Hello  \([0-9.]+ ms\)")
    terminal.type("Grüße\r")
    terminal.expect_above("< Grüße")
    terminal.type("\x04")
    terminal.expect("closed with 1000 normal closure")
    assert terminal.end() == 0


def test_a_line_is_edited_and_found_in_the_history(terminal: Terminal) -> None:
    terminal.type("Helo\x1b[Dl\r")
    terminal.expect_above("< Hello")
    terminal.type("\x1b[A!\r")
    terminal.expect_above("< Hello!")


def test_a_message_may_have_several_lines(terminal: Terminal) -> None:
    terminal.type("one\x1b\rtwo\r")
    terminal.expect_above(r"< one\r*\n  two")


def test_a_pasted_text_is_one_message(terminal: Terminal) -> None:
    terminal.type("\x1b[200~one\ntwo\x1b[201~\r")
    terminal.expect_above(r"< one\r*\n  two")


def test_ping_tells_the_latency(terminal: Terminal) -> None:
    terminal.type("/ping\r")
    terminal.expect_above(r"pong after [0-9.]+ ms")
    terminal.type("/ping some data\r")
    terminal.expect_above(r"pong after [0-9.]+ ms")


def test_files_and_octets_are_sent(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(range(1, 101)))
    terminal.type(f"/binary {tmp_path}/data\r")
    terminal.expect_above("< 100 bytes: 01 02 03 .* …")
    terminal.type("/hex 00 ff\r")
    terminal.expect_above("< 2 bytes: 00 ff")
    (tmp_path / "text").write_text("from a file", "utf-8")
    terminal.type(f"/text {tmp_path}/text\r")
    terminal.expect_above("< from a file")


def test_two_slashes_send_one(terminal: Terminal) -> None:
    terminal.type("//ping\r")
    terminal.expect_above("< /ping")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/nonsense", "no command /nonsense; //nonsense sends it as a text"),
        ("/binary /nowhere", "No such file or directory: '/nowhere'"),
        ("/hex 0g", "non-hexadecimal"),
        ("/close 999", "999"),
        ("/close soon", "/close takes a code, then a reason"),
        ("/close 1000 " + "x" * 124, "123"),
        ("/ping " + "x" * 126, "125"),
    ],
)
def test_a_wrong_command_is_told_and_the_conversation_goes_on(
    terminal: Terminal, line: str, said: str
) -> None:
    terminal.type(f"{line}\r")
    terminal.expect_above(said)
    terminal.type("still here\r")
    terminal.expect_above("< still here")


def test_help_lists_commands(terminal: Terminal) -> None:
    terminal.type("/help\r")
    for command in ("/ping", "/binary", "/hex", "/text", "/close"):
        terminal.expect(command)


def test_close_takes_a_code_and_a_reason(terminal: Terminal) -> None:
    terminal.type("/close 4001 good night\r")
    terminal.expect("closed with 4001")
    assert terminal.end() == 40


def test_control_characters_of_the_peer_are_escaped(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "evil").write_text("\x1b]0;title\x07\u202eevil\x9b2J", "utf-8")
    terminal.type(f"/text {tmp_path}/evil\r")
    terminal.expect_above(r"< \\x1b\]0;title\\x07\\u202eevil\\x9b2J")


def test_the_end_of_the_server_ends_it() -> None:
    with running("echo", "--port", "0") as (process, line), Terminal(line.split()[-1]) as terminal:
        terminal.expect("connected")
        process.send_signal(signal.SIGINT)
        terminal.expect("closed with 1001 going away")
        assert terminal.end() == 0


def test_colours_come_on_a_terminal(server: str) -> None:
    with Terminal(server) as terminal:
        terminal.expect_above("connected")
        terminal.type("Hello\r")
        terminal.expect("\x1b\\[32m< Hello")


def test_history_is_kept_where_that_is_asked_for(server: str, tmp_path: Path) -> None:
    history = tmp_path / "history"
    for _ in range(2):
        with Terminal(server, "--history", str(history), NO_COLOR="1") as terminal:
            terminal.expect_above("connected")
            terminal.type("\x1b[Aagain \r")
            terminal.expect_above("< (.*again )+ ")
            terminal.type("\x04")
            assert terminal.end() == 0
    assert history.read_text("utf-8").count("+again again") == 1


def test_without_prompt_toolkit_lines_are_those_of_the_terminal(server: str) -> None:
    with Terminal(server, NO_COLOR="1", program=WITHOUT_PROMPT_TOOLKIT) as terminal:
        terminal.expect("connected")
        terminal.type("Hello\n")
        terminal.expect(r"< Hello  \([0-9.]+ ms\)")
        terminal.type("/ping\n")
        terminal.expect("pong after")
        terminal.type("\x04")
        terminal.expect("closed with 1000")
        assert terminal.end() == 0


@pytest.mark.parametrize("program", [None, WITHOUT_PROMPT_TOOLKIT], ids=["prompt", "plain"])
def test_ctrl_c_closes_in_good_order(program: str | None) -> None:
    closed: list[int | None] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.send("ready")
        await websocket.wait_closed()
        closed.append(websocket.close_code)

    @async_test
    async def scenario() -> None:
        async with rfc6455.serve(handler, "127.0.0.1", 0) as server:

            def person() -> int:
                with Terminal(uri(server), NO_COLOR="1", program=program) as terminal:
                    if program is None:
                        terminal.expect_above("< ready")
                    else:
                        terminal.expect("< ready")
                    terminal.type("\x03")
                    return terminal.end()

            assert await asyncio.to_thread(person) == (0 if program is None else 130)

    scenario()
    assert closed == [1000]


def test_prompt_toolkit_is_not_imported_without_a_terminal(server: str) -> None:
    program = (
        "import sys; from rfc6455.cli import main; main();"
        " sys.exit('prompt_toolkit' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, server], input=b"a\n", cwd=ROOT, check=False
    )
    assert done.returncode == 0
