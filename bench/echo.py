"""Echo: messages that come back, over many sizes, connections and messages in flight.

What lives here: which cells are measured. By default all sizes with 100 connections, and 128 B with
one and 1000.

    python -m bench.echo                          all of it, about 35 minutes
    python -m bench.echo --quick                  128 B, few servers: half a minute
    python -m bench.echo --sizes 128 --connections 100 --in-flight 1 16
    python -m bench.echo --only rfc6455 picows websockets --binary
"""

from __future__ import annotations

import itertools
import sys
from typing import Final

from .comparison import Cell, Comparison, candidates, option_parser, positive, prepare, times
from .harness import size_name
from .peers import names
from .rounds import Load

SIZES: Final = (8, 128, 1024, 16 * 1024, 64 * 1024, 1024 * 1024)
CONNECTIONS: Final = (1, 100, 1000)
IN_FLIGHT: Final = (1, 16)
MOST: Final = 256 * 1024 * 1024
"""Bytes that may be under way at once; more than that measures memory."""


def shapes() -> list[tuple[int, int, int]]:
    """Returns the usual cells: bytes, connections, messages in flight."""
    crossing = [(size, 100) for size in SIZES] + [(128, count) for count in CONNECTIONS]
    return [
        (size, count, depth)
        for size, count in dict.fromkeys(crossing)
        for depth in IN_FLIGHT
        if size * count * depth <= MOST
    ]


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmark."""
    parser = option_parser("echo", "Measure servers that send messages back.", names())
    parser.add_argument("--sizes", type=positive, nargs="+", metavar="BYTES")
    parser.add_argument("--connections", type=positive, nargs="+", metavar="N")
    parser.add_argument("--in-flight", type=positive, nargs="+", metavar="N")
    parser.add_argument("--binary", action="store_true", help="binary messages (default: text)")
    options = prepare(parser, arguments)
    wanted = shapes()
    if options.quick or options.sizes or options.connections or options.in_flight:
        wanted = list(
            itertools.product(
                options.sizes or [128], options.connections or [100], options.in_flight or IN_FLIGHT
            )
        )
    kind = "binary" if options.binary else "text"
    cells = [
        Cell(
            f"Echo, {kind}, {size_name(size)}, {count} connections, {depth} in flight",
            Load(
                size=size,
                connections=count,
                in_flight=depth,
                binary=options.binary,
                **times(options, size * count * depth),
            ),
        )
        for size, count, depth in wanted
    ]
    comparison = Comparison(options)
    comparison.run(cells, candidates(parser, options))
    comparison.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
