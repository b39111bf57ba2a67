"""The command line: ``rfc6455 COMMAND``, or ``python -m rfc6455 COMMAND``.

What lives here: the list of commands. Each has a file of its own, which this file does not look
into.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence

from ..version import __version__
from . import bench, client, echo, explain

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="rfc6455",
        description="The WebSocket protocol. A URI alone connects to it.",
        epilog="rfc6455 COMMAND --help tells more of each.",
    )
    parser.add_argument("--version", action="version", version=f"rfc6455 {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (client, echo, explain, bench):
        module.add_command(commands)
    given = list(sys.argv[1:] if arguments is None else arguments)
    if _names_no_command(given, commands.choices):
        given.insert(0, "connect")
    options = parser.parse_args(given)
    status: int = options.run(options)
    return status


def _names_no_command(given: Sequence[str], commands: Iterable[str]) -> bool:
    return given[:1] != [] and given[0] not in {*commands, "-h", "--help", "--version"}
