"""Who is measured: ours, the peers and the limits, by the names that options and tables use.

What lives here: how each server is started, what it can do, and whether it is there. This file does
not know about workloads' figures.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from .harness import ROOT
from .processes import build, python

__all__ = ["SERVERS", "Server", "choose", "names", "versions"]

NODE_WS: Final = ROOT / ".node" / "node_modules" / "ws"


@dataclass(frozen=True, slots=True)
class Server:
    """A server of bench/servers, at one setting.

    Attributes:
        name: in options and tables.
        module: in bench.servers; ``c`` for bench/echo.c, ``node`` for Node's ws.
        packages: importable names that it needs.
        loop: asyncio or uvloop, where that is a choice; empty for threads.
        variant: one of the ways in which the module can serve.
        deflate: the libraries it can compress with, the one that it uses by itself first; a level
            behind a colon.
        broadcasts: whether it serves that workload.
        closes: whether it knows the closing handshake.
        environment: variables it runs with.
        quick: whether a quick run has it.
    """

    name: str
    module: str
    packages: tuple[str, ...] = ()
    loop: str = "uvloop"
    variant: str = ""
    deflate: tuple[str, ...] = ()
    broadcasts: bool = True
    closes: bool = True
    environment: dict[str, str] = field(default_factory=dict)
    quick: bool = False

    def command(self, port: int, workload: str, deflate: str | None = None) -> list[str]:
        """Returns what to run for ``echo`` or ``broadcast``."""
        if self.module == "c":
            mode = self.variant if workload == "echo" else "broadcast"
            return [str(build("echo")), str(port), mode]
        if self.module == "node":
            script = str(ROOT / "bench" / "servers" / "node_ws.js")
            return ["node", script, str(port), workload, *(["deflate"] if deflate else [])]
        options = ["--loop", self.loop] if self.loop else []
        if self.variant:
            options += ["--variant", self.variant]
        if deflate:
            options += ["--deflate", deflate]
        return python(f"bench.servers.{self.module}", str(port), workload, *options)

    def missing(self) -> str | None:
        """Returns what it lacks to run here, or None."""
        if self.module == "node":
            if shutil.which("node") is None:
                return "Node (Debian: nodejs)"
            if not NODE_WS.is_dir():
                return "ws from npm (npm install --prefix .node ws)"
        needed = self.packages
        if self.loop == "uvloop" and self.module not in ("c", "node", "socketify_app"):
            needed = (*needed, "uvloop")
        lacking = [name for name in needed if importlib.util.find_spec(name) is None]
        return ", ".join(lacking) or None


ALL_DEFLATE: Final = ("zlib", "isal", "zlib-ng")
OUR_DEFLATE: Final = ("zlib", "zlib:6", "isal", "isal:0", "zlib-ng")
PURE: Final = {"RFC6455_PURE": "1"}

SERVERS: Final[tuple[Server, ...]] = (
    Server("rfc6455", "rfc6455_iterate", deflate=OUR_DEFLATE, quick=True),
    Server("rfc6455-listener", "rfc6455_listener", deflate=("zlib",), quick=True),
    Server("rfc6455-asyncio", "rfc6455_iterate", loop="asyncio", deflate=("zlib",)),
    Server("rfc6455-pure", "rfc6455_iterate", environment=PURE, deflate=("zlib",), quick=True),
    Server("rfc6455-sync", "rfc6455_sync", loop="", broadcasts=False),
    Server("picows", "picows_callback", ("picows",), quick=True),
    Server("picows.websockets", "picows_websockets", ("picows",), deflate=("zlib",), quick=True),
    Server("websockets", "websockets_asyncio", ("websockets",), deflate=("zlib",), quick=True),
    Server("websockets-asyncio", "websockets_asyncio", ("websockets",), loop="asyncio"),
    Server("websockets-sync", "websockets_sync", ("websockets",), loop="", broadcasts=False),
    Server("aiohttp", "aiohttp_web", ("aiohttp",), deflate=ALL_DEFLATE, quick=True),
    Server("uvicorn-websockets", "asgi", ("uvicorn", "websockets"), variant="websockets"),
    Server(
        "uvicorn-websockets-sansio",
        "asgi",
        ("uvicorn", "websockets"),
        variant="websockets-sansio",
        deflate=("zlib",),
    ),
    Server("uvicorn-wsproto", "asgi", ("uvicorn", "wsproto"), variant="wsproto"),
    Server("wsproto", "wsproto_asyncio", ("wsproto",), deflate=("zlib",)),
    Server("tornado", "tornado_web", ("tornado",), deflate=("zlib",)),
    Server("socketify", "socketify_app", ("socketify",), deflate=("zlib",)),
    Server("node-ws", "node", deflate=("zlib",)),
    Server("raw-asyncio", "raw", loop="asyncio"),
    Server("raw-uvloop", "raw", quick=True),
    Server("c-ws", "c", variant="ws", deflate=("none",), quick=True),
    Server("c-raw", "c", variant="raw", broadcasts=False, closes=False, quick=True),
)


def names(servers: Iterable[Server] = SERVERS) -> list[str]:
    """Returns their names."""
    return [server.name for server in servers]


def choose(
    wanted: Sequence[str] | None, *, quick: bool = False, among: Iterable[Server] = SERVERS
) -> list[Server]:
    """Returns the servers that are asked for and can run; names on stderr those that cannot.

    Args:
        wanted: names; None for all, or for those of a quick run.
        quick: which of both.
        among: those that serve the workload.

    Raises:
        ValueError: no server has such a name.
    """
    among = list(among)
    for name in wanted or ():
        if name not in names(among):
            raise ValueError(f"no such server here: {name}; there are {', '.join(names(among))}")
    chosen = []
    for server in among:
        if wanted is None and quick and not server.quick:
            continue
        if wanted is not None and server.name not in wanted:
            continue
        lacking = server.missing()
        if lacking is None:
            chosen.append(server)
        else:
            print(f"{server.name} is left out: it needs {lacking}", file=sys.stderr)
    return chosen


DISTRIBUTIONS: Final = (
    "uvloop",
    "picows",
    "aiofastnet",
    "websockets",
    "aiohttp",
    "uvicorn",
    "wsproto",
    "tornado",
    "socketify",
    "websocket-client",
    "isal",
    "zlib-ng",
)


def versions() -> dict[str, str]:
    """Returns the versions of what is not a Python package."""
    found = {}
    for name, command in (
        ("gcc", ["cc", "-dumpfullversion"]),
        ("node", ["node", "--version"]),
        ("node-ws", ["node", "-p", f"require({str(NODE_WS / 'package.json')!r}).version"]),
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[name] = done.stdout.strip().removeprefix("v")
        except (OSError, subprocess.CalledProcessError):
            found[name] = "missing"
    return found
