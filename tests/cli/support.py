"""Runs the real command, in a process of its own where that makes a difference.

What lives here: how `rfc6455` is started by a test and what came of it; and listings of commands
with their output, as the documentation has them. It does not know what any command prints.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self
from unittest import mock

from rfc6455.cli import main

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "rfc6455")
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Done(NamedTuple):
    """What came of a command."""

    status: int
    out: str
    err: str


def environment(**changes: str) -> dict[str, str]:
    """The environment of a user who has set nothing that matters."""
    kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS")}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "TERM": "xterm"} | changes


def command(*arguments: str, stdin: str | bytes = b"", **changes: str) -> Done:
    """Runs ``rfc6455`` with these arguments, to its end."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        env=environment(**changes),
        timeout=120,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def command_here(*arguments: str, stdin: str | bytes = b"") -> Done:
    """Runs ``rfc6455`` in this process: enough for a command that only reads and prints."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch("sys.stdin", io.TextIOWrapper(io.BytesIO(data))),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        status = main(arguments)
    return Done(status, out.getvalue(), err.getvalue())


class Shown(NamedTuple):
    """A command in a listing, and what it prints there."""

    arguments: list[str]
    output: str


def listing(text: str) -> Iterator[Shown]:
    """The commands of a listing: each stands behind ``$ rfc6455``, its output under it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, output = part.partition("\n")
        program, *arguments = shlex.split(line)
        if program == "rfc6455":
            yield Shown(arguments, output.rstrip() + "\n")


async def command_beside(*arguments: str, stdin: str | bytes = b"", **changes: str) -> Done:
    """Runs ``rfc6455`` to its end, beside a server in this process."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(**changes),
    )
    out, err = await process.communicate(stdin.encode() if isinstance(stdin, str) else stdin)
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Runs ``rfc6455`` in the background; gives it, and the first line that it prints.

    It is ended as a user does it, by Ctrl-C, and must then end well.
    """
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline()
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            _, errors = process.communicate()
    assert errors == ""


@contextlib.contextmanager
def echo_server(*arguments: str) -> Iterator[str]:
    """An echo server on a free port; gives its URI."""
    with running("echo", "--port", "0", *arguments) as (process, line):
        yield line.removeprefix("Echo at ").strip()
    assert process.returncode == 0


class Terminal:
    """A terminal on which ``rfc6455`` runs, and somebody who types and reads."""

    def __init__(self, *arguments: str, program: str | None = None, **changes: str) -> None:
        command = COMMAND if program is None else (sys.executable, "-c", program)
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (30, 100))
        # A leader of a session that opens a terminal owns it: Ctrl-C is for it, and it alone.
        opening = 'exec "$@" <"$0" >"$0" 2>&1'
        self._process = subprocess.Popen(
            ["sh", "-c", opening, os.ttyname(theirs), *command, *arguments],
            start_new_session=True,
            # Nobody here answers questions about the cursor.
            env=environment(PROMPT_TOOLKIT_NO_CPR="1", **changes),
        )
        # Until it has opened its side, ours must not see an end.
        self._theirs: int | None = theirs
        self.seen = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._let_go()
        os.close(self._ours)

    def type(self, text: str) -> None:
        """Types."""
        os.write(self._ours, text.encode())

    def expect(self, pattern: str, timeout: float = 60) -> re.Match[str]:
        """Reads until the pattern appears behind what was read before, and returns the match."""
        while (match := re.search(pattern, self.seen)) is None:
            readable, _, _ = select.select([self._ours], [], [], timeout)
            assert readable, f"{pattern!r} did not appear: {self.seen!r}"
            piece = self._read()
            assert piece, f"{pattern!r} did not appear before the end: {self.seen!r}"
            self.seen += piece
        self.seen = self.seen[match.end() :]
        return match

    def expect_above(self, pattern: str) -> None:
        """Reads until the pattern appears above the prompt, and the prompt takes keys again."""
        self.expect(pattern)
        self.expect(r"\x1b\[\?2004h")

    def end(self) -> int:
        """Reads to the end, and returns the exit status."""
        self._let_go()
        while piece := self._read():
            self.seen += piece
        return self._process.wait(120)

    def _let_go(self) -> None:
        if self._theirs is not None:
            os.close(self._theirs)
            self._theirs = None

    def _read(self) -> str:
        try:
            return os.read(self._ours, 65536).decode(errors="replace")
        except OSError:  # Linux's way to say that the other side is gone
            return ""
