"""What permessage-deflate costs in memory per connection, for several settings and libraries.

What lives here: many connections in memory, in a process of their own for each setting, whose
resident memory is read before they are made, when they are idle, and after each has received and
sent messages. No sockets: what a transport costs comes on top, with compression or without.

    python -m bench.memory_deflate                      the table
    python -m bench.memory_deflate --connections 2000   more of them
    python -m bench.memory_deflate --json               also write bench/results/memory_deflate.json

It reads /proc, so it runs on Linux.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from rfc6455 import Connection, Extension, PermessageDeflate, Role

from .harness import RESULTS, environment, headline, print_table, write_results

CONNECTIONS: Final = 500
MESSAGE_SIZE: Final = 20_000
MESSAGES: Final = 4
"""Together more than the largest window holds, twice."""

LIBRARIES: Final = ("zlib", "zlib_ng.zlib_ng", "isal.isal_zlib")
NO_TAKEOVER: Final = {"context_takeover": False, "peer_context_takeover": False}
WINDOW_15: Final = {"window_bits": 15, "peer_window_bits": 15}
SETTINGS: Final[dict[str, dict[str, Any] | None]] = {
    "no compression": None,
    "defaults (window 12, memory level 5)": {},
    "window 9, memory level 1": {"window_bits": 9, "peer_window_bits": 9, "memory_level": 1},
    "window 15, memory level 5": WINDOW_15,
    "window 15, memory level 8": {**WINDOW_15, "memory_level": 8},
    "defaults, no context takeover": NO_TAKEOVER,
    "window 15, no context takeover": {**WINDOW_15, **NO_TAKEOVER},
}


def resident() -> int:
    """Returns the bytes of memory that this process occupies."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def messages() -> list[bytes]:
    """Returns messages as an application might send them: JSON with names, numbers and words."""
    source = random.Random(7692)
    words = ["".join(source.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(2000)]
    made = []
    for _ in range(MESSAGES):
        entries: list[str] = []
        while sum(map(len, entries)) < MESSAGE_SIZE:
            text = " ".join(source.choices(words, k=12))
            entries.append(json.dumps({"id": source.getrandbits(48), "text": text}))
        made.append("\n".join(entries).encode())
    return made


def make(deflate: PermessageDeflate | None) -> Connection:
    """Makes a server's connection whose client lets its window be limited."""
    extensions: list[Extension] = []
    if deflate is not None:
        _, extension = agree(deflate)
        extensions.append(extension)
    return Connection(Role.SERVER, extensions=extensions)


def agree(deflate: PermessageDeflate) -> tuple[Extension, Extension]:
    """Negotiates between two of these settings. Returns the client's side and the server's."""
    accepted = deflate.accept(deflate.offers()[0])
    assert accepted is not None
    answer, server = accepted
    return deflate.confirm(answer), server


def measure(setting: str, library: str, count: int) -> dict[str, int]:
    """Makes and uses connections in this process. Returns bytes per connection, idle and used."""
    options = SETTINGS[setting]
    deflate = None
    compression: list[Extension] = []
    if options is not None:
        deflate = PermessageDeflate(**options, library=importlib.import_module(library))
        client, _ = agree(PermessageDeflate(**options))
        compression.append(client)
    contents = messages()
    sender = Connection(Role.CLIENT, extensions=compression)
    for content in contents:
        sender.send_binary(content)
    wire = sender.data_to_send()

    def use(connection: Connection) -> None:
        assert connection.receive_data(wire) == contents
        for content in contents:
            connection.send_binary(content)
            connection.data_to_send()

    use(make(deflate))
    before = resident()
    connections = [make(deflate) for _ in range(count)]
    idle = resident()
    for connection in connections:
        use(connection)
    used = resident()
    return {"idle": (idle - before) // count, "used": (used - before) // count}


def measure_apart(setting: str, library: str, count: int) -> dict[str, int]:
    """Does as `measure`, in a process of its own."""
    command = [sys.executable, "-m", "bench.memory_deflate", "--connections", str(count)]
    output = subprocess.run(
        [*command, "--one", setting, library],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    found: dict[str, int] = json.loads(output)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.memory_deflate",
        description="Memory per connection of permessage-deflate.",
    )
    parser.add_argument("--connections", type=int, default=CONNECTIONS, metavar="N")
    parser.add_argument("--quick", action="store_true", help="with zlib alone")
    parser.add_argument("--json", action="store_true", help="write memory_deflate.json")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, metavar="FOLDER", help="(default: bench/results)"
    )
    parser.add_argument("--one", nargs=2, metavar=("SETTING", "LIBRARY"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        setting, library = options.one
        print(json.dumps(measure(setting, library, options.connections)))
        return 0

    facts = environment(["zlib-ng", "isal"])
    print(headline(facts))
    libraries = LIBRARIES[:1] if options.quick else LIBRARIES
    installed = [name for name in libraries if importlib.util.find_spec(name.partition(".")[0])]
    results = []
    rows = []
    for setting, parameters in SETTINGS.items():
        cells: list[str] = []
        for library in installed:
            if parameters is None and library != "zlib":
                cells += ["", ""]
                continue
            found = measure_apart(setting, library, options.connections)
            results.append({"setting": setting, "library": library, **found})
            cells += [f"{found[state] / 1024:.1f}" for state in ("idle", "used")]
        rows.append([setting, *cells])
    columns = [
        f"{library.partition('.')[0]}, {state}"
        for library in installed
        for state in ("idle", "used")
    ]
    title = f"KiB per connection, {options.connections} connections in a process"
    print_table(title, ["setting", *columns], rows)
    if options.json:
        path = write_results("memory_deflate", facts, results, folder=options.results)
        print(f"\nwritten to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
