"""All benchmarks, one after the other, and the report.

What lives here: the order, and which parts are done already.

    python -m bench                               everything, an hour and a quarter
    python -m bench --quick                       a glance at everything, about two minutes
    python -m bench --list --rounds 3             the parts, and how long each takes
    python -m bench echo handshakes               these parts
    python -m bench --resume                      what has no results of this commit yet
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import (
    broadcast,
    codec,
    deflate,
    deflate_levels,
    echo,
    fairness,
    handshakes,
    memory,
    memory_deflate,
)
from .clients import __main__ as clients
from .comparison import come_first
from .harness import QUICK_RESULTS, RESULTS, commit, print_table
from .report import write_report
from .targets import COLUMNS, TARGETS, judge, load_results, table


@dataclass(frozen=True, slots=True)
class Part:
    """One benchmark.

    Attributes:
        main: runs it.
        results: name of its file, without the suffix.
        about: what it measures.
        fixed: seconds that it takes beside its rounds, with all peers.
        each: seconds of one round.
        rounds: how many by default; 0 where `--rounds` is nothing to it.
        quick: seconds of a quick run.
    """

    main: Callable[[list[str]], int]
    results: str
    about: str
    fixed: float
    each: float
    rounds: int
    quick: float

    def seconds(self, rounds: int | None) -> float:
        """Returns how long it takes, with so many rounds or its usual ones."""
        return self.fixed + self.each * (rounds if rounds and self.rounds else self.rounds)


PARTS: Final = {
    "codec": Part(
        codec.main, "codec-native", "bytes to messages and back, no sockets", 7, 2.6, 9, 4
    ),
    "echo": Part(echo.main, "echo", "messages that come back", 10, 450, 5, 30),
    "broadcast": Part(broadcast.main, "broadcast", "one message to all", 20, 180, 5, 18),
    "handshakes": Part(handshakes.main, "handshakes", "connect, upgrade, close", 6, 18, 5, 12),
    # Three rounds differ by two per cent: one says it.
    "memory": Part(memory.main, "memory", "idle connections", 300, 0, 0, 14),
    "deflate": Part(deflate.main, "deflate", "echo of compressed JSON", 7, 37, 5, 24),
    "clients": Part(clients.main, "clients", "clients against a server in C", 2, 63, 5, 16),
    "memory-deflate": Part(
        memory_deflate.main, "memory_deflate", "settings of permessage-deflate", 10, 0, 0, 4
    ),
    "deflate-levels": Part(
        deflate_levels.main, "deflate_levels", "levels of permessage-deflate", 16, 0, 0, 7
    ),
    "fairness": Part(fairness.main, "fairness", "a quiet client beside a flood", 10, 80, 5, 18),
}


def is_done(part: Part, folder: Path) -> bool:
    """Returns whether there are results of the present commit."""
    try:
        facts = json.loads((folder / f"{part.results}.json").read_text())["environment"]
    except (FileNotFoundError, ValueError, KeyError):
        return False
    return bool(facts["commit"] == commit() and not commit().endswith("+changes"))


def tell_times(rounds: int | None) -> None:
    """Prints the parts and how long each of them takes."""
    for name, part in PARTS.items():
        minutes = part.seconds(rounds) / 60
        print(f"{name:14} {minutes:4.0f} min, quick {part.quick:3.0f} s: {part.about}")
    total = sum(part.seconds(rounds) for part in PARTS.values()) / 60
    quick = sum(part.quick for part in PARTS.values())
    print(f"{'all':14} {total:4.0f} min, quick {quick:3.0f} s")


def run(name: str, arguments: list[str]) -> bool:
    """Runs a part, and returns whether it came through: where not, the others have their turn."""
    try:
        return PARTS[name].main(arguments) == 0
    except SystemExit as end:
        # Options that do not fit the machine. Everything else, as SIGTERM, ends all of it.
        if end.code != 2:
            raise
    except Exception:
        traceback.print_exc()
    return False


def main(arguments: list[str] | None = None) -> int:
    """Runs the parts."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Run the benchmarks.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="few peers, few cells")
    parser.add_argument("--list", action="store_true", help="tell the parts and their times")
    parser.add_argument(
        "--resume", action="store_true", help="skip what has results of this commit"
    )
    parser.add_argument("--realtime", action="store_true", help="come before all other programs")
    parser.add_argument("--rounds", type=int, help="of each part")
    parser.add_argument("--results", type=Path, metavar="FOLDER")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.parts if name not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if options.list:
        tell_times(options.rounds)
        return 0
    if options.realtime:
        come_first(parser)
    folder = options.results or (QUICK_RESULTS if options.quick else RESULTS)
    further = ["--json", "--results", str(folder)] + ["--quick"] * options.quick
    rounds = [] if options.rounds is None else ["--rounds", str(options.rounds)]
    failed = []
    for name in options.parts or PARTS:
        part = PARTS[name]
        if options.resume and is_done(part, folder):
            print(f"=== {name}: done already")
            continue
        print(f"\n=== {name}: {part.about}", flush=True)
        start = time.monotonic()
        if not run(name, further + rounds * bool(part.rounds)):
            failed.append(name)
        print(f"=== {name}: {time.monotonic() - start:.0f} s", flush=True)
    try:
        results = load_results(folder)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    print_table("What it must show", COLUMNS, table(judge(target, results) for target in TARGETS))
    print(f"\nwritten to {write_report(folder)}")
    if failed:
        print(f"failed: {', '.join(failed)}; --resume tries again", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
