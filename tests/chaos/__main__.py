"""``python -m tests.chaos``: a run as long as one likes."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from .process import can_move_clocks
from .run import HAPPENINGS, run


def main() -> int:
    """Runs, prints what came of it, and returns 0 if the promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    for name in HAPPENINGS:
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=0, metavar="N", help="how often")
    parser.add_argument("--durability", default="normal", choices=("normal", "full"))
    arguments = parser.parse_args()
    happenings = [name for name in HAPPENINGS for _ in range(getattr(arguments, name))]
    random.shuffle(happenings)
    if "move_clock" in happenings and not can_move_clocks():
        print("Clocks cannot be moved without libfaketime (apt-get install libfaketime).")
        return 2
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        report = asyncio.run(
            run(Path(folder), happenings or ["kill"] * 10, durability=arguments.durability)
        )
    print(report)
    for fault in report.faults[:50]:
        print(f"  {fault}")
    return bool(report.faults)


if __name__ == "__main__":
    sys.exit(main())
