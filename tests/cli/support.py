"""Runs the real command, in a process of its own.

What lives here: how `rfc6455` is started by a test and what came of it; and listings of commands
with their output, as the documentation has them. It does not know what any command prints.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

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
        timeout=50,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


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
