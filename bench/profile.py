"""Where a server's time goes, under one of the workloads: a profile.

What lives here: perf (Debian: linux-perf) for the shares of the kernel, the interpreter and each
shared library, py-spy for those of Python functions. This file does not compare anything.

    python -m bench.profile rfc6455                                   echo, 100 connections
    python -m bench.profile rfc6455 --in-flight 16 --size 1024
    python -m bench.profile websockets --mode broadcast --connections 1000
"""

from __future__ import annotations

import argparse
import collections
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from .comparison import Candidate, duration, launch, positive, workload_of
from .harness import print_table
from .peers import SERVERS, names
from .processes import Process, cores
from .rounds import Load

SHOWN: Final = 25
"""Functions in the table."""
FREQUENCY: Final = "4999"
"""Of perf's samples, in Hz; where it has no better clock than the kernel's it takes fewer."""
MODES: Final = ("echo", "broadcast", "handshakes")


def perf_shares(data: Path, keys: str) -> list[list[str]]:
    """Returns what `perf report` says: shares in percent, and what they are of."""
    command = ["perf", "report", "--stdio", "--no-children", "--sort", keys, "-i", str(data)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [line.split(None, 1) for line in output.splitlines()]
    # Behind the name of a function perf leaves columns that it has nothing for.
    return [
        [" ".join(what.rstrip(" -").split()), share] for share, what in filter(_is_share, lines)
    ]


def _is_share(line: list[str]) -> bool:
    return len(line) == 2 and line[0].endswith("%")


def spy_shares(stacks: Iterable[str]) -> list[list[str]]:
    """Returns the shares of Python functions by themselves, from py-spy's raw stacks."""
    counts: collections.Counter[str] = collections.Counter()
    for stack in stacks:
        frames, _, count = stack.rpartition(" ")
        counts[frames.rpartition(";")[2]] += int(count)
    total = counts.total() or 1
    return [[name, f"{100 * count / total:.2f}%"] for name, count in counts.most_common()]


def profile_with_perf(server: Process, load: Load, core: int | None, folder: Path) -> None:
    """Prints the shares of libraries and of functions in C."""
    data = folder / "perf.data"
    command = ["perf", "record", "--quiet", "--freq", FREQUENCY, "--pid", str(server.pid)]
    with subprocess.Popen([*command, "--output", str(data)], stderr=subprocess.PIPE) as perf:
        load.run(server, core=core)
        perf.send_signal(signal.SIGINT)
        _, errors = perf.communicate()
    if not data.exists():
        print(f"perf cannot look at processes here: {errors.decode().strip()}", file=sys.stderr)
        return
    print_table("By library", ["", "share"], perf_shares(data, "dso"))
    functions = [row for row in perf_shares(data, "dso,symbol") if "[kernel" not in row[0]]
    print_table("By function in C", ["", "share"], functions[:SHOWN])


def profile_with_py_spy(server: Process, load: Load, core: int | None, folder: Path) -> None:
    """Prints the shares of functions in Python."""
    stacks = folder / "stacks"
    tool = shutil.which("py-spy") or str(Path(sys.executable).with_name("py-spy"))
    command = [tool, "record", "--format", "raw", "--output", str(stacks), "--pid", str(server.pid)]
    command += ["--rate", "500", "--duration", str(max(1, round(load.seconds)))]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as spy:
        load.run(server, core=core)
        server.resume()
        _, errors = spy.communicate()
    if spy.returncode or not stacks.exists():
        print(f"py-spy cannot look at processes here: {errors.decode().strip()}", file=sys.stderr)
        return
    shares = spy_shares(stacks.read_text().splitlines())
    print_table("By function in Python, with what it calls in C", ["", "share"], shares[:SHOWN])


def main(arguments: list[str] | None = None) -> int:
    """Runs the profilers that are there."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.profile", description="Show where a server's time goes."
    )
    parser.add_argument("server", choices=names(), metavar="SERVER", help=", ".join(names()))
    parser.add_argument("--mode", choices=MODES, default="echo")
    parser.add_argument("--connections", type=positive, default=100, metavar="N")
    parser.add_argument("--in-flight", type=positive, default=1, metavar="N")
    parser.add_argument("--size", type=positive, default=128, metavar="BYTES")
    parser.add_argument("--deflate", metavar="LIBRARY", help="zlib, isal or zlib-ng")
    parser.add_argument("--seconds", type=duration, default=5.0)
    options = parser.parse_args(arguments)
    server = next(server for server in SERVERS if server.name == options.server)
    if lacking := server.missing():
        parser.error(f"{server.name} needs {lacking}")
    if options.deflate and options.deflate not in server.deflate:
        parser.error(f"{server.name} has {', '.join(server.deflate) or 'no permessage-deflate'}")
    if options.mode == "handshakes" and not server.closes:
        parser.error(f"{server.name} has no closing handshake")
    load = Load(
        mode=options.mode,
        size=options.size,
        connections=options.connections,
        in_flight=options.in_flight,
        deflate=options.deflate is not None,
        seconds=options.seconds,
    )
    workload = workload_of(server, options.mode)
    server_core, load_core = cores() or (None, None)
    tools = {"perf": profile_with_perf, "py-spy": profile_with_py_spy}
    with tempfile.TemporaryDirectory() as folder:
        for tool, profile in tools.items():
            beside_python = Path(sys.executable).with_name(tool)
            if shutil.which(tool) is None and not beside_python.exists():
                print(f"{tool} is not there: its profile is left out", file=sys.stderr)
                continue
            candidate = Candidate(server.name, server, workload, options.deflate)
            with launch(candidate, server_core) as process:
                profile(process, load, load_core, Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
