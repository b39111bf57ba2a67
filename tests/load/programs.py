"""Processes that are told what to do a line at a time, and what the kernel knows of them.

What lives here: both ends of the pipe between a scenario and its server and clients, and readings
from /proc (so it runs on Linux). A program that loses its scenario ends. This file does not know
what the programs do.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from tests.helpers import ROOT

__all__ = ["Program", "obey", "processor_seconds", "raise_file_limit", "run", "start"]

Answer = dict[str, Any]
LONGEST_ANSWER: Final = 2**26
PATIENCE: Final = 300.0
"""Seconds for an answer, unless a question says otherwise."""


class Program:
    """A process that runs one of the programs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def ask(self, command: str, /, patience: float = PATIENCE, **arguments: Any) -> Answer:
        """Sends a command and returns the answer.

        Raises:
            RuntimeError: it ended, or failed.
            TimeoutError: it did not answer in time.
        """
        assert self._process.stdin is not None
        line = json.dumps({"command": command, **arguments})
        self._process.stdin.write(f"{line}\n".encode())
        return await self.answer(patience)

    async def answer(self, patience: float = PATIENCE) -> Answer:
        """Returns the next answer; raises as `ask` does."""
        assert self._process.stdout is not None
        async with asyncio.timeout(patience):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a program ended with code {await self._process.wait()}")
        answer: Answer = json.loads(line)
        if "failure" in answer:
            raise RuntimeError(answer["failure"])
        return answer

    async def wait(self, patience: float = PATIENCE) -> int:
        """Returns the exit code when it has ended by itself."""
        async with asyncio.timeout(patience):
            return await self._process.wait()

    async def ask_until(
        self, is_right: Callable[[Answer], bool], command: str, /, patience: float = 60.0
    ) -> Answer:
        """Asks the same until the answer is right, or it is too late; returns the last answer."""
        end = asyncio.get_running_loop().time() + patience
        while not is_right(answer := await self.ask(command)):
            if asyncio.get_running_loop().time() > end:
                break
            await asyncio.sleep(0.01)
        return answer

    async def end(self) -> None:
        """Ends it, if it has not ended."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    # What the kernel knows

    def memory(self) -> dict[str, int]:
        """Returns bytes: its proportional and its resident share of memory."""
        sizes = {}
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in ("Pss", "Rss"):
                sizes[name.lower()] = int(rest.split()[0]) * 1024
        return sizes

    def peak(self) -> int:
        """Returns the most memory that was resident since it started, in bytes."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise LookupError("VmHWM")

    def processor_seconds(self) -> float:
        """Returns the processor time that it has used; see the function of that name."""
        return processor_seconds(self.pid)

    def descriptors(self) -> int:
        """Returns how many files it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def processor_seconds(pid: int) -> float:
    """Returns the processor time that a process has used, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def start(
    module: str, options: Mapping[str, Any] | None = None, *, under: tuple[str, ...] = ()
) -> AsyncIterator[Program]:
    """Runs a module of this package until the block is left.

    Args:
        module: its name.
        options: for its `run`.
        under: a command that runs it, such as ``nice``.
    """
    process = await asyncio.create_subprocess_exec(
        *under,
        *(sys.executable, "-m", f"tests.load.{module}", json.dumps(options or {})),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LONGEST_ANSWER,
    )
    program = Program(process)
    try:
        yield program
    finally:
        await program.end()


# The other end


def raise_file_limit(limit: int | None = None) -> None:
    """Allows as many connections as the system does, or as few as one likes."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limit = hard if limit is None else limit
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


def run(main: Callable[[Answer], Coroutine[Any, Any, None]]) -> None:
    """Runs a program with the options it was started with, on uvloop where that is installed."""
    options = json.loads(sys.argv[1])
    try:
        if options.pop("loop", None) == "asyncio":
            raise ImportError
        import uvloop
    except ImportError:
        asyncio.run(main(options))
    else:
        uvloop.run(main(options))


def say(answer: Answer) -> None:
    """Writes an answer."""
    print(json.dumps(answer), flush=True)


async def obey(commands: Mapping[str, Callable[..., Awaitable[Answer]]]) -> None:
    """Does what the scenario asks for, one after the other, until it has nothing more to ask."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        arguments = json.loads(line)
        try:
            say(await commands[arguments.pop("command")](**arguments))
        except Exception as error:
            say({"failure": repr(error)})
