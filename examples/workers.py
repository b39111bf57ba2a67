"""One room, served by several processes: what one of them hears, all of them say.

The processes share the port (SO_REUSEPORT). Each is a client of a hub, which is a WebSocket server
as well, on a Unix socket that nobody else can open.
"""

import asyncio
import contextlib
import multiprocessing
import os
import tempfile
from multiprocessing.synchronize import Semaphore
from pathlib import Path

import rfc6455
from rfc6455 import ConnectionClosed, Overflow, WebSocket

WORKERS = 2


async def run_hub(path: str, ready: Semaphore) -> None:
    """Passes on to all workers what each of them says, in one order for all."""
    workers: set[WebSocket] = set()

    async def pass_on(worker: WebSocket) -> None:
        workers.add(worker)
        try:
            async for message in worker:
                # A worker that cannot follow is disconnected, and comes back.
                rfc6455.broadcast(workers, message, overflow=Overflow.DISCONNECT)
        finally:
            workers.discard(worker)

    async with rfc6455.serve(pass_on, path=path) as server:
        ready.release()
        await server.serve_forever()


async def work(path: str, ready: Semaphore) -> None:
    """Serves people. What they say goes to the hub; they hear what comes from there."""
    people: set[WebSocket] = set()
    hub: WebSocket | None = None

    async def talk(websocket: WebSocket) -> None:
        await websocket.send(f"Served by process {os.getpid()}.")
        people.add(websocket)
        try:
            async for message in websocket:
                try:
                    if hub is not None:
                        await hub.send(message)
                        continue
                except ConnectionClosed:
                    pass
                await websocket.send("Not said: the hub is away. Try again.")
        finally:
            people.discard(websocket)

    async with rfc6455.serve(talk, "localhost", 8765, reuse_port=True):
        async for hub in rfc6455.unix_connect(path):
            ready.release()
            async with hub:
                with contextlib.suppress(ConnectionClosed):
                    async for message in hub:
                        rfc6455.broadcast(people, message, overflow=Overflow.DISCONNECT)


def start(job: str, path: str, ready: Semaphore) -> None:
    """Is what a process does."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run_hub(path, ready) if job == "hub" else work(path, ready))


def main() -> None:
    """Runs the hub, and then the workers, until Ctrl-C."""
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Semaphore(0)
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(KeyboardInterrupt):
        path = str(Path(folder) / "hub")
        processes = []
        for job in ["hub"] + ["worker"] * WORKERS:
            process = spawn.Process(target=start, args=(job, path, ready), daemon=True)
            process.start()
            ready.acquire()
            processes.append(process)
        print("A room at ws://localhost:8765", flush=True)
        for process in processes:
            process.join()


if __name__ == "__main__":
    main()
