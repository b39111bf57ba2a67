"""``rfc6455 explain``: frames in hexadecimal, explained bit by bit.

What lives here: how bytes are read from arguments, standard input and files. Frames are taken apart
in `tracing` and shown by `anatomy`.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..tracing import FrameTracer, inflaters
from . import anatomy
from .terminal import style_for

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["add_command"]

EPILOG: Final = """\
examples:
  rfc6455 explain 81 05 48 65 6c 6c 6f
  rfc6455 explain 818537fa213d7f9f4d5158
  rfc6455 explain --deflate c1 07 f2 48 cd c9 c9 07 00
  rfc6455 explain --raw --file capture.bin

exit status: 0 when all frames are whole and valid, 1 when not, 2 for what is not hexadecimal
"""

# What stands between octets in listings of all kinds: `81 05`, `81:05`, `0x81, 0x05`, `\\x81\\x05`.
SEPARATORS: Final = re.compile(r"[\s:,;]+|0x|\\x", re.IGNORECASE)
NOT_HEX: Final = re.compile(r"[^0-9A-Fa-f]")


def add_command(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "explain",
        help="explain frames in hexadecimal, bit by bit",
        description="Explains the frames in some bytes, bit by bit, with the sections of RFC 6455.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "hex",
        nargs="*",
        metavar="HEX",
        help="the bytes, in hexadecimal, with or without spaces and colons between them; "
        "standard input without any",
    )
    parser.add_argument("--file", metavar="PATH", help="read them from a file; - is standard input")
    parser.add_argument(
        "--raw", action="store_true", help="the file holds the bytes themselves, not hexadecimal"
    )
    parser.add_argument(
        "--from",
        dest="sender",
        choices=["client", "server"],
        help="who sent them, which decides whether they must be masked; without it either may be",
    )
    parser.add_argument(
        "--deflate",
        action="store_true",
        help="permessage-deflate was negotiated: inflate messages that are marked with RSV1",
    )
    parser.add_argument(
        "--show",
        type=int,
        default=128,
        metavar="BYTES",
        help="how much of each payload is shown (%(default)s)",
    )
    parser.add_argument(
        "--color",
        choices=["auto", "always", "never"],
        default="auto",
        help="colours; by default on a terminal, unless NO_COLOR is set",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Explains the bytes; 0 when they are whole and valid frames."""
    try:
        data = _read(options)
    except (OSError, ValueError) as error:
        print(f"rfc6455 explain: {error}", file=sys.stderr)
        return 2
    tracer = FrameTracer(
        masked={"client": True, "server": False, None: None}[options.sender],
        extensions=(inflaters(options.deflate), inflaters(options.deflate)),
        keep=max(0, options.show),
    )
    frames = tracer.receive_data(data)
    cut_off = tracer.receive_eof()
    if cut_off is not None:
        frames.append(cut_off)
    style = style_for(sys.stdout, options.color)
    for number, frame in enumerate(frames, 1):
        first_line = f"frame {number}, at byte {frame.offset}: " if len(frames) > 1 else ""
        for line in anatomy.lines(frame, style, first_line=first_line):
            print(line)
        if number < len(frames):
            print()
    if tracer.discarded:
        print(f"  Nothing behind it has a meaning: {tracer.discarded} more bytes are not shown.")
    marked = any(f.head[0] & 0x40 and f.error and not f.head[0] & 0x08 for f in frames)
    if marked and not options.deflate:
        print("  With permessage-deflate RSV1 marks a compressed message: try --deflate.")
    return 1 if tracer.ended else 0


def _read(options: argparse.Namespace) -> bytes:
    if options.hex and (options.file or options.raw):
        raise ValueError("bytes come from arguments or from a file, not from both")
    if options.hex:
        return parse_hex(" ".join(options.hex))
    if options.file is None or options.file == "-":
        data = sys.stdin.buffer.read()
    else:
        data = Path(options.file).read_bytes()
    return _not_empty(data) if options.raw else parse_hex(data.decode("latin-1"))


def parse_hex(text: str) -> bytes:
    """Reads octets in hexadecimal, as listings write them.

    Raises:
        ValueError: something else stands there, an octet is incomplete, or nothing is there.
    """
    digits = ""
    for group in SEPARATORS.split(text):
        wrong = NOT_HEX.search(group)
        if wrong is not None:
            raise ValueError(f"{wrong[0]!a} in {group!a} is no hexadecimal digit")
        if len(group) % 2:
            raise ValueError(f"{group!r} has an odd number of digits; an octet has two")
        digits += group
    return _not_empty(bytes.fromhex(digits))


def _not_empty(data: bytes) -> bytes:
    if not data:
        raise ValueError("no bytes to explain")
    return data
