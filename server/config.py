"""The chat server's settings.

What lives here: every option, as a flag and as an environment variable. This file does not know
what the options do.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

__all__ = ["Config", "parse"]

PREFIX: Final = "RFC6455_CHAT_"
EVENT_LOOPS: Final = ("asyncio", "uvloop")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings, with their defaults. Sizes are in bytes.

    Attributes:
        host: address to listen on; ``localhost`` is IPv4 and, where there is one, IPv6.
        port: TCP port; 0 for any free one.
        allowed_origins: web origins beside the server's own that may connect.
        max_connections: how many clients may be connected.
        max_message_size: of a command.
        max_rooms: how many rooms there may be.
        history: how many messages of each room are kept.
        event_loop: asyncio, or uvloop where it is installed.
        log_level: debug, info, warning or error.
    """

    host: str = "localhost"
    port: int = 8765
    allowed_origins: tuple[str, ...] = ()
    max_connections: int = 10_000
    max_message_size: int = 64 * 1024
    max_rooms: int = 1000
    history: int = 100
    event_loop: str = "asyncio"
    log_level: str = "info"


DEFAULTS: Final = Config()


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Config:
    """Reads flags, and environment variables where there is no flag.

    Raises:
        SystemExit: something is wrong with them, or help was asked for; it has been printed.
    """
    parser = argparse.ArgumentParser(
        prog="python -m server",
        description="A chat server. Open its address in a browser.",
        epilog="Each option can also come from the environment: --max-rooms from"
        f" {PREFIX}MAX_ROOMS, and so on (several origins separated by spaces). Flags win.",
    )
    add = parser.add_argument
    add("--host", help="address to listen on (default: %(default)s)")
    add("--port", type=_integer(0, 65535), help="TCP port, 0 for any (default: %(default)s)")
    add(
        "--allowed-origins",
        nargs="*",
        metavar="ORIGIN",
        help="web origins beside the server's own that may connect, such as https://example.org",
    )
    add("--max-connections", type=_integer(1), metavar="N", help="clients (default: %(default)s)")
    add(
        "--max-message-size",
        type=_integer(1024),
        metavar="BYTES",
        help="size of a command (default: %(default)s)",
    )
    add("--max-rooms", type=_integer(1), metavar="N", help="rooms (default: %(default)s)")
    add(
        "--history",
        type=_integer(0),
        metavar="N",
        help="messages kept in each room (default: %(default)s)",
    )
    add(
        "--event-loop",
        choices=EVENT_LOOPS,
        help="uvloop is faster, and has to be installed (default: %(default)s)",
    )
    add("--log-level", choices=LOG_LEVELS, help="what is logged (default: %(default)s)")
    parser.set_defaults(**{field.name: getattr(DEFAULTS, field.name) for field in fields(Config)})
    options = parser.parse_args([*_from_environment(environment), *arguments])
    options.allowed_origins = tuple(options.allowed_origins)
    return Config(**vars(options))


def _from_environment(environment: Mapping[str, str]) -> list[str]:
    arguments = []
    for field in fields(Config):
        value = environment.get(PREFIX + field.name.upper())
        if value is not None:
            flag = "--" + field.name.replace("_", "-")
            values = value.split() if field.name == "allowed_origins" else [value]
            arguments += [flag, *values]
    return arguments


def _integer(least: int, most: int | None = None) -> Any:
    def integer(text: str) -> int:
        value = int(text)
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"{value} is out of range")
        return value

    return integer
