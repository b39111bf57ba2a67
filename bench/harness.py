"""What every benchmark shares: interleaved timing, tables of ratios, and results as JSON.

What lives here: how a fair comparison is made, and how it is told. This file does not know what is
measured.

The machines that benchmarks run on are noisy, so no figure stands alone: in each round every
candidate is timed once, in an order that changes from round to round, and what is reported is the
median over the rounds, as a rate and as a ratio within the same run.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import rfc6455

__all__ = [
    "commit",
    "environment",
    "headline",
    "interleave",
    "markdown_table",
    "median_rate",
    "print_table",
    "size_name",
    "write_results",
]

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = ROOT / "bench" / "results"
QUICK_RESULTS: Final = RESULTS / "quick"


def interleave(
    candidates: Mapping[str, Callable[[], Callable[[], object]]], *, rounds: int
) -> dict[str, list[float]]:
    """Times each candidate once per round.

    Args:
        candidates: by name, what prepares one run and returns what is to be timed.
        rounds: how often each of them runs, after one run that is not counted.

    Returns:
        The seconds of each run, by name, in the order of the rounds.
    """
    names = list(candidates)
    for prepare in candidates.values():
        prepare()()
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        order = names[turn:] + names[:turn]
        # Whoever runs second may profit from what the first left in the caches, or suffer from it.
        for name in order if number % 2 else reversed(order):
            times[name].append(_time(candidates[name]()))
    return times


def _time(run: Callable[[], object]) -> float:
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        run()
        return round(time.perf_counter() - start, 7)
    finally:
        gc.enable()


def environment(packages: Iterable[str]) -> dict[str, Any]:
    """Returns what a reader has to know of the machine and the versions to judge a figure."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load": [round(load, 1) for load in os.getloadavg()],
        "versions": {"rfc6455": rfc6455.__version__} | {name: _version(name) for name in packages},
        "implementation": rfc6455.implementation,
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def commit() -> str:
    """Returns the commit, marked where the library differs from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, check=True, text=True
        ).stdout.strip()

    try:
        commit = git("rev-parse", "--short=12", "HEAD")
        return commit + ("+changes" if git("status", "--porcelain", "--", "rfc6455") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def headline(facts: Mapping[str, Any]) -> str:
    """Returns `environment` as the lines that stand above the tables."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return (
        f"{versions}; rfc6455 runs in {facts['implementation']}\n"
        f"{facts['python']}, {facts['cpu']}, {facts['cores']} cores, load {facts['load'][0]};"
        f" commit {facts['commit']}"
    )


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table: the first column to the left, figures to the right."""
    table = [list(columns), *map(list, rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(columns))]
    lines = []
    for row in table:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append(f"| {' | '.join(cells)} |")
    rules = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines.insert(1, f"| {' | '.join(rules)} |")
    return "\n".join(lines)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints `markdown_table` below a title."""
    print(f"\n{title}\n\n{markdown_table(columns, rows)}", flush=True)


def size_name(size: int) -> str:
    """Returns a size in bytes as people write it."""
    for unit, bytes_ in (("MiB", 1024 * 1024), ("KiB", 1024)):
        if size >= bytes_ and size % bytes_ == 0:
            return f"{size // bytes_} {unit}"
    return f"{size} B"


def write_results(
    name: str,
    facts: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    *,
    folder: Path = RESULTS,
) -> Path:
    """Writes ``<name>.json`` into ``folder`` and returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    rows = ",\n".join(json.dumps(row) for row in results)
    path.write_text(f'{{"environment": {json.dumps(facts, indent=1)},\n"results": [\n{rows}\n]}}\n')
    return path


def median_rate(seconds: Sequence[float], count: int) -> float:
    """Returns how many per second the median run did."""
    return count / statistics.median(seconds)
