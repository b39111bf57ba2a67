"""The chat server as a child process to which anything may happen.

What lives here: starting it at the same port with the same database, killing and stopping it,
filling its disk and moving its clock. This file does not know who talks to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.helpers import ROOT
from tests.programs import free_port

ADDRESS: Final = re.compile(r"http://127\.0\.0\.1:(\d+)")
DISK_SIZE: Final = "8m"
FAKETIME: Final = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


def can_move_clocks() -> bool:
    """Whether libfaketime is there."""
    return bool(FAKETIME)


class ChatProcess:
    """A chat server with a database of its own.

    Args:
        folder: for the database.
        program: what to run; its arguments are those of ``python -m server``.
        durability: see `server.config`.
        has_clock: whether its clock can be moved.
        has_small_disk: whether its database is on a disk of its own, which can be filled.
        sock: a listening socket that outlives it, as systemd's do; by default it listens itself.
        settings: further ones, as flags.
    """

    def __init__(
        self,
        folder: Path,
        *,
        program: Sequence[str] = ("-m", "server"),
        durability: str = "normal",
        has_clock: bool = False,
        has_small_disk: bool = True,
        sock: socket.socket | None = None,
        settings: Sequence[str] = (),
    ) -> None:
        self.port = free_port() if sock is None else sock.getsockname()[1]
        self.starts = 0
        self._folder = folder
        self._program = program
        self._durability = durability
        self._sock = sock
        self._settings = settings
        self._clock = folder / "clock" if has_clock else None
        self._disk = folder / "disk"
        self._disk.mkdir()
        self._database = self._disk / "chat.db"
        self._is_mounted = has_small_disk and self._mount()
        self._process: asyncio.subprocess.Process | None = None
        if self._clock is not None:
            self._clock.write_text("+0\n", "ascii")

    @property
    def uri(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def pid(self) -> int:
        """Of the process that runs, or ran last."""
        assert self._process is not None
        return self._process.pid

    @property
    def state(self) -> str:
        """What has become of the process, for people."""
        assert self._process is not None
        code = self._process.returncode
        return "runs" if code is None else f"ended with {code}"

    async def start(self) -> None:
        """Starts, and returns once the server has printed its address."""
        self._process = await asyncio.create_subprocess_exec(
            *(*self._handing_over(), sys.executable, *self._program, *self._where()),
            *("--database", str(self._database), "--durability", self._durability),
            # The rates are somebody else's promise, and everybody here comes from one address.
            *("--connection-rate", "0", "--user-rate", "0", "--address-rate", "0"),
            *("--max-connections-per-address", "0", "--max-connections", "15000"),
            # What the checker asks for is never too old.
            *("--history", "1000000", "--log-level", "error", *self._settings),
            cwd=ROOT,
            pass_fds=() if self._sock is None else [self._sock.fileno()],
            env=os.environ | self._clock_environment(),
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        line = (await self._process.stdout.readline()).decode()
        found = ADDRESS.search(line)
        if found is None:
            raise RuntimeError(f"the server did not start: {line!r}")
        self.starts += 1

    def _where(self) -> Sequence[str]:
        if self._sock is not None:
            return ("--systemd",)
        return ("--host", "127.0.0.1", "--port", str(self.port))

    def _handing_over(self) -> Sequence[str]:
        """What runs the server: as systemd, where a socket is handed over as descriptor 3."""
        if self._sock is None:
            return ()
        script = f'exec 3<&{self._sock.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'
        return ("bash", "-c", script, "bash")

    async def kill(self) -> None:
        """Ends it without any warning (SIGKILL)."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        await self._process.wait()

    async def terminate(self) -> None:
        """Asks it to end, and waits until it has (SIGTERM)."""
        self._signal(signal.SIGTERM)
        assert self._process is not None
        await self._process.wait()

    def freeze(self) -> None:
        """Lets it stand still (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets it go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def fill_disk(self) -> None:
        """Leaves no room for another byte: on a small disk, or else by a limit on its files."""
        # What the write-ahead log has taken from the disk before would do for many messages.
        with contextlib.closing(sqlite3.connect(self._database)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if self._is_mounted:
            with (self._disk / "filler").open("wb", buffering=0) as filler:
                try:
                    while filler.write(bytes(4096)):
                        pass
                except OSError:
                    return
        self._limit_files(0)

    def free_disk(self) -> None:
        """Makes room again."""
        if self._is_mounted:
            (self._disk / "filler").unlink(missing_ok=True)
        else:
            self._limit_files(resource.RLIM_INFINITY)

    def move_clock(self, offset: str) -> None:
        """Sets its wall clock, such as ``+1d``."""
        assert self._clock is not None
        # The server may read it at any moment: it is there as a whole, or not yet.
        new = self._clock.with_suffix(".new")
        new.write_text(f"{offset}\n", "ascii")
        new.replace(self._clock)

    async def close(self) -> None:
        """Ends it and gives back its disk."""
        if self._process is not None and self._process.returncode is None:
            await self.kill()
        if self._is_mounted:
            _run("umount", "--lazy", str(self._disk))

    def _signal(self, signum: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(signum)

    def _mount(self) -> bool:
        if os.geteuid() != 0:
            return False
        return _run("mount", "-t", "tmpfs", "-o", f"size={DISK_SIZE}", "tmpfs", str(self._disk))

    def _limit_files(self, size: int) -> None:
        assert self._process is not None
        _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size, hard))

    def _clock_environment(self) -> dict[str, str]:
        if self._clock is None:
            return {}
        return {
            "LD_PRELOAD": str(FAKETIME[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._clock),
            # A new time is noticed when the clock's seconds have gone on by more than that: after
            # one second to two. Without it each look at a clock reads the file.
            "FAKETIME_CACHE_DURATION": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }


def _run(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
