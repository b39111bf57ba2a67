"""Echo: messages that come back, over many sizes, connections and messages in flight.

What lives here: the cells of the tables, and how they are printed.

    python -m bench.echo                                 all of it
    python -m bench.echo --quick                         128 B, few servers, few rounds
    python -m bench.echo --sizes 128 --connections 100 --in-flight 1 16
    python -m bench.echo --servers rfc6455 picows websockets
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

from .harness import environment, headline, print_table, write_results
from .peers import DISTRIBUTIONS, Server, choose, names, versions
from .processes import BuildError, build, cores, start_server
from .rounds import Load, Row, in_rounds, ratio, rows

SIZES: Final = (8, 128, 1024, 16 * 1024, 64 * 1024, 1024 * 1024)
REFERENCES: Final = ("websockets", "picows.websockets", "picows", "raw-uvloop")


def table(title: str, found: Sequence[Row]) -> None:
    """Prints one cell: all servers, with their ratios to the references among them."""
    references = [row for row in found if row.name in REFERENCES]
    columns = ["", "k/s", *(f"× {row.name}" for row in references)]
    columns += ["server µs", *(f"× {row.name}" for row in references)]
    columns += ["p50 µs", "p99 µs", "generator"]
    cells = []
    for row in sorted(found, key=lambda row: row.rate, reverse=True):
        line = [row.name, f"{row.rate / 1000:.1f}"]
        line += [f"{ratio(row, other):.2f}" for other in references]
        line += [f"{row.cpu:.2f}"]
        line += [f"{ratio(row, other, 'server_cpu_us'):.2f}" for other in references]
        line += [f"{row.p50:.0f}", f"{row.p99:.0f}", f"{row.load:.0%}"]
        cells.append(line)
    print_table(title, columns, cells)


def size_name(size: int) -> str:
    """Returns a size in bytes as people write it."""
    for unit, bytes_ in (("MiB", 1024 * 1024), ("KiB", 1024)):
        if size >= bytes_ and size % bytes_ == 0:
            return f"{size // bytes_} {unit}"
    return f"{size} B"


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m bench.echo", description="Measure echo.")
    parser.add_argument("--servers", nargs="+", metavar="NAME", help=", ".join(names()))
    parser.add_argument("--sizes", type=int, nargs="+", metavar="BYTES")
    parser.add_argument("--connections", type=int, nargs="+", metavar="N")
    parser.add_argument("--in-flight", type=int, nargs="+", metavar="N")
    parser.add_argument("--binary", action="store_true", help="binary messages (default: text)")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of each run (default: 1)", default=1.0)
    parser.add_argument("--warmup", type=float, help="seconds (default: 0.3)", default=0.3)
    parser.add_argument("--quick", action="store_true", help="128 B, few servers, three rounds")
    parser.add_argument("--json", action="store_true", help="write bench/results/echo.json")
    options = parser.parse_args(arguments)
    sizes = options.sizes or ([128] if options.quick else SIZES)
    connections = options.connections or ([100] if options.quick else [1, 100, 1000])
    in_flight = options.in_flight or [1, 16]
    rounds = options.rounds or (3 if options.quick else 5)
    try:
        servers = choose(options.servers, quick=options.quick)
        build("load")
        build("echo")
    except (ValueError, BuildError) as error:
        parser.error(str(error))

    facts = environment(DISTRIBUTIONS)
    facts["versions"] |= versions()
    print(headline(facts))
    pair = cores()
    if pair is None:
        print("one core for both, server and generator: figures say little", file=sys.stderr)
    server_core, load_core = pair or (None, None)
    results: list[dict[str, Any]] = []
    with ExitStack() as stack:
        running = {}
        for server in servers:
            running[server.name] = stack.enter_context(launch(server, "echo", server_core))
            running[server.name].pause()
        for size in sizes:
            for count in connections:
                for depth in in_flight:
                    load = Load(
                        size=size,
                        connections=count,
                        in_flight=depth,
                        binary=options.binary,
                        warmup=options.warmup,
                        seconds=options.seconds,
                    )
                    runs = {
                        name: partial(load.run, process, core=load_core)
                        for name, process in running.items()
                    }
                    found = rows(in_rounds(runs, rounds))
                    kind = "binary" if options.binary else "text"
                    title = (
                        f"Echo, {kind}, {size_name(size)}, {count} connections, {depth} in flight"
                    )
                    table(title, found)
                    results += [
                        {"size": size, "connections": count, "in_flight": depth, "kind": kind}
                        | {"server": row.name, "samples": row.samples}
                        for row in found
                    ]
    if options.json:
        print(f"\nwritten to {write_results('echo', facts, results)}")
    return 0


def launch(server: Server, workload: str, core: int | None, deflate: str | None = None) -> Any:
    """Starts a server; see `start_server`."""
    return start_server(
        server.name,
        lambda port: server.command(port, workload, deflate),
        core=core,
        environment=server.environment,
    )


if __name__ == "__main__":
    sys.exit(main())
