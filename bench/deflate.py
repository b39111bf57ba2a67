"""Echo of compressed JSON: permessage-deflate with context takeover, 20 connections.

What lives here: which servers compress, with which library each. The generator's messages were
compressed before the clock starts; the row `c-ws` sends them back as they are, and shows how fast
it is.

    python -m bench.deflate                       all of it, about four minutes
    python -m bench.deflate --quick               1 KiB, few servers
"""

from __future__ import annotations

import sys
from typing import Final

from .comparison import (
    Candidate,
    Cell,
    Comparison,
    candidates,
    option_parser,
    positive,
    prepare,
    times,
)
from .harness import size_name
from .peers import SERVERS, names
from .rounds import Load

SIZES: Final = (1024, 64 * 1024)
CONNECTIONS: Final = 20
REFERENCES: Final = ("websockets", "picows.websockets", "aiohttp isal")


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmark."""
    among = [server for server in SERVERS if server.deflate]
    parser = option_parser("deflate", "Measure servers that compress.", names(among))
    parser.add_argument("--sizes", type=positive, nargs="+", metavar="BYTES")
    parser.add_argument("--connections", type=positive, default=CONNECTIONS, metavar="N")
    options = prepare(parser, arguments)
    sizes = options.sizes or ([1024] if options.quick else SIZES)
    compressing = [
        Candidate(
            f"{c.name} {library}" if library != c.server.deflate[0] else c.name,
            c.server,
            "echo",
            library,
        )
        for c in candidates(parser, options, among=among)
        for library in c.server.deflate
    ]
    cells = [
        Cell(
            f"Echo, deflated JSON of {size_name(size)}, {options.connections} connections",
            Load(
                size=size,
                connections=options.connections,
                deflate=True,
                **times(options, size * options.connections),
            ),
        )
        for size in sizes
    ]
    comparison = Comparison(options)
    comparison.run(cells, compressing, references=REFERENCES)
    comparison.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
