"""Memory of idle connections: how much more a server occupies with many than with few.

What lives here: opening connections that do nothing, and reading the server's memory from /proc (so
it runs on Linux). The figure is the slope between two numbers of connections: what the process
occupies anyhow is not in it.

    python -m bench.memory                        1,000 to 10,000 connections, about six minutes
    python -m bench.memory --quick                200 to 1,000, few servers
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from typing import Any, Final

from .comparison import (
    Candidate,
    Comparison,
    candidates,
    launch,
    option_parser,
    positive,
    prepare,
)
from .harness import print_table
from .peers import SERVERS, names
from .processes import Process, build, pinned
from .rounds import Load, contents

COUNTS: Final = (1_000, 10_000)
QUICK_COUNTS: Final = (200, 1_000)
QUICK_SERVERS: Final = ("rfc6455", "picows.websockets", "websockets", "c-ws")
SPARE_FILES: Final = 100
SETTLE_SECONDS: Final = 0.5
"""What the opening handshakes leave behind is gone by then, or stays."""
WAYS: Final = {
    "plain": Load(mode="idle"),
    "deflate, before use": Load(mode="unused", deflate=True, size=1024),
    "deflate, after a message": Load(mode="idle", deflate=True, size=1024),
}


def measure(
    server: Process, load: Load, counts: tuple[int, int], core: int | None
) -> dict[str, float]:
    """Returns KiB per connection, as ``pss_kib`` and ``rss_kib``.

    Raises:
        RuntimeError: connections could not be opened or were lost.
    """
    sizes = []
    with contents(load.size) as path:
        command = [str(build("load")), load.mode, "--port", str(server.port)]
        command += ["--messages", str(path), "--connections", str(counts[1])]
        with subprocess.Popen(
            command + ["--deflate"] * load.deflate,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=pinned(core),
        ) as generator:
            assert generator.stdin is not None
            assert generator.stdout is not None
            assert generator.stderr is not None
            for count in counts:
                generator.stdin.write(f"{count}\n")
                generator.stdin.flush()
                if generator.stdout.readline() != f"{count}\n":
                    raise RuntimeError(f"{generator.stderr.read()}{server.output()}")
                time.sleep(SETTLE_SECONDS)
                sizes.append(server.memory())
            generator.stdin.close()
    few, many = sizes
    return {
        f"{kind}_kib": (many[kind] - few[kind]) / 1024 / (counts[1] - counts[0]) for kind in few
    }


def ways(candidate: Candidate) -> dict[str, Candidate]:
    """Returns how a server is measured: without compression, and with where it has it."""
    deflate = candidate.server.deflate
    if not deflate or deflate == ("none",):
        return {"plain": candidate}
    compressing = Candidate(candidate.name, candidate.server, "echo", deflate[0])
    return {way: candidate if way == "plain" else compressing for way in WAYS}


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmark."""
    # Ten thousand threads are not what anybody would run.
    among = [server for server in SERVERS if server.loop]
    about = "Measure the memory of idle connections."
    parser = option_parser("memory", about, names(among), rounds=1)
    parser.add_argument("--counts", type=positive, nargs=2, metavar=("FEW", "MANY"))
    options = prepare(parser, arguments)
    few, many = options.counts or (QUICK_COUNTS if options.quick else COUNTS)
    if few >= many:
        parser.error(f"the first number of connections must be the smaller one, not {few}")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit != resource.RLIM_INFINITY and many + SPARE_FILES > limit:
        parser.error(f"{many} connections, but a process may open {limit} files (ulimit -Hn)")

    comparison = Comparison(options)
    chosen = candidates(parser, options, among=among, quick=QUICK_SERVERS)
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    for _ in range(1 if options.quick else options.rounds):
        for candidate in chosen:
            for way, one in ways(candidate).items():
                try:
                    with launch(one, options.server_core) as server:
                        sample = measure(server, WAYS[way], (few, many), options.load_core)
                except RuntimeError as error:
                    print(f"{one.name}, {way}, is left out: {error}", file=sys.stderr)
                    continue
                found.setdefault(candidate.name, {}).setdefault(way, []).append(sample)
    rows: list[list[str]] = []
    for name, by_way in found.items():
        cells: list[str] = []
        for way in WAYS:
            samples: list[dict[str, Any]] = list(by_way.get(way, []))
            if not samples:
                cells += ["", ""]
                continue
            facts = {"mode": "memory", "way": way, "connections": [few, many], "name": name}
            comparison.results.append({**facts, "samples": samples})
            for kind in ("pss_kib", "rss_kib"):
                cells.append(f"{sum(s[kind] for s in samples) / len(samples):.1f}")
        rows.append([name, *cells])
    columns = [f"{way}, {kind}" for way in WAYS for kind in ("PSS", "RSS")]
    title = f"KiB for each idle connection, from {few} to {many} connections"
    print_table(title, ["server", *columns], rows)
    comparison.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
