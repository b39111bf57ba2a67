"""All benchmarks, one after the other, and the report.

What lives here: the order, and which parts are done already.

    python -m bench                               everything, about 80 minutes
    python -m bench --quick                       a glance at everything, a few minutes
    python -m bench --list                        the parts, and how long each takes
    python -m bench echo handshakes               these parts
    python -m bench --resume                      what has no results of this commit yet
"""

from __future__ import annotations

import argparse
import json
import sys
import time
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
        minutes: that it takes, with all peers and the usual options.
        quick_seconds: that it takes in a quick run.
        about: what it measures.
        has_rounds: whether it measures more than once.
    """

    main: Callable[[list[str]], int]
    results: str
    minutes: int
    quick_seconds: int
    about: str
    has_rounds: bool = True


PARTS: Final = {
    "codec": Part(codec.main, "codec-native", 4, 4, "bytes to messages and back, no sockets"),
    "echo": Part(echo.main, "echo", 40, 25, "messages that come back"),
    "broadcast": Part(broadcast.main, "broadcast", 15, 20, "one message to all"),
    "handshakes": Part(handshakes.main, "handshakes", 2, 10, "connect, upgrade, close"),
    "memory": Part(memory.main, "memory", 6, 20, "idle connections"),
    "deflate": Part(deflate.main, "deflate", 4, 20, "echo of compressed JSON"),
    "clients": Part(clients.main, "clients", 3, 15, "clients against a server in C"),
    "memory-deflate": Part(
        memory_deflate.main, "memory_deflate", 1, 8, "settings of permessage-deflate", False
    ),
    "deflate-levels": Part(
        deflate_levels.main, "deflate_levels", 1, 8, "levels of permessage-deflate", False
    ),
    "fairness": Part(fairness.main, "fairness", 8, 15, "a quiet client beside a flood"),
}


def is_done(part: Part, folder: Path) -> bool:
    """Returns whether there are results of the present commit."""
    try:
        facts = json.loads((folder / f"{part.results}.json").read_text())["environment"]
    except (FileNotFoundError, ValueError, KeyError):
        return False
    return bool(facts["commit"] == commit() and not commit().endswith("+changes"))


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
        for name, part in PARTS.items():
            print(f"{name:14} {part.minutes:3} min, quick {part.quick_seconds:3} s: {part.about}")
        return 0
    if options.realtime:
        come_first(parser)
    folder = options.results or (QUICK_RESULTS if options.quick else RESULTS)
    further = ["--json", "--results", str(folder)] + ["--quick"] * options.quick
    rounds = [] if options.rounds is None else ["--rounds", str(options.rounds)]
    for name in options.parts or PARTS:
        part = PARTS[name]
        if options.resume and is_done(part, folder):
            print(f"=== {name}: done already")
            continue
        print(f"\n=== {name}: {part.about}", flush=True)
        start = time.monotonic()
        part.main(further + rounds * part.has_rounds)
        print(f"=== {name}: {time.monotonic() - start:.0f} s", flush=True)
    verdicts = [judge(target, load_results(folder)) for target in TARGETS]
    print_table("What it must show", COLUMNS, table(verdicts))
    print(f"\nwritten to {write_report(folder)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
