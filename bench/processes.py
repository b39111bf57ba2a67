"""Processes of a benchmark: built, started on a core of their own, looked at, and ended.

What lives here: compiling the C programs, choosing cores and ports, a server's life, its memory.
This file does not know which servers there are, nor what is measured.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .harness import ROOT

__all__ = ["Process", "build", "cores", "free_port", "pinned", "start_server"]

BENCH: Final = ROOT / "bench"
BUILT: Final = BENCH / ".build"
SOURCES: Final = {
    "load": ("load.c", "client.c", "ring.c"),
    "echo": ("echo.c",),
}
START_SECONDS: Final = 30


class BuildError(Exception):
    """There is no compiler, or it failed."""


def build(program: str) -> Path:
    """Compiles ``load`` or ``echo`` where its sources are newer, and returns the program.

    Raises:
        BuildError: what is missing, or what the compiler says.
    """
    sources = [BENCH / name for name in SOURCES[program]]
    newest = max(path.stat().st_mtime for path in [*sources, *BENCH.glob("*.h")])
    target = BUILT / program
    if target.exists() and target.stat().st_mtime > newest:
        return target
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise BuildError("the load generator is in C: it needs a compiler (Debian: gcc)")
    BUILT.mkdir(exist_ok=True)
    command = [compiler, "-O3", "-Wall", "-Wextra", *map(str, sources), "-lz", "-lm"]
    # Built aside and moved: two runs at once may build the same program.
    with tempfile.NamedTemporaryFile(dir=BUILT, delete=False) as file:
        made = Path(file.name)
    done = subprocess.run([*command, "-o", str(made)], capture_output=True, text=True, check=False)
    if done.returncode:
        made.unlink()
        raise BuildError(f"{' '.join(command)}\n{done.stderr}(zlib's headers: zlib1g-dev)")
    made.replace(target)
    return target


def cores() -> tuple[int, int] | None:
    """Returns a core for the server and one for the generator, or None where there is but one.

    Two threads of one physical core are taken only where there are no others.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    usable = sorted(os.sched_getaffinity(0))
    for other in usable[1:]:
        if other not in _siblings(usable[0]):
            return usable[0], other
    return (usable[0], usable[1]) if len(usable) > 1 else None


def _siblings(core: int) -> set[int]:
    try:
        path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
        text = path.read_text()
    except OSError:
        return {core}
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def pinned(core: int | None) -> Callable[[], None] | None:
    """Returns what `subprocess.Popen` calls in the child, to keep it on one core."""
    if core is None:
        return None
    return lambda: os.sched_setaffinity(0, {core})


def free_port() -> int:
    """Returns a port of which nobody else will be told as long as this process lives.

    It is held by a socket that does not listen: where that may share its address, so may a server,
    also one that comes back; whoever looks for a free port goes on.
    """
    while True:
        # Linux gives those below to nobody who asks for any.
        port = 20_000 + secrets.randbelow(12_000)
        holder = socket.socket()
        try:
            holder.bind(("127.0.0.1", port))
        except OSError:
            holder.close()
            continue
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.detach()
        return port


class Process:
    """A server that runs.

    Attributes:
        name: in the tables.
        pid: of its process.
        port: where it listens on 127.0.0.1.
    """

    def __init__(self, name: str, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.name = name
        self.pid = process.pid
        self.port = port
        self._process = process
        self._log = log

    def wait_until_it_listens(self) -> None:
        """Returns once it accepts connections.

        Raises:
            RuntimeError: it ended, or took too long; with what it printed.
        """
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            self.check()
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(f"{self.name} does not listen after {START_SECONDS} s\n{self.output()}")

    def pause(self) -> None:
        """Stops it: some servers turn their loops even when nobody is connected."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on.

        Raises:
            RuntimeError: it has ended meanwhile; with what it printed.
        """
        self.check()
        self._process.send_signal(signal.SIGCONT)

    def has_ended(self) -> bool:
        """Returns whether it runs no longer."""
        return self._process.poll() is not None

    def check(self) -> None:
        """Does nothing while it runs.

        Raises:
            RuntimeError: it ended; with what it printed.
        """
        if self.has_ended():
            code = self._process.returncode
            raise RuntimeError(f"{self.name} ended with code {code}\n{self.output()}".strip())

    def output(self) -> str:
        """Returns the last of what it printed."""
        return self._log.read_text(errors="replace")[-2000:]

    def memory(self) -> dict[str, int]:
        """Returns bytes: its proportional and its resident share of memory.

        Raises:
            RuntimeError: it has ended; with what it printed.
        """
        self.check()
        sizes = {}
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in ("Pss", "Rss"):
                sizes[name.lower()] = int(rest.split()[0]) * 1024
        return sizes


@contextmanager
def start_server(
    name: str,
    command: Callable[[int], Sequence[str]],
    *,
    core: int | None = None,
    environment: dict[str, str] | None = None,
) -> Iterator[Process]:
    """Runs a server until the block is left.

    Args:
        name: in the tables.
        command: takes the port to listen on, and returns what to run.
        core: to keep it on.
        environment: additional variables.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as file:
            popen = subprocess.Popen(
                command(port),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                preexec_fn=pinned(core),
            )
        process = Process(name, popen, port, log)
        try:
            process.wait_until_it_listens()
            yield process
        finally:
            popen.kill()
            popen.wait()


def python(module: str, *arguments: str) -> list[str]:
    """Returns the command that runs a module with this Python."""
    return [sys.executable, "-m", module, *arguments]
