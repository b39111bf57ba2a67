"""Makes instrumented code run twice as fast: `trace.c` in the place of two functions of atheris.

What lives here: building that, and putting it in. Where it does not work, because there is no
compiler or because it is another atheris, everything stays as it was, only slower.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

SOURCE: Final = Path(__file__).with_name("trace.c")
BUILT: Final = SOURCE.parent / ".work" / "trace.so"
LIBRARY: Final = "core_with_libfuzzer"


def accelerate() -> None:
    """Does it, once libFuzzer runs: atheris loads it late."""
    try:
        _build()
        spec = importlib.util.spec_from_file_location("trace", BUILT)
        assert spec is not None
        assert spec.loader is not None
        trace = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(trace)
        maps = Path("/proc/self/maps").read_text().splitlines()
        library = next(line.split()[-1] for line in maps if LIBRARY in line)
        if not trace.use(library):
            raise ImportError("atheris has no such functions")
    except (ImportError, OSError, StopIteration, subprocess.CalledProcessError) as error:
        print(f"slower than it could be: {error!r}", file=sys.stderr)
        return
    atheris._trace_branch = trace.trace_branch
    atheris._trace_cmp = trace.trace_cmp


def _build() -> None:
    if BUILT.exists() and BUILT.stat().st_mtime > SOURCE.stat().st_mtime:
        return
    BUILT.parent.mkdir(exist_ok=True)
    include = sysconfig.get_path("include")
    command = ["cc", "-O2", "-shared", "-fPIC", f"-I{include}", str(SOURCE), "-o", str(BUILT)]
    subprocess.run(command, check=True, capture_output=True)
