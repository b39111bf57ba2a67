"""The report: a page with plots and the table of targets, made from files of results.

What lives here: which plots there are. This file does not measure.

    python -m bench.report                        of bench/results, into the same folder
    python -m bench.report --results FOLDER
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from .harness import RESULTS, markdown_table, size_name
from .plot import Bar, bars, lines
from .rounds import median_of
from .targets import COLUMNS, LIMITS, TARGETS, Results, judge, load_results, table

__all__ = ["write_report"]

DRAWN: Final = (
    "rfc6455",
    "rfc6455-listener",
    "picows",
    "picows.websockets",
    "aiohttp",
    "websockets",
    "node-ws",
    "raw-uvloop",
)
"""Servers in plots of lines, which cannot hold all."""


OUTLINES: Final = "outlined the limits: no WebSocket, or no Python"


def kind(name: str) -> str:
    """Returns whose bar it is."""
    if name.startswith("rfc6455"):
        return "ours"
    return "limit" if name in (*LIMITS, "raw-socket", "c-load") else "peer"


def chosen(results: Results, source: str, **where: Any) -> list[tuple[str, list[Any]]]:
    """Returns names and samples of the rows of a file that have these facts."""
    return [
        (row["name"], row["samples"])
        for row in results.get(source, [])
        if all(row.get(key) == value for key, value in where.items())
    ]


def group(results: Results, source: str, key: str = "rate", **where: Any) -> list[Bar]:
    """Returns the bars of one cell."""
    found = chosen(results, source, **where)
    return [Bar(name, median_of(samples, key) or 0.0, kind(name)) for name, samples in found]


def headline_plot(results: Results) -> str:
    """Draws what the README shows."""
    common: dict[str, Any] = {"size": 128, "connections": 100, "kind": "text"}
    return bars(
        "Echo of 128-byte text messages, 100 connections",
        f"messages per second on one core; {OUTLINES}",
        [
            ("one message in flight on each", group(results, "echo", in_flight=1, **common)),
            ("16 in flight", group(results, "echo", in_flight=16, **common)),
        ],
    )


def against(results: Results, axis: str, in_flight: int, **where: Any) -> str:
    """Draws rates against the size or the number of connections."""
    series: dict[str, list[tuple[float, float]]] = {}
    for name in DRAWN:
        for row in results.get("echo", []):
            facts = {"name": name, "in_flight": in_flight, "kind": "text", **where}
            if all(row.get(key) == value for key, value in facts.items()):
                rate = median_of(row["samples"], "rate")
                if rate:
                    series.setdefault(name, []).append((row[axis], rate))
    values = {x for line in series.values() for x, _ in line}
    if axis == "size":
        title, label = "Echo by size of the message, 100 connections", "size"
        ticks = {x: size_name(int(x)) for x in values}
    else:
        title, label = "Echo of 128-byte messages by number of connections", "connections"
        ticks = {x: f"{x:g}" for x in values}
    return lines(
        f"{title}, {in_flight} in flight",
        f"messages per second (upwards), {label} (to the right), both logarithmic",
        {name: line for name, line in series.items() if len(line) > 1},
        ours=("rfc6455", "rfc6455-listener"),
        ticks=ticks,
    )


def memory_plot(results: Results) -> str:
    """Draws the memory of idle connections."""
    ways = ("plain", "deflate, before use", "deflate, after a message")
    return bars(
        "Memory of an idle connection",
        f"KiB, as a slope between two numbers of connections: less is better; {OUTLINES}",
        [(way, group(results, "memory", "pss_kib", way=way)) for way in ways],
    )


def _bars(
    title: str, unit: str, source: str, cells: Iterable[tuple[str, dict[str, Any]]]
) -> Callable[[Results], str]:
    def draw(results: Results) -> str:
        groups = [(heading, group(results, source, **where)) for heading, where in cells]
        subtitle = f"{unit} per second; {OUTLINES}"
        return bars(title, subtitle, [(heading, some) for heading, some in groups if some])

    return draw


PLOTS: Final[dict[str, tuple[str, Callable[[Results], str]]]] = {
    "headline": ("echo", headline_plot),
    "size-1": ("echo", lambda results: against(results, "size", 1, connections=100)),
    "size-16": ("echo", lambda results: against(results, "size", 16, connections=100)),
    "connections-1": ("echo", lambda results: against(results, "connections", 1, size=128)),
    "connections-16": ("echo", lambda results: against(results, "connections", 16, size=128)),
    "broadcast": (
        "broadcast",
        _bars(
            "Broadcast: one message to all",
            "deliveries",
            "broadcast",
            [
                (f"{count} receivers, {name}", {"connections": count, "deflate": deflate})
                for deflate, name in ((False, "128 B, plain"), (True, "1 KiB, deflated"))
                for count in (100, 1000, 10_000)
            ],
        ),
    ),
    "handshakes": (
        "handshakes",
        _bars("Connect, upgrade, close", "handshakes", "handshakes", [("", {})]),
    ),
    "deflate": (
        "deflate",
        _bars(
            "Echo of deflated JSON, 20 connections",
            "messages",
            "deflate",
            [("1 KiB", {"size": 1024}), ("64 KiB", {"size": 65536})],
        ),
    ),
    "clients": (
        "clients",
        _bars(
            "Clients, one connection",
            "messages",
            "clients",
            [
                ("128 B, 16 in flight", {"size": 128, "in_flight": 16}),
                ("128 B, 1 in flight", {"size": 128, "in_flight": 1}),
                ("64 KiB, 4 in flight", {"size": 65536, "in_flight": 4}),
            ],
        ),
    ),
    "memory": ("memory", memory_plot),
}


PAGE: Final = """# Results

Made by `python -m bench.report` from the files beside it; [how they are measured](../README.md).

{plots}

## What it must show

Ratios in one run, medians over its rounds. Where the machine had other things to do meanwhile, the
ratio of processor times for a message says more than that of rates. `≤` where the other server had
time left, and the generator was what held it up: its rate might be higher.

{targets}

## Machine and versions

{machines}
"""


def machines(folder: Path) -> str:
    """Returns what each file of results says of its machine and versions, as a list."""
    found = []
    for path in sorted(folder.glob("*.json")):
        facts = json.loads(path.read_text())["environment"]
        versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
        found.append(
            f"- `{path.name}`: {facts['date']}, commit {facts['commit']},"
            f" rfc6455 in {facts['implementation']}; {facts['python']} on {facts['cpu']},"
            f" {facts['cores']} cores, load {facts['load'][0]}, {facts['platform']}; {versions}"
        )
    return "\n".join(found)


def write_report(folder: Path) -> Path:
    """Writes the plots and README.md into a folder with results, and returns the page's path."""
    results = load_results(folder)
    drawn = []
    for name, (source, draw) in PLOTS.items():
        if source in results:
            (folder / f"{name}.svg").write_text(draw(results))
            drawn.append(f"![{name}]({name}.svg)")
    verdicts = [judge(target, results) for target in TARGETS]
    page = folder / "README.md"
    page.write_text(
        PAGE.format(
            plots="\n\n".join(drawn),
            targets=markdown_table(COLUMNS, table(verdicts)),
            machines=machines(folder),
        )
    )
    return page


def main(arguments: list[str] | None = None) -> int:
    """Writes the report."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.report", description="Draw plots and tables of results."
    )
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    options = parser.parse_args(arguments)
    try:
        print(f"written to {write_report(options.results)}")
    except FileNotFoundError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
