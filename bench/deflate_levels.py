"""What the levels of permessage-deflate cost in processor time, and what they save in bytes.

What lives here: the extension alone, at its defaults but for the level, which compresses messages
of several kinds with context takeover. No connection and no sockets. The native twin, which stands
in for zlib at level 1, has a row beside zlib's own.

    python -m bench.deflate_levels           the table, in half a minute
    python -m bench.deflate_levels --json    also write bench/results/deflate_levels.json
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import random
import sys
import time
import zlib
from pathlib import Path
from types import ModuleType
from typing import Final

import rfc6455
from rfc6455 import PermessageDeflate

from .harness import RESULTS, environment, headline, print_table, size_name, write_results
from .messages import NAMES, WORDS, messages

NATIVE: Final = "native"
LEVELS: Final = {
    NATIVE: (1,),
    "zlib": (1, 2, 3, 4, 6, 9),
    "zlib_ng.zlib_ng": (1, 2, 3, 6, 9),
    "isal.isal_zlib": (0, 1, 2, 3),
}
SIZES: Final = (1024, 64 * 1024)
CHATS: Final = 500
SECONDS: Final = 0.3
"""Of processor time at least, for each setting."""


def chat() -> list[bytes]:
    """Returns short events of a chat, which resemble each other: some 140 bytes each."""
    source = random.Random(7692)
    return [
        json.dumps(
            {
                "type": "message",
                "room": "general",
                "id": 1000 + number,
                "from": source.choice(NAMES),
                "at": 1_700_000_000 + 3 * number,
                "text": " ".join(source.choices(WORDS, k=12)),
            }
        ).encode()
        for number in range(CHATS)
    ]


def load(name: str) -> ModuleType | None:
    """Returns a library, or None where it is not there."""
    if name == NATIVE:
        return zlib if rfc6455.implementation == "native" else None
    if name == "zlib":
        # The native twin stands in for the one module alone.
        copy = ModuleType(name)
        vars(copy).update(vars(zlib))
        return copy
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        return None
    return importlib.import_module(name)


def measure(deflate: PermessageDeflate, contents: list[bytes]) -> tuple[float, float]:
    """Returns the processor time for a message in µs, and the share of its bytes that is left."""
    times: list[float] = []
    while sum(times) < SECONDS:
        accepted = deflate.accept([])
        assert accepted is not None
        _, extension = accepted
        start = time.process_time()
        encoded = [extension.encode(content, final=True) for content in contents]
        times.append(time.process_time() - start)
    left = sum(map(len, encoded)) / sum(map(len, contents))
    return min(times) / len(contents) * 1e6, left


def main(arguments: list[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.deflate_levels", description="Levels of permessage-deflate."
    )
    parser.add_argument("--quick", action="store_true", help="without other libraries")
    parser.add_argument("--json", action="store_true", help="write deflate_levels.json")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, metavar="FOLDER", help="(default: bench/results)"
    )
    options = parser.parse_args(arguments)
    facts = environment(["zlib-ng", "isal"])
    print(headline(facts))
    kinds = {f"JSON of {size_name(size)}": [m.encode() for m in messages(size)] for size in SIZES}
    kinds["chat events"] = chat()
    results = []
    rows = []
    for name, levels in LEVELS.items():
        library = load(name)
        if library is None or (options.quick and name not in (NATIVE, "zlib")):
            continue
        for level in levels:
            deflate = PermessageDeflate(library=library, level=level)
            row = [name.partition(".")[0], str(level)]
            for kind, contents in kinds.items():
                microseconds, left = measure(deflate, contents)
                results.append(
                    {"library": name, "level": level, "messages": kind}
                    | {"microseconds": microseconds, "left": left}
                )
                row += [f"{microseconds:.1f}", f"{100 * left:.1f}"]
            rows.append(row)
    columns = [f"{kind}, {unit}" for kind in kinds for unit in ("µs", "%")]
    title = "Processor time for a message, and what is left of its bytes"
    print_table(title, ["library", "level", *columns], rows)
    if options.json:
        path = write_results("deflate_levels", facts, results, folder=options.results)
        print(f"\nwritten to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
