"""Fairness: how long a quiet client waits for its echo while another one floods the server.

What lives here: one client that sends a message each millisecond, alone and then beside one that
keeps thousands under way. Both are load generators on the same core; the quiet one comes first
there (real-time priority where that is allowed), so that the difference is the server's doing.

    python -m bench.fairness                      the usual servers, about six minutes
    python -m bench.fairness --quick              few servers
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from .comparison import Comparison, candidates, launch, option_parser, positive, prepare, times
from .harness import print_table
from .peers import names
from .processes import Process, pinned
from .rounds import Load, Sample, contents, in_rounds, median_of

if TYPE_CHECKING:
    from collections.abc import Iterator

IN_FLIGHT: Final = 4096
INTERVAL_US: Final = 1000
USUAL_SERVERS: Final = (
    "rfc6455",
    "rfc6455-listener",
    "rfc6455-pure",
    "rfc6455-sync",
    "picows",
    "picows.websockets",
    "websockets",
    "websockets-sync",
    "aiohttp",
    "uvicorn-websockets-sansio",
    "tornado",
    "socketify",
    "node-ws",
    "raw-uvloop",
    "c-ws",
)
"""Without those that differ from one of these in the event loop alone, or in the layer below."""
QUICK_SERVERS: Final = ("rfc6455", "picows.websockets", "websockets", "c-ws")


def comes_first(core: int | None) -> None:
    """Keeps this process on a core, and puts it before others there, those with --realtime too."""
    keep = pinned(core)
    if keep is not None:
        keep()
    with suppress(AttributeError, PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(2))


@contextmanager
def flood(server: Process, load: Load, core: int | None) -> Iterator[None]:
    """Keeps a server busy until the block is left.

    Raises:
        RuntimeError: the server did not do what it should.
    """
    with (
        contents(load.size) as path,
        subprocess.Popen(
            load.command(server, path),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=pinned(core),
        ) as generator,
    ):
        try:
            time.sleep(load.warmup)
            yield
        finally:
            ended = generator.poll()
            generator.kill()
        if ended:
            assert generator.stderr is not None
            raise RuntimeError(generator.stderr.read())


def measure(server: Process, quiet: Load, flooding: Load | None, core: int | None) -> Sample:
    """Measures the quiet client once, alone or beside a flood."""
    server.resume()
    beside = nullcontext() if flooding is None else flood(server, flooding, core)
    with beside:
        return quiet.run(server, core=core, start=partial(comes_first, core))


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmark."""
    parser = option_parser(
        "fairness", "Measure a quiet client beside a flooding one.", names(), seconds=2.0
    )
    parser.add_argument("--size", type=positive, default=128, metavar="BYTES")
    parser.add_argument("--in-flight", type=positive, default=IN_FLIGHT, metavar="N")
    options = prepare(parser, arguments)
    quiet = Load(interval_us=INTERVAL_US, **times(options))
    flooding = replace(
        quiet,
        size=options.size,
        in_flight=options.in_flight,
        interval_us=0,
        seconds=quiet.warmup + quiet.seconds + 60,
    )
    comparison = Comparison(options)
    lines = []
    for candidate in candidates(parser, options, usual=USUAL_SERVERS, quick=QUICK_SERVERS):
        try:
            with launch(candidate, options.server_core) as server:
                run = partial(measure, server, quiet, core=options.load_core)
                ways = {"alone": partial(run, None), "beside a flood": partial(run, flooding)}
                found = in_rounds(ways, options.rounds)
        except RuntimeError as error:
            print(f"{candidate.name} is left out: {error}", file=sys.stderr)
            continue
        line = [candidate.name]
        for row in found:
            facts = {"mode": "fairness", "way": row.name, "size": options.size}
            comparison.results.append({**facts, "name": candidate.name, "samples": row.samples})
            line += [f"{row.median('latency_us', share) or 0:.0f}" for share in ("p50", "p99")]
        if len(found) == 2:
            alone, beside = (median_of(row.samples, "latency_us", "p99") or 0 for row in found)
            lines.append([*line, f"{beside / alone:.1f}"])
    columns = ["server", "p50 alone", "p99 alone", "p50 beside", "p99 beside", "p99, times"]
    print_table(f"Microseconds for an echo, {options.in_flight} flooding", columns, lines)
    comparison.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
