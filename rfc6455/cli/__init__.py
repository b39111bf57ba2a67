"""The command line: ``rfc6455 COMMAND``, or ``python -m rfc6455 COMMAND``.

What lives here: the list of commands. Each has a file of its own, which this file does not look
into.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..version import __version__
from . import echo, explain

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status."""
    parser = argparse.ArgumentParser(prog="rfc6455", description="The WebSocket protocol.")
    parser.add_argument("--version", action="version", version=f"rfc6455 {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    echo.add_command(commands)
    explain.add_command(commands)
    options = parser.parse_args(arguments)
    status: int = options.run(options)
    return status
