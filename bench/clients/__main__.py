"""Clients, one connection each, against the echo server in C.

What lives here: which clients there are, and which cells are measured.

    python -m bench.clients                       all of it, about three minutes
    python -m bench.clients --quick               128 B, few clients
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ..comparison import Comparison, option_parser, prepare, print_rows, times
from ..harness import ROOT, size_name
from ..peers import SERVERS
from ..processes import Process, pinned, python, start_server
from ..rounds import PATIENCE, Load, Sample, in_rounds

CELLS: Final = ((128, 16), (128, 1), (64 * 1024, 4))
"""Bytes of a message, messages in flight."""
REFERENCES: Final = ("websockets", "websockets-sync", "picows.websockets", "picows")


@dataclass(frozen=True, slots=True)
class Client:
    """A client of bench/clients, at one setting.

    Attributes:
        name: in options and tables.
        module: in bench.clients; ``c`` for the load generator.
        needs: modules that must be there.
        loop: asyncio or uvloop, or None for a client in a thread.
        quick: whether a quick run has it.
    """

    name: str
    module: str
    needs: tuple[str, ...] = ()
    loop: str | None = "uvloop"
    quick: bool = False

    def missing(self) -> str | None:
        """Returns what it lacks to run here, or None."""
        needed = (*self.needs, *(["uvloop"] if self.loop == "uvloop" else []))
        return ", ".join(name for name in needed if not _is_there(name)) or None

    def run(self, server: Process, load: Load, core: int | None) -> Sample:
        """Runs it once and returns what it measured."""
        if self.module == "c":
            sample = load.run(server, core=core)
            own = sample["generator_load"] * sample["seconds"] * 1e6 / sample["count"]
            return {"count": sample["count"], "rate": sample["rate"], "cpu_us": own}
        numbers = (server.port, load.size, load.in_flight, load.warmup, load.seconds)
        loop = ["--loop", self.loop] if self.loop else []
        server.resume()
        done = subprocess.run(
            python(f"bench.clients.{self.module}", *map(str, numbers), *loop),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=load.warmup + load.seconds + PATIENCE,
            preexec_fn=pinned(core),
        )
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        result: Sample = json.loads(done.stdout)
        return result


def _is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


CLIENTS: Final = (
    Client("rfc6455", "rfc6455_asyncio", quick=True),
    Client("rfc6455-listener", "rfc6455_listener", quick=True),
    Client("rfc6455-asyncio", "rfc6455_asyncio", loop="asyncio"),
    Client("rfc6455-sync", "rfc6455_sync", ("rfc6455.sync",), loop=None, quick=True),
    Client("picows", "picows_callback", ("picows",), quick=True),
    Client("picows.websockets", "picows_websockets", ("picows",), quick=True),
    Client("websockets", "websockets_asyncio", ("websockets",), quick=True),
    Client("websockets-asyncio", "websockets_asyncio", ("websockets",), loop="asyncio"),
    Client("websockets-sync", "websockets_sync", ("websockets",), loop=None, quick=True),
    Client("aiohttp", "aiohttp_client", ("aiohttp",)),
    Client("websocket-client", "websocket_client", ("websocket",), loop=None),
    Client("raw-asyncio", "raw_protocol", loop="asyncio"),
    Client("raw-uvloop", "raw_protocol", quick=True),
    Client("raw-socket", "raw_socket", loop=None, quick=True),
    Client("c-load", "c", loop=None, quick=True),
)


def chosen(wanted: list[str] | None, quick: bool) -> list[Client]:
    """Returns the clients that are asked for and can run; names on stderr those that cannot.

    Raises:
        ValueError: no client has such a name.
    """
    known = [client.name for client in CLIENTS]
    for name in wanted or ():
        if name not in known:
            raise ValueError(f"no such client: {name}; there are {', '.join(known)}")
    found = []
    for client in CLIENTS:
        if client.name not in wanted if wanted else quick and not client.quick:
            continue
        lacking = client.missing()
        if lacking is None:
            found.append(client)
        else:
            print(f"{client.name} is left out: it needs {lacking}", file=sys.stderr)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmark."""
    names = [client.name for client in CLIENTS]
    parser = option_parser("clients", "Measure clients.", names)
    options = prepare(parser, arguments)
    try:
        clients = chosen(options.only, options.quick)
    except ValueError as error:
        parser.error(str(error))
    echo = next(server for server in SERVERS if server.name == "c-ws")
    comparison = Comparison(options)
    with start_server(
        "c-ws", lambda port: echo.command(port, "echo"), core=options.server_core
    ) as server:
        for size, in_flight in CELLS[:1] if options.quick else CELLS:
            load = Load(size=size, in_flight=in_flight, **times(options))
            runs: dict[str, Callable[[], dict[str, Any]]] = {
                client.name: partial(client.run, server, load, options.load_core)
                for client in clients
            }
            found = in_rounds(runs, options.rounds)
            comparison.keep({"mode": "client", "size": size, "in_flight": in_flight}, found)
            title = f"Clients, text, {size_name(size)}, {in_flight} in flight"
            print_rows(title, found, REFERENCES, "messages")
    comparison.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
