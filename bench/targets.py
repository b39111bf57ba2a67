"""What the library must show, as ratios in one run, and how far the results are from it.

What lives here: the table of targets, and their comparison with files of results. This file does
not measure.

    python -m bench.targets                           judge bench/results
    python -m bench.targets --results FOLDER          judge another folder
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .harness import RESULTS, print_table
from .peers import SERVERS
from .rounds import median_of, ratio

__all__ = ["TARGETS", "Results", "Target", "Verdict", "judge", "load_results", "table"]

IDLE: Final = 0.85
"""Of a core: a server that uses less while its generator is busy waits for it."""
BUSY: Final = 0.85
"""Of a core: a generator that uses more is."""

Results = dict[str, list[dict[str, Any]]]
"""The rows of each file of results, by the file's name without its suffix."""

LIMITS: Final = ("raw-asyncio", "raw-uvloop", "c-ws", "c-raw")
PYTHON_PEERS: Final = tuple(
    server.name
    for server in SERVERS
    if server.name not in LIMITS and server.module != "node" and "rfc6455" not in server.name
)


@dataclass(frozen=True, slots=True)
class Target:
    """One demand.

    Attributes:
        workload: in the table.
        source: the file of results.
        where: what finds the row in it.
        ours: whose row.
        others: whose row it is compared with: the best one's where they are several.
        at_least: the ratio, of rates; or None.
        at_most: the value, for what has to be small; or None.
        key: what is small.
    """

    workload: str
    source: str
    where: dict[str, Any]
    ours: str
    others: tuple[str, ...] = ()
    at_least: float | None = None
    at_most: float | None = None
    key: tuple[str, ...] = ("rate",)


def _echo(size: int, in_flight: int, connections: int = 100) -> dict[str, Any]:
    return {"size": size, "connections": connections, "in_flight": in_flight, "kind": "text"}


def _targets() -> Iterable[Target]:
    one, many = _echo(128, 1), _echo(128, 16)
    title = "`async for` echo, 128 B, 100 connections"
    for other, least in (("picows.websockets", 1.25), ("websockets", 3.5), ("raw-uvloop", 0.75)):
        yield Target(f"{title}, 1 in flight", "echo", one, "rfc6455", (other,), least)
    for other, least in (("picows.websockets", 5.0), ("websockets", 15.0)):
        yield Target(f"{title}, 16 in flight", "echo", many, "rfc6455", (other,), least)
    for name, size in (("16 KiB", 16 * 1024), ("64 KiB", 64 * 1024), ("1 MiB", 1024 * 1024)):
        for depth in (1, 16) if size < 1024 * 1024 else (1,):
            title = f"`async for` echo, {name}, {depth} in flight"
            yield Target(title, "echo", _echo(size, depth), "rfc6455", PYTHON_PEERS, 1.3)
            if name == "64 KiB":
                yield Target(title, "echo", _echo(size, depth), "rfc6455", ("raw-uvloop",), 0.7)
    for where, depth, least in ((one, 1, 1.1), (many, 16, 5.0)):
        title = f"callback echo, {depth} in flight"
        yield Target(title, "echo", where, "rfc6455-listener", ("picows",), least)
    publish = {"mode": "broadcast", "connections": 1000}
    for other, least in (("picows", 1.0), ("c-ws", 0.9)):
        where = publish | {"deflate": False}
        title = "broadcast, 1000 receivers"
        yield Target(title, "broadcast", where, "rfc6455", (other,), least)
    title = "broadcast, deflated, 1000 receivers"
    where = publish | {"deflate": True}
    yield Target(title, "broadcast", where, "rfc6455", ("websockets",), 5.0)
    for other, least in (("picows.websockets", 1.0), ("websockets", 2.0)):
        yield Target("handshakes", "handshakes", {}, "rfc6455", (other,), least)
    for way, most in (("plain", 6.0), ("deflate, before use", 8.0)):
        title = f"memory of an idle connection, {way}, KiB"
        where = {"way": way}
        yield Target(title, "memory", where, "rfc6455", at_most=most, key=("pss_kib",))
    for name, size in (("1 KiB", 1024), ("64 KiB", 64 * 1024)):
        title, where = f"deflated echo, JSON of {name}", {"size": size}
        yield Target(f"{title}, zlib", "deflate", where, "rfc6455", ("websockets",), 1.5)
        yield Target(f"{title}, isal", "deflate", where, "rfc6455 isal", ("aiohttp isal",), 1.1)
        # aiohttp compresses at level 0, and more octets travel.
        level_0 = f"{title}, isal at level 0"
        yield Target(level_0, "deflate", where, "rfc6455 isal:0", ("aiohttp isal",), 1.1)
    where = {"size": 128, "in_flight": 16}
    title = "client, 128 B, 16 in flight"
    yield Target(f"{title}, asyncio", "clients", where, "rfc6455", ("picows.websockets",), 1.2)
    yield Target(f"{title}, threads", "clients", where, "rfc6455-sync", ("websockets-sync",), 3.0)
    for shape, name, least in (
        ("64 KiB per read", "bursts", 30.0),
        ("1 per read", "one each", 8.0),
    ):
        where = {"direction": "receive", "size": 128, "shape": shape}
        title = f"bare codec, {name}"
        yield Target(title, "codec-native", where, "its codec", ("websockets",), least)
    for where, depth, least in ((one, 1, 2.0), (many, 16, 4.0)):
        title = f"pure Python, echo, {depth} in flight"
        yield Target(title, "echo", where, "rfc6455-pure", ("websockets",), least)
    yield Target(
        "a quiet client beside a flooding one, p99, times that without",
        "fairness",
        {"way": "beside a flood"},
        "rfc6455",
        at_most=2.0,
        key=("latency_us", "p99"),
    )


TARGETS: Final = tuple(_targets())


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target and what was measured.

    Attributes:
        target: which.
        other: whom it was compared with; empty for none.
        found: the ratio or value, or None where the results have it not.
        by_cpu: the same ratio of processor times, or None.
        idled: whether the other waited for the generator: its rate might be higher.
    """

    target: Target
    other: str = ""
    found: float | None = None
    by_cpu: float | None = None
    idled: bool = False

    @property
    def met(self) -> bool:
        """Whether what was measured is enough."""
        if self.found is None:
            return False
        if self.target.at_least is not None:
            return self.found >= self.target.at_least
        return self.target.at_most is not None and self.found <= self.target.at_most


def load_results(folder: Path) -> Results:
    """Returns all results in a folder.

    Raises:
        FileNotFoundError: there are none.
    """
    found = {path.stem: _rows(json.loads(path.read_text())) for path in folder.glob("*.json")}
    if not found:
        raise FileNotFoundError(f"no results in {folder}: run `make bench` or `make bench-quick`")
    return found


def _rows(content: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for row in content["results"]:
        if "seconds" not in row:
            rows.append(row)
            continue
        # bench.codec tells seconds by name, all candidates in one row.
        facts = {key: row[key] for key in ("direction", "size", "shape")}
        for name, seconds in row["seconds"].items():
            samples = [{"rate": row["messages"] / one} for one in seconds]
            rows.append({**facts, "name": name, "samples": samples})
    return rows


def _find(rows: Sequence[dict[str, Any]], where: dict[str, Any], name: str) -> list[Any] | None:
    for row in rows:
        if row.get("name") == name and all(row.get(key) == value for key, value in where.items()):
            samples: list[Any] = row["samples"]
            return samples
    return None


def judge(target: Target, results: Results) -> Verdict:
    """Compares a target with results."""
    rows = results.get(target.source, [])
    mine = _find(rows, target.where, target.ours)
    if not mine:
        return Verdict(target)
    if target.at_most is not None:
        value = median_of(mine, *target.key)
        if target.source == "fairness":
            alone = _find(rows, {"way": "alone"}, target.ours)
            without = median_of(alone or [], *target.key)
            value = value / without if value and without else None
        return Verdict(target, found=value)
    rates = {}
    for name in target.others:
        samples = _find(rows, target.where, name)
        if samples:
            rates[name] = (median_of(samples, "rate") or 0.0, samples)
    if not rates:
        return Verdict(target)
    best = max(rates, key=lambda name: rates[name][0])
    theirs = rates[best][1]
    has_cpu = all(sample.get("cpu_us") for sample in (*mine, *theirs))
    by_cpu = ratio(mine, theirs, "cpu_us") if has_cpu else None
    return Verdict(target, best, ratio(mine, theirs), by_cpu, _has_idled(theirs))


def _has_idled(samples: Sequence[dict[str, Any]]) -> bool:
    server, generator = (median_of(samples, f"{who}_load") for who in ("server", "generator"))
    return server is not None and generator is not None and server < IDLE and generator > BUSY


COLUMNS: Final = ("workload", "compared with", "target", "measured", "by processor time", "")


def table(verdicts: Iterable[Verdict]) -> list[list[str]]:
    """Returns the lines below `COLUMNS`."""
    lines = []
    for verdict in verdicts:
        target = verdict.target
        wanted = f"≥ {target.at_least:g} ×" if target.at_least else f"≤ {target.at_most:g}"
        other = verdict.other or " or ".join(target.others[:1])
        if verdict.found is None:
            lines.append([target.workload, other, wanted, "not measured", "", "?"])
            continue
        sign = " ×" if target.at_least else ""
        lines.append(
            [
                target.workload,
                other,
                wanted,
                f"{'≤ ' * verdict.idled}{verdict.found:.2f}{sign}",
                "" if verdict.by_cpu is None else f"{verdict.by_cpu:.2f} ×",
                "met" if verdict.met else "missed",
            ]
        )
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Prints the table; returns 1 if a target is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.targets", description="Compare results with what they must show."
    )
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    options = parser.parse_args(arguments)
    try:
        results = load_results(options.results)
    except FileNotFoundError as error:
        parser.error(str(error))
    verdicts = [judge(target, results) for target in TARGETS]
    print_table("What it must show", COLUMNS, table(verdicts))
    return 0 if all(verdict.met for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
