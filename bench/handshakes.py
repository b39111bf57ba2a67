"""Handshakes: connect, upgrade, close with a closing handshake, and again.

python -m bench.handshakes                    all servers, about two minutes
python -m bench.handshakes --quick            few servers
"""

from __future__ import annotations

import sys
from typing import Final

from .comparison import Cell, Comparison, candidates, option_parser, positive, prepare, times
from .peers import SERVERS, names
from .rounds import Load

AT_ONCE: Final = 32


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmark."""
    among = [server for server in SERVERS if server.closes]
    parser = option_parser("handshakes", "Measure the opening of connections.", names(among))
    parser.add_argument("--at-once", type=positive, default=AT_ONCE, metavar="N")
    options = prepare(parser, arguments)
    load = Load(mode="handshakes", connections=options.at_once, **times(options))
    comparison = Comparison(options)
    cell = Cell(f"Connect, upgrade, close; {options.at_once} at once", load)
    servers = candidates(parser, options, mode="handshakes", among=among)
    comparison.run([cell], servers, unit="handshakes")
    comparison.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
