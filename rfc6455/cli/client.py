"""``rfc6455 URI``: a client, for people and for pipes.

What lives here: its options, how they become arguments of `connect`, and what is said about the
connection on standard error. Messages are the business of `pipe` and `interactive`.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import getpass
import math
import ssl
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from ..asyncio import WebSocket, connect
from ..errors import HandshakeError, ProxyError
from ..extensions import DEFAULT_EXTENSIONS
from ..limits import Limits
from ..tracing import TracedFrame
from . import anatomy, interactive, pipe, status
from .options import count, seconds, size
from .terminal import Style, escape, style_for
from .wire import Direction, Frames, Timing, WatchingLoop

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["add_command"]

DEFAULTS: Final = Limits()
SECRETS: Final = (
    b"authorization:",
    b"proxy-authorization:",
    b"cookie:",
    b"set-cookie:",
)
"""Fields whose values are never shown."""

EPILOG: Final = f"""\
On a terminal it is a conversation: what you type is sent, what comes is shown; /help lists its
commands. Otherwise each line of standard input becomes a text message, and each message that comes
becomes a line of standard output.

{status.TABLE}"""


def add_command(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "connect",
        help="talk to a server; the word may be left out before a ws:// or wss:// URI",
        description="Talks to a WebSocket server.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("uri", metavar="URI", help="where to: ws://… or wss://…")
    _add_messages(parser.add_argument_group("messages, without a terminal"))
    _add_handshake(parser.add_argument_group("opening handshake"))
    _add_network(parser.add_argument_group("network and TLS"))
    _add_limits(parser.add_argument_group("limits"))
    _add_output(parser.add_argument_group("what is shown"))
    parser.set_defaults(run=run)


def _add_messages(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-m",
        "--message",
        action="append",
        default=[],
        metavar="TEXT",
        help="send this, instead of reading standard input; may be repeated",
    )
    group.add_argument(
        "--no-stdin", action="store_true", help="do not read standard input: only receive"
    )
    group.add_argument("-b", "--binary", action="store_true", help="send lines as binary messages")
    group.add_argument(
        "-0", "--null", action="store_true", help="messages end with a null byte, not a line feed"
    )
    group.add_argument(
        "--json",
        action="store_true",
        help='write a line of JSON for each message: "type", "data" or "base64", and "time"',
    )
    group.add_argument(
        "-n", "--count", type=count, metavar="N", help="end after N received messages"
    )
    group.add_argument(
        "--wait",
        type=seconds,
        metavar="SECONDS",
        help="after the end of the input, close when no message has come for this long "
        "(1; with --count or --no-stdin for ever); 'inf' leaves it to the server",
    )
    group.add_argument("--timeout", type=seconds, metavar="SECONDS", help="end after this time")


def _add_handshake(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-H",
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="a further field of the request; may be repeated",
    )
    group.add_argument("--origin", help="value of the Origin field, which browsers send")
    group.add_argument(
        "-s",
        "--subprotocol",
        action="append",
        default=[],
        metavar="NAME",
        help="a subprotocol to offer, the preferred one first; may be repeated",
    )
    group.add_argument(
        "-u",
        "--user",
        metavar="NAME[:PASSWORD]",
        help="HTTP Basic authentication; a password that is left out is asked for",
    )
    group.add_argument(
        "--compression",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="offer permessage-deflate, or not",
    )


def _add_network(group: argparse._ArgumentGroup) -> None:
    proxies = group.add_mutually_exclusive_group()
    proxies.add_argument(
        "--proxy",
        metavar="URL",
        help="go through this proxy: http, https, socks4, socks4a, socks5 or socks5h; "
        "by default the one that the environment names",
    )
    proxies.add_argument("--no-proxy", action="store_true", help="go through no proxy")
    group.add_argument(
        "--unix", metavar="PATH", help="connect to this Unix domain socket, not to the URI's host"
    )
    group.add_argument(
        "--server-name", metavar="NAME", help="the name that the server's certificate must have"
    )
    group.add_argument("--cacert", metavar="PATH", help="certificates to trust, in PEM form")
    group.add_argument("--cert", metavar="PATH", help="our own certificate, in PEM form")
    group.add_argument("--key", metavar="PATH", help="its key, where that is in a file of its own")
    group.add_argument(
        "-k", "--insecure", action="store_true", help="do not verify the server's certificate"
    )


def _add_limits(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--open-timeout",
        type=seconds,
        default=DEFAULTS.open_timeout,
        metavar="SECONDS",
        help="for TCP, TLS and the opening handshake (%(default)g)",
    )
    group.add_argument(
        "--max-size",
        type=size,
        default=DEFAULTS.max_message_size,
        metavar="BYTES",
        help="largest message that is received, such as 500K or 16M; 0 for any (1M)",
    )
    pings = group.add_mutually_exclusive_group()
    pings.add_argument(
        "--ping-interval",
        type=seconds,
        default=DEFAULTS.ping_interval,
        metavar="SECONDS",
        help="of silence, after which a Ping is sent (%(default)g)",
    )
    pings.add_argument(
        "--no-pings", action="store_true", help="send no Pings but those that are asked for"
    )


def _add_output(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--trace", action="store_true", help="show each frame bit by bit, as explain does"
    )
    group.add_argument(
        "--timing", action="store_true", help="tell how long DNS, TCP, TLS and the rest took"
    )
    group.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="show the opening handshake and the end; -vv: and a line for each frame",
    )
    group.add_argument(
        "--history",
        metavar="PATH",
        help="keep what is typed on a terminal in this file; without it, it is forgotten",
    )
    group.add_argument(
        "--color",
        choices=["auto", "always", "never"],
        default="auto",
        help="colours; by default on a terminal, unless NO_COLOR is set",
    )


# What they ask for


def connect_options(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the arguments of `connect` that the options ask for.

    Raises:
        ValueError: an option is wrong.
        OSError: a file of certificates cannot be read.
    """
    headers = [_header(line) for line in options.header]
    if options.user is not None:
        headers.append(("Authorization", _basic(options.user)))
    found: dict[str, Any] = {
        "origin": options.origin,
        "subprotocols": options.subprotocol,
        "extensions": DEFAULT_EXTENSIONS if options.compression else (),
        "additional_headers": headers,
        "limits": Limits(
            max_message_size=options.max_size or None,
            open_timeout=None if math.isinf(options.open_timeout) else options.open_timeout,
            ping_interval=None if options.no_pings else options.ping_interval,
        ),
    }
    if options.proxy or options.no_proxy:
        found["proxy"] = options.proxy
    if options.unix:
        found["path"] = options.unix
    if options.server_name:
        found["server_hostname"] = options.server_name
    context = _tls(options)
    if context is not None:
        found["ssl"] = context
    return found


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon:
        raise ValueError(f"a header is written 'Name: value', not {line!a}")
    return name, value.strip(" \t")


def _basic(user: str) -> str:
    name, colon, password = user.partition(":")
    if not colon:
        password = getpass.getpass(f"Password of {escape(name)}: ")
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def _tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    if not (options.cacert or options.cert or options.key or options.insecure):
        return None
    if not options.uri.lower().startswith("wss:"):
        raise ValueError("options of TLS need a wss:// URI")
    if options.key and not options.cert:
        raise ValueError("--key needs --cert")
    context = ssl.create_default_context(cafile=options.cacert)
    if options.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options.cert:
        context.load_cert_chain(options.cert, options.key)
    return context


# Running it


def run(options: argparse.Namespace) -> int:
    """Connects, and lets messages go back and forth; returns the exit status."""
    timing = Timing()
    reporter = _Reporter(options, style_for(sys.stderr, options.color))
    try:
        arguments = connect_options(options)
        if _is_watched(options):
            arguments["observer"] = Frames(timing, reporter.frame)
        connecting = connect(options.uri, **arguments)
    except (ValueError, OSError) as error:
        return _fail(error, status.USAGE)
    talk = pipe.run
    if sys.stdin.isatty() and sys.stdout.isatty() and not _is_scripted(options):
        talk = interactive.run
    try:
        with asyncio.Runner(loop_factory=lambda: _loop(options, timing, reporter)) as runner:
            return runner.run(_session(connecting, talk, options, reporter))
    except ProxyError as error:
        return _fail(error, status.UNREACHABLE)
    except HandshakeError as error:
        return _fail(error, status.HANDSHAKE_REFUSED)
    except TimeoutError as error:
        late = f"no connection within {options.open_timeout:g} s"
        return _fail(error if error.errno else late, status.UNREACHABLE)
    except OSError as error:
        return _fail(error, status.UNREACHABLE)
    except KeyboardInterrupt:
        return status.INTERRUPTED
    finally:
        if options.timing:
            reporter.tell_timing(timing)


def _is_watched(options: argparse.Namespace) -> bool:
    return bool(options.timing or options.trace or options.verbose)


def _is_scripted(options: argparse.Namespace) -> bool:
    return bool(
        options.json or options.message or options.no_stdin or options.count or options.null
    )


def _fail(error: object, exit_status: int) -> int:
    print(f"rfc6455: {escape(str(error))}", file=sys.stderr)
    return exit_status


def _loop(
    options: argparse.Namespace, timing: Timing, reporter: _Reporter
) -> asyncio.AbstractEventLoop:
    if not _is_watched(options):
        return asyncio.new_event_loop()
    return WatchingLoop(timing, reporter.head)


async def _session(
    connecting: connect,
    talk: Callable[[WebSocket, argparse.Namespace, Callable[[str], None]], Any],
    options: argparse.Namespace,
    reporter: _Reporter,
) -> int:
    websocket = await connecting
    try:
        exit_status: int = await talk(websocket, options, reporter.say)
    except asyncio.CancelledError:
        # Ctrl-C: the server is told. A second one does not wait for it.
        await websocket.close()
        raise
    finally:
        # However the conversation ended, TCP has ended too when we are gone.
        if websocket.close_code is None:
            websocket.abort()
    return exit_status


class _Reporter:
    """Tells on standard error what happens to the connection."""

    def __init__(self, options: argparse.Namespace, style: Style) -> None:
        self._options = options
        self._style = style

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def head(self, direction: Direction, head: bytes) -> None:
        if not self._options.verbose:
            return
        for line in head.split(b"\r\n"):
            name = next((n for n in SECRETS if line.lower().startswith(n)), None)
            shown = line if name is None else line[: len(name)] + b" (not shown)"
            self._line(direction, escape(shown.decode("latin-1")))
        self._line(direction, "")

    def frame(self, direction: Direction, frame: TracedFrame) -> None:
        if self._options.trace:
            for line in anatomy.lines(frame, self._style):
                self._line(direction, line)
            self._line(direction, "")
        elif self._options.verbose > 1:
            self._line(direction, anatomy.summary(frame))

    def _line(self, direction: Direction, line: str) -> None:
        paint = self._style.sent if direction == ">" else self._style.received
        self.say(f"{paint(direction)} {line}".rstrip())

    def tell_timing(self, timing: Timing) -> None:
        names = {
            "dns": "name lookup",
            "tcp": "TCP",
            "tls": "TLS",
            "handshake": "opening handshake",
            "first_message": "first message",
        }
        for key, taken in asdict(timing).items():
            if key in names and taken is not None:
                self.say(f"{names[key]:<18}{taken * 1000:9.1f} ms")
