"""One target under atheris, in a process of its own; `fuzz.run` starts it.

    python -m fuzz.worker TARGET [libFuzzer's arguments] FOLDER...

What lives here: instrumentation, and the clock. It imports nothing of the code under test before
atheris watches.
"""

from __future__ import annotations

import sys
import time
from typing import Final

import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

from .targets import TARGETS
from .tracing import accelerate

MAX_SECONDS: Final = 0.5
"""Of processor time for one input of a few hundred bytes; ordinary ones take a thousandth of it."""


def main() -> None:
    """Fuzzes one target until libFuzzer has done what its arguments ask for."""
    target = TARGETS[sys.argv[1]]
    with atheris.instrument_imports(include=list(target.instrument)):
        check = target.check()

    accelerated = False

    def check_in_time(data: bytes) -> None:
        nonlocal accelerated
        if not accelerated:
            accelerated = True
            accelerate()
        start = time.thread_time()
        check(data)
        seconds = time.thread_time() - start
        if seconds > MAX_SECONDS:
            raise TimeoutError(f"{len(data)} bytes took {seconds:.2f} s of processor time")

    atheris.Setup([sys.argv[0], *sys.argv[2:]], check_in_time)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
