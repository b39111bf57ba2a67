"""Broadcast: one message comes, and goes to every connection; deliveries are counted.

What lives here: which cells are measured. Plain messages have 128 B; compressed ones 1 KiB, since
nobody compresses less. One publish is under way at a time.

    python -m bench.broadcast                             all of it, about 14 minutes
    python -m bench.broadcast --quick                     1000 receivers, few servers
    python -m bench.broadcast --receivers 100 --only rfc6455 picows
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
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

RECEIVERS: Final = (100, 1000, 10_000)
DEFLATE_RECEIVERS: Final = (100, 1000)
"""To ten thousand, servers that compress for each take a second a message; ``--receivers`` measures
it."""
QUICK_SERVERS: Final = (
    "rfc6455",
    "rfc6455-listener",
    "picows",
    "picows.websockets",
    "websockets",
    "raw-uvloop",
    "c-ws",
)
CROWD: Final = 1000
"""Receivers; with more, opening the connections takes longer than measuring them."""
SLOW_TO_OPEN: Final = (
    "uvicorn-websockets",
    "uvicorn-websockets-sansio",
    "uvicorn-wsproto",
    "tornado",
)
"""Servers that take ten seconds to a minute to open ten thousand connections, in each round: half
of the time of a whole run, for rows at the end of the table. ``--only`` measures them."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmark."""
    among = [server for server in SERVERS if server.broadcasts]
    parser = option_parser("broadcast", "Measure servers that send to all.", names(among))
    parser.add_argument("--receivers", type=positive, nargs="+", metavar="N")
    parser.add_argument("--plain-only", action="store_true", help="nothing compressed")
    options = prepare(parser, arguments)
    receivers = options.receivers or ([1000] if options.quick else RECEIVERS)
    with_deflate = options.receivers or DEFLATE_RECEIVERS
    plain_only = options.plain_only or (options.quick and not options.receivers)

    def cell(count: int, size: int, deflate: bool) -> Cell:
        load = Load(
            mode="broadcast", size=size, connections=count, deflate=deflate, **times(options)
        )
        if count > CROWD:
            # One publish to ten thousand takes a tenth of a second and more.
            load = replace(load, seconds=load.seconds * 3)
        how = "permessage-deflate" if deflate else "plain"
        title = f"Broadcast, {how}, {size_name(size)}, {count} receivers"
        return Cell(title, load, rounds=min(options.rounds, 3) if count > CROWD else None)

    comparison = Comparison(options)
    plain = candidates(parser, options, mode="broadcast", among=among, quick=QUICK_SERVERS)

    def measure(
        chosen: list[Candidate], receivers: Sequence[int], size: int, deflate: bool
    ) -> None:
        quick_to_open = [c for c in chosen if options.only or c.server.name not in SLOW_TO_OPEN]
        few = [cell(n, size, deflate) for n in receivers if n <= CROWD]
        many = [cell(n, size, deflate) for n in receivers if n > CROWD]
        comparison.run(few, chosen, unit="deliveries")
        comparison.run(many, quick_to_open, unit="deliveries")

    measure(plain, receivers, 128, False)
    if not plain_only:
        compressing = [
            Candidate(c.name, c.server, c.workload, c.server.deflate[0])
            for c in plain
            if c.server.deflate
        ]
        measure(compressing, with_deflate, 1024, True)
    comparison.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
