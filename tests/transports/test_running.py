"""`rfc6455.run`: uvloop where it is installed, asyncio's own loop where it is not."""

from __future__ import annotations

import asyncio
import sys

import pytest

import rfc6455


@pytest.fixture(params=["asyncio", "uvloop"])
def loop_module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The package whose loop is to run."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    else:
        monkeypatch.setitem(sys.modules, "uvloop", None)
    return str(request.param)


def test_the_loop_is_the_fastest_that_is_installed(loop_module: str) -> None:
    async def main() -> str:
        return type(asyncio.get_running_loop()).__module__.split(".")[0]

    assert rfc6455.run(main()) == loop_module


@pytest.mark.usefixtures("loop_module")
def test_it_does_what_asyncio_run_does() -> None:
    left: list[str] = []
    debug: list[bool] = []

    async def wait_for_ever() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            left.append("cancelled")

    async def main() -> None:
        debug.append(asyncio.get_running_loop().get_debug())
        task = asyncio.create_task(wait_for_ever())
        await asyncio.sleep(0)
        left.append(task.get_name())
        raise ZeroDivisionError

    for wanted in (True, False):
        with pytest.raises(ZeroDivisionError):
            rfc6455.run(main(), debug=wanted)
    assert debug == [True, False]
    assert left[1::2] == ["cancelled"] * 2


@pytest.mark.usefixtures("loop_module")
def test_an_echo_runs_on_it() -> None:
    async def echo(websocket: rfc6455.WebSocket) -> None:
        async for message in websocket:
            await websocket.send(message)

    async def main() -> object:
        async with rfc6455.serve(echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with rfc6455.connect(f"ws://127.0.0.1:{port}") as websocket:
                await websocket.send("hello")
                return await websocket.recv()

    assert rfc6455.run(main()) == "hello"


@pytest.mark.usefixtures("loop_module")
def test_not_within_a_running_loop() -> None:
    async def main() -> None:
        inner = asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="running event loop"):
            rfc6455.run(inner)
        inner.close()

    rfc6455.run(main())
