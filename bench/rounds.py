"""Servers measured side by side: the load generator against one after the other, round by round.

What lives here: running the generator, interleaving, medians and ratios. This file does not know
which servers there are.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from .messages import messages
from .processes import Process, build, pinned

__all__ = ["Load", "Row", "in_rounds", "median_of", "ratio"]

PATIENCE: Final = 300
"""Seconds that one run may take beyond its measured time."""

Sample = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the generator does (bench/load.c).

    Attributes:
        mode: echo, broadcast or handshakes.
        size: bytes of a message.
        connections: how many.
        in_flight: messages under way on each connection.
        binary: send binary messages, not text.
        deflate: offer permessage-deflate and compress.
        interval_us: microseconds from one message to the next; 0 for no pause.
        warmup: seconds before the measurement.
        seconds: that it lasts.
    """

    mode: str = "echo"
    size: int = 128
    connections: int = 1
    in_flight: int = 1
    binary: bool = False
    deflate: bool = False
    interval_us: int = 0
    warmup: float = 0.3
    seconds: float = 1.0

    def command(self, process: Process, contents: Path) -> list[str]:
        """Returns what runs it against a server."""
        command = [str(build("load")), self.mode, "--port", str(process.port)]
        command += ["--pid", str(process.pid), "--messages", str(contents)]
        command += ["--connections", str(self.connections), "--in-flight", str(self.in_flight)]
        command += ["--warmup", str(self.warmup), "--seconds", str(self.seconds)]
        if self.interval_us:
            command += ["--interval-us", str(self.interval_us)]
        return command + ["--binary"] * self.binary + ["--deflate"] * self.deflate

    def run(
        self, process: Process, *, core: int | None, start: Callable[[], None] | None = None
    ) -> Sample:
        """Runs it once and returns what it measured.

        Args:
            process: the server.
            core: to keep the generator on.
            start: what the generator's process does at first, instead of that.

        Raises:
            RuntimeError: the server did not do what it should; with what both have to say.
        """
        process.resume()
        try:
            with contents(self.size) as path:
                done = subprocess.run(
                    self.command(process, path),
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=self.warmup + self.seconds + PATIENCE,
                    preexec_fn=start or pinned(core),
                )
        finally:
            process.pause()
        if done.returncode:
            process.check()
            raise RuntimeError(f"{process.name}: {done.stderr.strip()}\n{process.output()}".strip())
        sample: Sample = json.loads(done.stdout)
        if not sample["count"]:
            print(
                f"{process.name}: nothing came back in {self.seconds} s: had the machine other"
                " things to do?",
                file=sys.stderr,
            )
        return sample


@contextmanager
def contents(size: int) -> Iterator[Path]:
    """Gives a file with messages of a size, one a line."""
    with tempfile.NamedTemporaryFile("w", suffix=".messages") as file:
        file.writelines(f"{text}\n" for text in messages(size))
        file.flush()
        yield Path(file.name)


def order(names: Sequence[T], number: int) -> list[T]:
    """Returns the order of a round: another one starts, and every second round goes backwards."""
    turn = number % max(len(names), 1)
    turned = [*names[turn:], *names[:turn]]
    return turned if number % 2 else turned[::-1]


def in_rounds(
    candidates: Mapping[str, Callable[[], Sample]],
    rounds: int,
    *,
    problem: Callable[[str, Exception], None] | None = None,
) -> list[Row]:
    """Runs each candidate once per round.

    A candidate that fails is named on stderr and left out from there on.

    Args:
        candidates: what to run, by name.
        rounds: how often.
        problem: is told instead of stderr.

    Returns:
        Those that came through.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in candidates}
    for number in range(rounds):
        for name in order(list(samples), number):
            try:
                samples[name].append(candidates[name]())
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                del samples[name]
                if problem is None:
                    print(f"{name} failed and is left out: {error}", file=sys.stderr)
                else:
                    problem(name, error)
    return [Row(name, samples[name]) for name in candidates if name in samples]


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one candidate at one workload.

    Attributes:
        name: in the tables.
        samples: of the single rounds.
    """

    name: str
    samples: list[Sample]

    def median(self, *keys: str) -> float | None:
        """Returns the median over the rounds of what the keys lead to, or None if they do not."""
        return median_of(self.samples, *keys)


def median_of(samples: Sequence[Sample], *keys: str) -> float | None:
    """Returns the median of what the keys lead to in each sample; None where there is no such."""
    values = []
    for sample in samples:
        value: Any = sample
        for key in keys:
            if key not in value:
                return None
            value = value[key]
        values.append(value)
    return float(statistics.median(values)) if values else None


def ratio(samples: Sequence[Sample], others: Sequence[Sample], key: str = "rate") -> float:
    """Returns how many times as good one is: the median of the ratios within each round.

    Args:
        samples: of the one.
        others: of the other, from the same rounds.
        key: what is compared: ``rate``, of which more is better, or something of which less is.
    """
    if len(samples) != len(others):
        raise ValueError(f"{len(samples)} rounds cannot be compared with {len(others)}")
    pairs: list[tuple[float, float]] = [
        (mine[key], theirs[key]) for mine, theirs in zip(samples, others, strict=True)
    ]
    if key != "rate":
        pairs = [(theirs, mine) for mine, theirs in pairs]
    ratios = [mine / theirs if theirs else 0.0 for mine, theirs in pairs]
    return statistics.median(ratios)
