"""Runs the targets under atheris, one after the other, and counts.

    python -m fuzz.run                              every target, 60 seconds each
    python -m fuzz.run --seconds 5                  what continuous integration does
    python -m fuzz.run --runs 10000000 frame        until it has run so often
    python -m fuzz.run --merge                      keep what the runs so far found, and no more

A run starts from the seeds, from `fuzz/corpus`, and from what earlier runs left in `fuzz/.work`. An
input that breaks a promise is written to the corpus, where the tests replay it from then on, and
the run fails. So does a run without atheris: it would say nothing. What an interrupted run has done
counts.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rfc6455 import implementation

from .targets import CORPUS, TARGETS, Target

ROOT: Final = Path(__file__).parents[1]
WORK: Final = ROOT / "fuzz" / ".work"
EXECUTED: Final = re.compile(r"^stat::number_of_executed_units:\s*(\d+)", re.MULTILINE)
INTERRUPTED: Final = "libFuzzer: run interrupted"
MOST_SECONDS_PER_INPUT: Final = 10
MOST_MEMORY: Final = 1024
"""MiB; libFuzzer calls it a crash when the process takes more."""


@dataclass(frozen=True, slots=True)
class Run:
    """What became of a target.

    Attributes:
        target: its name.
        executions: inputs that were tried.
        seconds: of wall time.
        crash: the file with the input that failed, or an empty string.
        log: what libFuzzer and Python said.
    """

    target: str
    executions: int
    seconds: float
    crash: str
    log: str


def run(target: Target, *, seconds: int, runs: int, seed: int) -> Run:
    """Fuzzes one target for so many seconds or runs, whichever ends first; 0 is no limit."""
    crashes = CORPUS / target.name
    folders = [_found(target), _write_seeds(target), crashes]
    crashes.mkdir(parents=True, exist_ok=True)
    before = set(target.corpus())
    start = time.monotonic()
    log = _libfuzzer(
        target,
        [
            f"-max_total_time={seconds}",
            f"-runs={runs or -1}",
            f"-seed={seed}",
            f"-artifact_prefix={crashes}/",
            f"-timeout={MOST_SECONDS_PER_INPUT}",
            f"-rss_limit_mb={MOST_MEMORY}",
        ],
        folders,
    )
    took = time.monotonic() - start
    new = sorted(path.name for path in set(target.corpus()) - before)
    counted = EXECUTED.search(log)
    if counted is None and not new:
        new = ["none: the fuzzer did not run"]
    return Run(target.name, int(counted[1]) if counted else 0, took, " ".join(new), log)


def merge(target: Target) -> int:
    """Adds to the corpus what runs have found beyond the seeds; returns how many inputs."""
    kept = CORPUS / target.name
    kept.mkdir(parents=True, exist_ok=True)
    before = len(target.corpus())
    # Folders that are there already count as reached: libFuzzer adds to the first what they lack.
    base = WORK / target.name / "base"
    base.mkdir(parents=True, exist_ok=True)
    for path in [*_write_seeds(target).iterdir(), *target.corpus()]:
        (base / path.name).write_bytes(path.read_bytes())
    names = {path.name for path in base.iterdir()}
    _libfuzzer(target, ["-merge=1", "-use_value_profile=0"], [base, _found(target)])
    for path in base.iterdir():
        if path.name not in names:
            (kept / path.name).write_bytes(path.read_bytes())
    return len(target.corpus()) - before


def _libfuzzer(target: Target, arguments: Sequence[str], folders: Sequence[Path]) -> str:
    command = [sys.executable, "-m", "fuzz.worker", target.name, *arguments]
    command += [f"-max_len={target.max_len}", "-print_final_stats=1", *map(str, folders)]
    environment = os.environ | ({"RFC6455_PURE": "1"} if target.pure else {})
    with tempfile.TemporaryFile() as log:
        # In a session of its own: Ctrl+C would end it before it has told how far it came.
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
        )
        try:
            process.wait()
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
        log.seek(0)
        return log.read().decode(errors="backslashreplace")


def _found(target: Target) -> Path:
    folder = WORK / target.name / "found"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write_seeds(target: Target) -> Path:
    folder = WORK / target.name / "seeds"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in target.seeds().items():
        (folder / name).write_bytes(data)
    return folder


def _remember(result: Run) -> None:
    """Appends to a history, from which `fuzz/README.md` is told."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    values = {"date": date, "commit": commit, **asdict(result)}
    del values["log"]
    with (WORK / "history.jsonl").open("a") as history:
        history.write(json.dumps(values) + "\n")


def main(arguments: list[str] | None = None) -> int:
    """Runs the targets that are named, or all; returns 1 when one of them fails."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.run", description="Fuzz the core.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, help="for each target (default: 60)")
    parser.add_argument("--runs", type=int, default=0, help="inputs that each target tries")
    parser.add_argument("--seed", type=int, default=6455, help="of the fuzzer (default: 6455)")
    parser.add_argument("--merge", action="store_true", help="add what was found to the corpus")
    options = parser.parse_args(arguments)
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if importlib.util.find_spec("atheris") is None:
        print("NOTHING WAS FUZZED: pip install -e '.[fuzz]' (atheris)", file=sys.stderr)
        return 1
    targets = [TARGETS[name] for name in options.targets or TARGETS]
    for target in targets:
        if implementation != "native" and not target.pure:
            twice = "THERE IS NO NATIVE TWIN, Python is compared with Python alone"
            print(f"{target.name}: {twice}", file=sys.stderr)
    if options.merge:
        for target in targets:
            print(f"{target.name:<15} {merge(target):>6} inputs added", flush=True)
        return 0
    seconds = options.seconds if options.seconds is not None else 0 if options.runs else 60
    failed = False
    for target in targets:
        result = run(target, seconds=seconds, runs=options.runs, seed=options.seed)
        _remember(result)
        verdict = f"FAILED: {result.crash}" if result.crash else "ok"
        print(
            f"{result.target:<15} {result.executions:>11,} executions {result.seconds:>7.0f} s"
            f"  {verdict}",
            flush=True,
        )
        if result.crash:
            failed = True
            print("\n".join(result.log.splitlines()[-60:]), file=sys.stderr)
        if INTERRUPTED in result.log:
            print("interrupted", file=sys.stderr)
            return 1
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
