"""The chat server's settings.

What lives here: every option, with its default, its bounds and its help; and where its value comes
from: a flag, an environment variable, a TOML file, or the default, in this order. This file does
not know what the options do.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, TypeAlias

from .engines.store import DURABILITIES

__all__ = ["Config", "ConfigError", "load", "parse", "printed"]

PREFIX: Final = "RFC6455_CHAT_"
EVENT_LOOPS: Final = ("auto", "asyncio", "uvloop")
LOG_FORMATS: Final = ("console", "json")
AUTH: Final = ("open", "token")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
TRUTHS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
REDACTED: Final = "(secret)"

Value: TypeAlias = bool | int | float | str | tuple[str, ...]


class ConfigError(Exception):
    """A setting that cannot be; the message names it and where it comes from."""


def _option(
    default: Value,
    help: str,
    *,
    metavar: str | None = None,
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] | None = None,
    secret: bool = False,
) -> Any:
    """Declares an option; its type is that of the default.

    Args:
        default: its value where nobody gives one.
        help: what it is, for ``--help``.
        metavar: what the value is called there.
        least: the smallest number.
        most: the largest number.
        choices: all values there are.
        secret: it is never printed, and has no flag, which every user of the machine could read: a
            variable, the TOML file, or a file of its own (``--…-file``) has it.
    """
    return field(
        default=default,
        metadata={
            "help": help,
            "metavar": metavar,
            "least": least,
            "most": most,
            "choices": choices,
            "secret": secret,
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings. Sizes are in bytes, times in seconds; an empty text stands for none."""

    host: str = _option("localhost", "address to listen on")
    port: int = _option(8765, "TCP port, 0 for any", least=0, most=65535)
    allowed_origins: tuple[str, ...] = _option(
        (),
        "web origins beside the server's own that may connect, such as https://example.org",
        metavar="ORIGIN",
    )
    unix_socket: str = _option("", "a Unix socket to listen on, instead", metavar="PATH")
    systemd: bool = _option(False, "listen on the sockets that systemd hands over")
    tls_certificate: str = _option("", "a certificate chain, for TLS", metavar="FILE")
    tls_key: str = _option("", "its private key", metavar="FILE")
    trusted_proxies: tuple[str, ...] = _option(
        (),
        "networks whose X-Forwarded-For is believed, such as 10.0.0.0/8, or unix",
        metavar="NETWORK",
    )
    max_connections: int = _option(10_000, "clients", metavar="N", least=1)
    max_connections_per_address: int = _option(
        100, "clients from one address, or from a /64 of IPv6; 0 for any", metavar="N", least=0
    )
    workers: int = _option(1, "processes", metavar="N", least=1)
    max_message_size: int = _option(64 * 1024, "size of a command", metavar="BYTES", least=1024)
    max_rooms: int = _option(1000, "rooms", metavar="N", least=1)
    database: str = _option(
        "", "an SQLite file that keeps everything; in memory without one", metavar="FILE"
    )
    durability: str = _option(
        "normal",
        "what is acknowledged survives the end of the process (normal) or of the power (full);"
        " memory is for a chat without a database",
        choices=("memory", *DURABILITIES),
    )
    away_after: float = _option(
        5.0,
        "in which somebody whose connection was lost can be back before the others hear of it",
        metavar="SECONDS",
        least=0,
        most=60,
    )
    history: int = _option(10_000, "messages kept in each room", metavar="N", least=1)
    history_days: float = _option(30.0, "for how long they are kept", metavar="DAYS", least=0)
    frames: bool = _option(
        False, "let people see the frames of their own connection, for those who learn"
    )
    ticker: bool = _option(False, "have a live feed of made-up prices, for trying")
    auth: str = _option("open", "open lets guests in; token asks everybody for one", choices=AUTH)
    users: str = _option("", "an SQLite file with users, who can log in", metavar="FILE")
    jwt_secret: str = _option("", "the secret for tokens with HS256", secret=True)
    jwks_file: str = _option("", "public keys for tokens with RS256 or ES256", metavar="FILE")
    jwt_issuer: str = _option("", "what iss of a token has to be", metavar="TEXT")
    jwt_audience: str = _option("", "what aud of a token has to be", metavar="TEXT")
    token_lifetime: float = _option(
        900.0, "of a token that is given here", metavar="SECONDS", least=60
    )
    login_lifetime: float = _option(
        7 * 86400.0, "how long a login can be refreshed", metavar="SECONDS", least=60
    )
    cookies: bool = _option(False, "take tokens from cookies, from pages of allowed origins")
    query_tokens: bool = _option(True, "take tokens from ?token=")
    connection_rate: float = _option(
        20.0, "commands a second of one connection, over time", metavar="N", least=0
    )
    connection_burst: float = _option(100.0, "those that may come at once", metavar="N", least=1)
    user_rate: float = _option(
        40.0, "commands a second of one user, over time", metavar="N", least=0
    )
    user_burst: float = _option(200.0, "those that may come at once", metavar="N", least=1)
    address_rate: float = _option(
        400.0, "commands a second from one address, over time", metavar="N", least=0
    )
    address_burst: float = _option(2000.0, "those that may come at once", metavar="N", least=1)
    feeds: tuple[str, ...] = _option(
        (), "live feeds that services may fill, as name=seconds between updates", metavar="FEED"
    )
    api_token: str = _option("", "what services have to show that publish", secret=True)
    metrics_token: str = _option("", "what Prometheus has to show at /metrics", secret=True)
    drain_delay: float = _option(
        0.0, "between the first sign of an end and its begin", metavar="SECONDS", least=0
    )
    drain_seconds: float = _option(
        5.0, "over which clients are closed, at the end", metavar="SECONDS", least=0
    )
    reconnect_within: float = _option(
        10.0, "within which clients are asked to come back then", metavar="SECONDS", least=0
    )
    event_loop: str = _option(
        "auto", "uvloop is faster; auto takes it where it is installed", choices=EVENT_LOOPS
    )
    log_level: str = _option("info", "what is logged", choices=LOG_LEVELS)
    log_format: str = _option("console", "how it is logged", choices=LOG_FORMATS)


def parse(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    check: Callable[[Config], None] = lambda config: None,
) -> Config:
    """Reads the settings for a command; what it cannot use it explains and ends.

    ``--check-config`` and ``--print-config`` end it too, with status 0.

    Args:
        arguments: the command line, without the command.
        environment: the environment variables.
        check: raises `ConfigError` where the settings as a whole cannot be.

    Raises:
        SystemExit: as said; everything has been printed.
    """
    parser = _make_parser()
    given = vars(parser.parse_args(arguments))
    only_check, show = given.pop("check_config"), given.pop("print_config")
    try:
        config = load(given, environment)
        check(config)
    except ConfigError as error:
        parser.error(str(error))
    if show:
        print(printed(config), end="")
    elif only_check:
        print("the configuration is valid")
    if show or only_check:
        parser.exit(0)
    return config


def load(flags: Mapping[str, Any], environment: Mapping[str, str]) -> Config:
    """Puts the settings together from all sources.

    Args:
        flags: values from the command line by the name of the option, which go before all others;
            ``config`` is the path of the TOML file.
        environment: the environment variables.

    Raises:
        ConfigError: a source has a value that cannot be, or one for an option that is not there.
    """
    named = flags.get("config") or environment.get(f"{PREFIX}CONFIG")
    known = {option.name: option for option in fields(Config)}
    values: dict[str, Any] = {}
    if named:
        values |= _from_file(Path(named), known)
    values |= _from_environment(environment, known)
    values |= _from_flags(flags, known)
    return Config(**values)


def printed(config: Config) -> str:
    """Returns the settings as a TOML file that would give the same; secrets are not in it."""
    lines = []
    for option in fields(Config):
        value = getattr(config, option.name)
        if option.metadata["secret"] and value:
            lines.append(f"# {option.name} = {REDACTED}")
        else:
            # JSON's texts, numbers, truths and lists of texts are TOML's too.
            lines.append(f"{option.name} = {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rfc6455-chat",
        description="A chat server. Open its address in a browser.",
        epilog="`rfc6455-chat user` adds and changes users."
        " Each option can also come from the environment: --max-rooms from"
        f" {PREFIX}MAX_ROOMS, and so on (several origins separated by spaces); or from a TOML file,"
        " there as max_rooms. Flags go before the environment, and that before the file.",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--config", metavar="FILE", help="a TOML file with settings")
    parser.add_argument(
        "--check-config", action="store_true", default=False, help="check the settings, and end"
    )
    parser.add_argument(
        "--print-config",
        action="store_true",
        default=False,
        help="print the settings as a TOML file, without secrets, and end",
    )
    for option in fields(Config):
        _add(parser, option)
    return parser


def _add(parser: argparse.ArgumentParser, option: Field[Any]) -> None:
    about, default = option.metadata, option.default
    flag = "--" + option.name.replace("_", "-")
    if about["secret"]:
        variable = PREFIX + option.name.upper()
        text = f"a file with {about['help']}; or the secret itself in {variable}"
        parser.add_argument(f"{flag}-file", metavar="FILE", help=text)
        return
    shown = " ".join(default) if isinstance(default, tuple) else default
    text = about["help"] + ("" if shown == "" else f" (default: {shown})")
    if isinstance(default, bool):
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, help=text)
    elif isinstance(default, tuple):
        parser.add_argument(flag, nargs="*", metavar=about["metavar"], help=text)
    else:
        choices = about["choices"]
        metavar = f"{{{','.join(choices)}}}" if choices else about["metavar"]
        parser.add_argument(flag, metavar=metavar, type=_reader(option), help=text)


def _reader(option: Field[Any]) -> Callable[[str], Value]:
    def read(text: str) -> Value:
        try:
            return _read_text(option, text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


def _from_flags(flags: Mapping[str, Any], known: Mapping[str, Field[Any]]) -> dict[str, Any]:
    values = {}
    for name, value in flags.items():
        if name in known:
            values[name] = tuple(value) if isinstance(value, list) else value
        elif (secret := name.removesuffix("_file")) in known:
            flag = "--" + name.replace("_", "-")
            values[secret] = _read_secret(Path(value), flag)
    return values


def _from_environment(
    environment: Mapping[str, str], known: Mapping[str, Field[Any]]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, option in known.items():
        variable = PREFIX + name.upper()
        if option.metadata["secret"] and (path := environment.get(f"{variable}_FILE")):
            values[name] = _read_secret(Path(path), f"{variable}_FILE")
        if (text := environment.get(variable)) is not None:
            try:
                values[name] = _read_text(option, text)
            except ValueError as error:
                raise ConfigError(f"{variable}: {error}") from error
    return values


def _from_file(path: Path, known: Mapping[str, Field[Any]]) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise ConfigError(f"{path}: {error}") from error
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        secret = known.get(name.removesuffix("_file"))
        if name not in known and secret is not None and secret.metadata["secret"]:
            if not isinstance(value, str):
                raise ConfigError(f"{path}: {key}: must be a text")
            values[secret.name] = _read_secret(path.parent / value, f"{path}: {key}")
        elif name not in known:
            raise ConfigError(f"{path}: there is no option {key!r}")
        else:
            try:
                values[name] = _check(known[name], value)
            except ValueError as error:
                raise ConfigError(f"{path}: {key}: {error}") from error
    return values


def _read_secret(path: Path, source: str) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{source}: {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{source}: {path}: not UTF-8") from error


def _read_text(option: Field[Any], text: str) -> Value:
    default = option.default
    value: Any = text
    if isinstance(default, bool):
        value = TRUTHS.get(text.lower(), text)
    elif isinstance(default, tuple):
        value = text.split()
    elif isinstance(default, int | float):
        try:
            value = type(default)(text)
        except ValueError:
            value = text
    return _check(option, value)


def _check(option: Field[Any], value: Any) -> Value:
    """Returns the value of an option.

    Raises:
        ValueError: it is of the wrong type, or out of bounds. A secret is not quoted.
    """
    about = option.metadata
    default: Any = option.default
    shown = "" if about["secret"] else f", not {value!r}"
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError(f"must be true or false{shown}")
        return value
    if isinstance(default, tuple):
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValueError(f"must be a list of texts{shown}")
        return tuple(value)
    if isinstance(default, str):
        if not isinstance(value, str):
            raise ValueError(f"must be a text{shown}")
        if about["choices"] and value not in about["choices"]:
            raise ValueError(f"must be one of {', '.join(about['choices'])}{shown}")
        return value
    # A truth is an int to Python, and no number to anybody else.
    number: int | float = float(value) if type(value) is int and type(default) is float else value
    if type(number) is not type(default):
        kind = "an integer" if isinstance(default, int) else "a number"
        raise ValueError(f"must be {kind}{shown}")
    least, most = about["least"], about["most"]
    if (least is not None and not number >= least) or (most is not None and not number <= most):
        bounds = f"at least {least}" if most is None else f"between {least} and {most}"
        raise ValueError(f"must be {bounds}{shown}")
    return number
