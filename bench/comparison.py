"""What the benchmarks of servers have in common: options, candidates, cells, tables, results.

What lives here: a comparison, from its command line to its file of results. A cell of it is one
workload, at which all candidates are measured in the same rounds. This file does not know which
cells a benchmark has.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, TypedDict

from .harness import QUICK_RESULTS, RESULTS, environment, headline, print_table, write_results
from .peers import DISTRIBUTIONS, SERVERS, Server, choose, versions
from .processes import BuildError, Process, build, cores, start_server
from .rounds import Load, Row, in_rounds, ratio

__all__ = [
    "Candidate",
    "Cell",
    "Comparison",
    "launch",
    "option_parser",
    "prepare",
    "times",
    "workload_of",
]

REFERENCES: Final = ("websockets", "picows.websockets", "picows", "raw-uvloop")

SECONDS: Final = 0.5
QUICK_SECONDS: Final = 0.3
WARMUP: Final = 0.25
QUICK_WARMUP: Final = 0.1
MIB: Final = 1024 * 1024
MUCH: Final = 4 * MIB
"""Bytes under way. With so much before it a server may serve a few connections round and round, out
of the processor's caches, before the others have their turn: a look of 0.3 s then says little of
what it does in the long run (bench/README.md has the command that shows it)."""
MUCH_SECONDS: Final = 1.2
MUCH_WARMUP: Final = 0.7


def positive(text: str) -> int:
    """Reads a number of something from the command line."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"at least 1, not {number}")
    return number


def duration(text: str) -> float:
    """Reads seconds from the command line."""
    seconds = float(text)
    if not 0.01 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"0.01 to 3600 seconds, not {text}")
    return seconds


def option_parser(
    name: str,
    description: str,
    candidates: Sequence[str],
    *,
    rounds: int = 5,
    seconds: float = SECONDS,
) -> argparse.ArgumentParser:
    """Returns the parser of ``python -m bench.<name>``, with the options that all have.

    Args:
        name: of the module.
        description: in its help.
        candidates: names that ``--only`` knows.
        rounds: by default; three in a quick run.
        seconds: of each measurement, by default; 0.3 in a quick run.
    """
    parser = argparse.ArgumentParser(prog=f"python -m bench.{name}", description=description)
    parser.add_argument("--only", nargs="+", metavar="NAME", help=", ".join(candidates))
    parser.add_argument("--rounds", type=positive, help=f"(default: {rounds}; quick: 3)")
    parser.add_argument(
        "--seconds",
        type=duration,
        help=f"of each measurement (default: {seconds}; quick: {QUICK_SECONDS};"
        f" at least {MUCH_SECONDS} where {MUCH // MIB} MiB and more are under way)",
    )
    parser.add_argument(
        "--warmup",
        type=duration,
        help=f"seconds before each (default: {WARMUP}; quick: {QUICK_WARMUP};"
        f" at least {MUCH_WARMUP} where {MUCH // MIB} MiB and more are under way)",
    )
    parser.add_argument("--quick", action="store_true", help="few candidates, few cells")
    parser.add_argument(
        "--realtime", action="store_true", help="come before all other programs (for root)"
    )
    parser.add_argument("--json", action="store_true", help=f"write {name}.json")
    parser.add_argument(
        "--results",
        type=Path,
        metavar="FOLDER",
        help="of it (default: bench/results, or its quick/)",
    )
    parser.set_defaults(benchmark=name, usual_rounds=rounds, usual_seconds=seconds)
    return parser


def prepare(parser: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """Returns the options with their defaults, and builds the programs in C.

    Ends the program with a message when an option or the compiler is not as it should be.
    """
    options = parser.parse_args(arguments)
    if options.rounds is None:
        options.rounds = 3 if options.quick else options.usual_rounds
    if options.results is None:
        options.results = QUICK_RESULTS if options.quick else RESULTS
    try:
        build("load")
        build("echo")
    except BuildError as error:
        parser.error(str(error))
    if options.realtime:
        come_first(parser)
    # Whoever ends the benchmark ends its servers with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    options.server_core, options.load_core = cores() or (None, None)
    if options.server_core is None:
        print("one core for server and generator: these figures say little", file=sys.stderr)
    return options


class Times(TypedDict):
    """Two fields of `Load`."""

    warmup: float
    seconds: float


def times(options: argparse.Namespace, under_way: int = 0) -> Times:
    """Returns the ``warmup`` and the ``seconds`` of a load.

    Args:
        options: of the command line: what they say holds.
        under_way: bytes of all messages that are under way at once.
    """
    warmup = QUICK_WARMUP if options.quick else WARMUP
    seconds = QUICK_SECONDS if options.quick else options.usual_seconds
    if under_way >= MUCH:
        warmup, seconds = max(warmup, MUCH_WARMUP), max(seconds, MUCH_SECONDS)
    return {
        "warmup": warmup if options.warmup is None else options.warmup,
        "seconds": seconds if options.seconds is None else options.seconds,
    }


def come_first(parser: argparse.ArgumentParser) -> None:
    """Gives this process real-time priority, which all that it starts inherit."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except (AttributeError, PermissionError) as error:
        parser.error(f"no real-time priority here: {error}")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server at a workload.

    Attributes:
        name: in the tables.
        server: which.
        workload: what the server is told to do; see `workload_of`.
        deflate: the library that it compresses with, or None.
    """

    name: str
    server: Server
    workload: str = "echo"
    deflate: str | None = None


def workload_of(server: Server, mode: str) -> str:
    """Returns what a server is told to do for a mode of the generator."""
    if mode == "broadcast":
        return mode
    # Every other server answers a Close by itself.
    return "handshakes" if mode == "handshakes" and server.module == "raw" else "echo"


def candidates(
    parser: argparse.ArgumentParser,
    options: argparse.Namespace,
    *,
    mode: str = "echo",
    among: Iterable[Server] = SERVERS,
    usual: Sequence[str] | None = None,
    quick: Sequence[str] | None = None,
) -> list[Candidate]:
    """Returns the servers that are asked for, as candidates without compression.

    Args:
        parser: complains of names that do not exist.
        options: of the command line.
        mode: of the generator.
        among: those that serve it.
        usual: names of those that are measured when nobody asks for others, if not all.
        quick: names for a quick run, if fewer than usual.
    """
    wanted = options.only or (quick if options.quick else usual)
    try:
        servers = choose(wanted, quick=options.quick, among=among)
    except ValueError as error:
        parser.error(str(error))
    return [Candidate(server.name, server, workload_of(server, mode)) for server in servers]


def launch(candidate: Candidate, core: int | None) -> AbstractContextManager[Process]:
    """Starts a candidate; see `start_server`."""
    server = candidate.server
    return start_server(
        candidate.name,
        lambda port: server.command(port, candidate.workload, candidate.deflate),
        core=core,
        environment=server.environment,
    )


@dataclass(frozen=True, slots=True)
class Cell:
    """One workload.

    Attributes:
        title: above its table.
        load: what the generator does.
        rounds: how many, if not as many as the options say.
    """

    title: str
    load: Load
    rounds: int | None = None

    def facts(self) -> dict[str, Any]:
        """Returns what finds it in a file of results."""
        load = self.load
        return {
            "mode": load.mode,
            "size": load.size,
            "connections": load.connections,
            "in_flight": load.in_flight,
            "kind": "binary" if load.binary else "text",
            "deflate": load.deflate,
        }


@dataclass
class Comparison:
    """Measures candidates at one cell after the other, and keeps what it finds.

    Attributes:
        options: of the command line, from `prepare`.
        results: a row for each cell and candidate.
    """

    options: argparse.Namespace
    results: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.environment = environment(DISTRIBUTIONS)
        self.environment["versions"] |= versions()
        print(headline(self.environment))

    def run(
        self,
        cells: Sequence[Cell],
        candidates: Sequence[Candidate],
        *,
        references: Sequence[str] = REFERENCES,
        unit: str = "messages",
    ) -> None:
        """Starts all candidates, measures all cells, and prints a table for each.

        A candidate that fails is named on stderr and left out of that cell; one that has ended is
        left out of those that follow.
        """
        if not cells:
            return
        with ExitStack() as stack:
            running = {}
            for candidate in candidates:
                try:
                    process = stack.enter_context(launch(candidate, self.options.server_core))
                except RuntimeError as error:
                    print(f"{candidate.name} is left out: {error}", file=sys.stderr)
                    continue
                process.pause()
                running[candidate.name] = process
            for cell in cells:
                for name in [name for name, process in running.items() if process.has_ended()]:
                    del running[name]
                runs = {
                    name: partial(cell.load.run, process, core=self.options.load_core)
                    for name, process in running.items()
                }
                found = in_rounds(runs, cell.rounds or self.options.rounds)
                self.keep(cell.facts(), found)
                print_rows(cell.title, found, references, unit, octets=cell.load.deflate)

    def keep(self, facts: dict[str, Any], found: Iterable[Row]) -> None:
        """Adds the rows of a cell to the results."""
        for row in found:
            self.results.append({**facts, "name": row.name, "samples": row.samples})

    def finish(self) -> None:
        """Writes the results where the options ask for it."""
        options = self.options
        if options.json:
            path = write_results(
                options.benchmark, self.environment, self.results, folder=options.results
            )
            print(f"\nwritten to {path}")


LATENCIES: Final = (("p50 µs", ("latency_us", "p50")), ("p99 µs", ("latency_us", "p99")))


def print_rows(
    title: str,
    found: Sequence[Row],
    references: Sequence[str],
    unit: str,
    *,
    octets: bool = False,
) -> None:
    """Prints the table of one cell: all candidates, with their ratios to the references there.

    Args:
        title: above it.
        found: the candidates.
        references: names of those to compare with.
        unit: what is counted.
        octets: whether to tell the size that each message had on the wire.
    """
    others = [row for row in found if row.name in references]
    latencies = [entry for entry in LATENCIES if found and found[0].median(*entry[1]) is not None]
    columns = [unit, *["octets"] * octets, "k/s", *(f"× {row.name}" for row in others)]
    columns += ["cpu µs", *(f"× {row.name}" for row in others)]
    columns += [name for name, _ in latencies]
    columns += ["server", "generator"] if latencies else []
    lines = []
    for row in sorted(found, key=lambda row: row.median("rate") or 0, reverse=True):
        line = [row.name, *[f"{row.median('octets') or 0:.0f}"] * octets]
        line += [f"{(row.median('rate') or 0) / 1000:.1f}"]
        line += [f"{ratio(row.samples, other.samples):.2f}" for other in others]
        line += [f"{row.median('cpu_us') or 0:.2f}"]
        line += [f"{ratio(row.samples, other.samples, 'cpu_us'):.2f}" for other in others]
        line += [f"{row.median(*keys) or 0:.0f}" for _, keys in latencies]
        if latencies:
            loads = [row.median(f"{who}_load") or 0 for who in ("server", "generator")]
            line += [f"{load:.0%}" for load in loads]
        lines.append(line)
    print_table(title, columns, lines)
