"""What runs within a call may do anything: close, abort, feed, pause, drop, collect garbage.

Every test holds for the general way too, and for Python's inbox; in native code a mistake here
would read freed memory, which the sanitizers see.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from rfc6455 import (
    CallbackWebSocket,
    Connection,
    ConnectionClosed,
    Extension,
    Listener,
    Role,
    WebSocket,
)
from rfc6455.asyncio.inbox import PythonInbox
from rfc6455.frames import Opcode
from rfc6455.testing import run
from tests.helpers import peer_frame

from .conversation import GeneralCallbackWebSocket, GeneralWebSocket, connection
from .support import MemoryTransport, binary, close, ping, settle, text, virtual_time
from .test_inbox import Owner, both, outside_of_tasks

kinds = pytest.mark.parametrize("kind", [WebSocket, GeneralWebSocket])
callback_kinds = pytest.mark.parametrize("kind", [CallbackWebSocket, GeneralCallbackWebSocket])


class Doing(Listener):
    """Notes each message, pushes it back, and does something at the second one."""

    def __init__(self, action: Callable[[CallbackWebSocket], object]) -> None:
        self.got: list[object] = []
        self.action = action

    def on_message(self, websocket: CallbackWebSocket, message: str | bytes) -> None:
        self.got.append(message)
        websocket.push(message)
        if len(self.got) == 2:
            self.action(websocket)


def callback_websocket(
    kind: type[CallbackWebSocket], listener: Listener, errors: list[str]
) -> tuple[CallbackWebSocket, MemoryTransport]:
    transport = MemoryTransport()
    loop = asyncio.get_running_loop()
    websocket = kind(connection(), transport, loop, listener, on_error=errors.append)
    transport.set_protocol(websocket)
    return websocket, transport


# Within data_received


def pause_and_resume(websocket: CallbackWebSocket) -> None:
    websocket.pause_reading()
    websocket.resume_reading()


ACTIONS: dict[str, Callable[[CallbackWebSocket], object]] = {
    "close": lambda websocket: websocket.start_close(4000),
    "abort": lambda websocket: websocket.abort(),
    "pause": lambda websocket: websocket.pause_reading(),
    "pause and resume": pause_and_resume,
    "lower the limit": lambda websocket: websocket.set_max_message_size(1),
    "feed": lambda websocket: websocket.data_received(text("nested")),
    "feed a part": lambda websocket: websocket.data_received(text("nested")[:4]),
    "feed an end": lambda websocket: websocket.data_received(close()),
    "push much": lambda websocket: websocket.push(bytes(70_000)),
    "raise": lambda websocket: 1 // 0,
    "collect garbage": lambda websocket: gc.collect(),
}


@pytest.mark.parametrize("action", ACTIONS.values(), ids=list(ACTIONS))
def test_a_callback_may_do_anything(action: Callable[[CallbackWebSocket], object]) -> None:
    async def play(kind: type[CallbackWebSocket]) -> object:
        listener, errors = Doing(action), list[str]()
        websocket, transport = callback_websocket(kind, listener, errors)
        transport.congested = True
        transport.feed(b"".join(map(text, "abc")))
        await settle()
        transport.feed(text("d"))
        await settle()
        transport.lose()
        await settle()
        return listener.got, errors, transport.writes, websocket.close_code

    found, expected = (run(play(k)) for k in (CallbackWebSocket, GeneralCallbackWebSocket))
    assert found == expected


@callback_kinds
@virtual_time
async def test_what_was_sent_before_an_interrupt_leaves(kind: type[CallbackWebSocket]) -> None:
    def interrupt(websocket: CallbackWebSocket) -> None:
        raise KeyboardInterrupt

    websocket, transport = callback_websocket(kind, Doing(interrupt), [])
    with pytest.raises(KeyboardInterrupt):
        transport.feed(b"".join(map(text, "abc")))
    assert transport.messages == ["a", "b"]
    websocket.abort()


@callback_kinds
@virtual_time
async def test_the_last_reference_goes_within_the_call(kind: type[CallbackWebSocket]) -> None:
    transports: list[MemoryTransport] = []

    def drop(websocket: CallbackWebSocket) -> None:
        transports[0]._protocol = Replacement()

    class Replacement(asyncio.Protocol):
        pass

    listener = Doing(drop)
    websocket, transport = callback_websocket(kind, listener, [])
    # An alarm of the keepalive would hold it.
    assert websocket._bucket is None
    transports.append(transport)
    kept = weakref.ref(websocket)
    del websocket
    transport.feed(b"".join(map(text, "abc")))
    assert listener.got == ["a", "b", "c"]
    await settle()
    assert transport.messages == ["a", "b", "c"]
    gc.collect()
    assert kept() is None


@callback_kinds
@virtual_time
async def test_a_transport_that_is_replaced_within_a_call(kind: type[CallbackWebSocket]) -> None:
    class Fickle(MemoryTransport):
        def is_closing(self) -> bool:
            websocket._transport = MemoryTransport()
            return False

    websocket, first = callback_websocket(kind, Doing(lambda _: None), [])
    websocket._transport = Fickle()
    websocket.push("a")
    websocket.push("b")
    first.abort()


class Meddling(Extension):
    """Does something before it transforms anything."""

    name = "meddling"
    rsv = 0x40

    def __init__(self) -> None:
        self.action: Callable[[], object] = int
        self.encoded: Any = b"encoded"

    def decode(self, payload: bytes, *, final: bool, max_size: int | None) -> bytes:
        self.action()
        return payload

    def encode(self, payload: bytes, *, final: bool) -> Any:
        self.action()
        return self.encoded

    def applies_to(self, size: int) -> bool:
        return size < 10


def meddled(kind: type[CallbackWebSocket]) -> tuple[CallbackWebSocket, MemoryTransport, Meddling]:
    extension = Meddling()
    core = Connection(Role.SERVER, extensions=[extension])
    transport = MemoryTransport()
    loop = asyncio.get_running_loop()
    websocket = kind(core, transport, loop, Doing(lambda _: None), on_error=print)
    transport.set_protocol(websocket)
    return websocket, transport, extension


@callback_kinds
@virtual_time
async def test_an_extension_that_meddles(kind: type[CallbackWebSocket]) -> None:
    websocket, transport, extension = meddled(kind)
    extension.action = websocket.abort
    websocket.push("a")
    await settle()
    assert transport.writes == []
    with pytest.raises(ConnectionClosed):
        websocket.push("b")

    websocket, transport, extension = meddled(kind)

    def replace() -> None:
        websocket._core._decoder.unwrap = None
        websocket._allow_shortcuts(True, 100, True, 100, 100, 0, None)
        gc.collect()

    extension.action = replace
    transport.feed(peer_frame(Role.SERVER, Opcode.TEXT, b"a", rsv=0x40) + text("b") + text("c"))
    assert websocket.listener.got == ["a", "b", "c"]  # type: ignore[attr-defined]
    websocket.abort()


@callback_kinds
@virtual_time
async def test_what_an_extension_makes_is_bytes(kind: type[CallbackWebSocket]) -> None:
    websocket, transport, extension = meddled(kind)
    for encoded in (b"x", bytearray(b"y"), memoryview(b"z")):
        extension.encoded = encoded
        websocket.push("short")
        await websocket.send("short")
    extension.encoded = "no bytes"
    with pytest.raises(TypeError):
        websocket.push("short")
    with pytest.raises(TypeError):
        await websocket.send("short")
    websocket.push("it does not apply")
    await settle()
    frames = [(frame.rsv, frame.payload) for frame in transport.frames]
    assert frames[:-1] == [(0x40, letter) for letter in (b"x", b"y", b"z") for _ in range(2)]
    assert frames[-1] == (0, b"it does not apply")
    websocket.abort()


@callback_kinds
@virtual_time
async def test_an_object_that_was_never_initialised(kind: type[CallbackWebSocket]) -> None:
    websocket = kind.__new__(kind)
    websocket._allow_shortcuts(True, 100, True, 100, 100, 0, None)
    with pytest.raises(AttributeError):
        websocket.data_received(text("a"))
    with pytest.raises(AttributeError):
        websocket.push("a")
    sending = websocket.send("a")
    with pytest.raises(AttributeError):
        await sending


@kinds
@virtual_time
async def test_what_was_held_back_is_read_to_its_end(kind: type[WebSocket]) -> None:
    """The rest of a frame is no frame, whatever it looks like."""
    transport = MemoryTransport()
    core = connection(max_queued_messages=1)
    websocket = kind(core, transport, asyncio.get_running_loop())
    transport.set_protocol(websocket)
    payload = bytes(4) + text("looks like a message")
    frame = peer_frame(websocket._core.role, Opcode.BINARY, payload)
    # Its masked octets are to look like a frame: the key is all zeroes.
    frame = frame[:2] + bytes(4) + payload
    # What fills the queue ends where a piece of a read ends that an extension may expand.
    piece = ping() + binary(bytes(4096 - len(ping()) - 8))
    assert len(piece) == 4096
    transport.feed(text("a") + piece + frame[:10])
    assert await websocket.recv() == "a"
    assert len(await websocket.recv()) == 4082
    await settle()
    transport.feed(frame[10:])
    await settle()
    assert await websocket.recv() == payload
    websocket.abort()


@kinds
@virtual_time
async def test_garbage_is_collected_all_the_time(kind: type[WebSocket]) -> None:
    transport = MemoryTransport()
    websocket = kind(connection(), transport, asyncio.get_running_loop())
    transport.set_protocol(websocket)
    got: list[object] = []

    async def echo() -> None:
        async for message in websocket:
            got.append(message)
            await websocket.send(message)

    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    try:
        task = asyncio.create_task(echo())
        for message in "abc":
            transport.feed(text(message) * 3)
            await settle()
        transport.feed(close())
        await task
    finally:
        gc.set_threshold(*thresholds)
    assert got == list("aaabbbccc")
    assert transport.messages == got


@kinds
@virtual_time
async def test_the_reader_is_cancelled_while_it_runs_within_the_read(
    kind: type[WebSocket],
) -> None:
    transport = MemoryTransport()
    websocket = kind(connection(), transport, asyncio.get_running_loop())
    transport.set_protocol(websocket)

    async def read() -> None:
        async for _ in websocket:
            task.cancel()

    task = asyncio.create_task(read())
    await settle()
    asyncio.get_running_loop().call_soon(transport.feed, text("a"))
    with pytest.raises(asyncio.CancelledError):
        await task
    transport.feed(text("b"))
    assert await websocket.recv() == "b"
    websocket.abort()


# Within the inbox


@both
@virtual_time
async def test_a_list_that_is_emptied_behind_its_back(kind: type[PythonInbox]) -> None:
    inbox, owner = kind(asyncio.get_running_loop()), Owner()
    messages: list[Any] = ["a", "b", "c"]
    inbox.put(messages)
    await inbox.get(owner, False)
    messages.clear()
    assert (len(inbox), inbox.peek()) == (0, [])
    waiting = asyncio.create_task(inbox.get(owner, False))
    await settle()
    inbox.put(["d"])
    assert await waiting == "d"


@both
@virtual_time
async def test_a_coroutine_is_awaited_once(kind: type[PythonInbox]) -> None:
    inbox, owner = kind(asyncio.get_running_loop()), Owner()
    inbox.put(["a", "b"])
    getting = inbox.get(owner, False)
    assert await getting == "a"
    with pytest.raises(RuntimeError, match="already awaited"):
        await getting
    thrown = inbox.get(owner, False)
    with pytest.raises(ZeroDivisionError):
        thrown.throw(ZeroDivisionError())
    with pytest.raises(RuntimeError, match="already awaited"):
        await thrown
    assert inbox.peek() == ["b"]


@both
@virtual_time
async def test_the_owner_gives_up_what_asks_it(kind: type[PythonInbox]) -> None:
    class Rude(Owner):
        def _run_out(self, iterating: bool) -> None:
            with contextlib.suppress(ValueError):  # a generator that runs cannot be closed
                gettings.pop().close()
            gc.collect()

    inbox = kind(asyncio.get_running_loop())
    inbox.over = True
    getting: Any = inbox.get(Rude(), False)
    gettings = [getting]
    del inbox
    # The inbox is held by what runs, and by nothing else.
    waiting = getting.send(None)
    assert waiting.waiting
    getting.close()
    assert not waiting.waiting


@both
@virtual_time
async def test_what_goes_with_a_callback_may_come_back(kind: type[PythonInbox]) -> None:
    class Callback:
        def __call__(self, _: object) -> None:
            pass

        def __del__(self) -> None:
            for getting in gettings:
                with contextlib.suppress(ValueError):
                    getting.close()

    inbox = kind(asyncio.get_running_loop())
    gettings = [inbox.get(Owner(), False)]
    waiting = gettings[0].send(None)
    waiting.add_done_callback(Callback())
    del inbox, waiting
    gettings[0].close()
    gettings.clear()


@both
@virtual_time
async def test_the_callback_is_replaced_while_it_is_called(kind: type[PythonInbox]) -> None:
    loop = asyncio.get_running_loop()
    inbox, owner = kind(loop), Owner()
    called: list[object] = []

    def first(_: object) -> None:
        called.append("first")
        inbox.add_done_callback(called.append)

    getting = inbox.get(owner, False)
    getting.send(None)
    inbox.add_done_callback(first, context=contextvars.copy_context())
    await outside_of_tasks(inbox.put, ["a"])
    assert called == ["first"]
    getting.close()
