"""Runs programs that are printed for readers, as they are but for the port.

What lives here: the server in the background that such a program is or needs. It does not know
what the programs do.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.processes import free_port as free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PRINTED_PORT = "8765"


def on_port(program: str, port: int) -> str:
    """The program, on another port than the printed one."""
    assert PRINTED_PORT in program
    return program.replace(PRINTED_PORT, str(port))


@contextmanager
def background(program: Path) -> Iterator[str]:
    """Runs a server until the block is left, and gives the first line that it prints.

    Servers print a line when they listen. They are ended as a user does it, by Ctrl-C.
    """
    with subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            first_line = process.stdout.readline()
            if not first_line:
                process.wait()
                assert process.stderr is not None
                raise AssertionError(process.stderr.read())
            yield first_line
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate()


def run(program: Path) -> str:
    """Runs a program to its end, which must be a success, and gives what it prints."""
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout
