"""Threads and asyncio offer the same: every name, every member, every parameter with its default.

Knows the two packages and the two pages of the reference. Where they differ the reason stands here,
and a difference without a reason fails, as does a reason without a difference.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rfc6455
import rfc6455.asyncio
import rfc6455.sync
from rfc6455.asyncio.channel import PythonChannel

DOCS = Path(__file__).parents[2] / "docs"

TIME_LIMIT = "a coroutine can be cancelled; a thread has a time limit"

DIFFERENCES = {
    "run": "asyncio alone has event loops to choose from",
    "Drained": "what `Server.drain` returns is the same for both: `rfc6455.Drained`",
    "broadcast": "one function for both, which stands in `rfc6455` for asyncio",
    "serve(cancel_on_disconnect)": "a thread cannot be interrupted",
    "serve(max_connections=)": "each connection costs a thread, where asyncio counts descriptors",
    "connect.open": "connects without a `with`, as `await connect(...)` does",
    "Server.shutdown": "`close` and `wait_closed` in one, for those who start it without a `with`",
    "WebSocket.recv(timeout)": TIME_LIMIT,
    "WebSocket.recv_streaming(timeout)": TIME_LIMIT,
    "WebSocket.send(timeout)": TIME_LIMIT,
    "WebSocket.ping(timeout)": TIME_LIMIT,
    "WebSocket.wait_closed(timeout)": TIME_LIMIT,
    "WebSocket.__aiter__": "iteration is asynchronous there",
    "WebSocket.__iter__": "and plain here",
}


def members(page: str) -> dict[str, set[str]]:
    """Returns the members of each class that a page of the reference documents."""
    text = (DOCS / page).read_text("utf-8")
    blocks = re.findall(r"^\.\. autoclass:: (\w+)[()]*\n((?:   :.*\n)*)", text, re.MULTILINE)
    return {
        name: {
            member
            for option in re.findall(r"members: *(.*)", options)
            for member in option.split(", ")
            if member
        }
        for name, options in blocks
    }


def compared(where: str, asyncio_one: Any, threads_one: Any) -> Iterator[str]:
    """Yields the differences between the parameters of two functions."""
    ours, theirs = (
        {
            name: parameter
            for name, parameter in inspect.signature(function).parameters.items()
            if name != "self"
        }
        for function in (asyncio_one, threads_one)
    )
    for name in ours.keys() ^ theirs.keys():
        yield f"{where}({name})"
    common = [name for name in ours if name in theirs]
    assert common == [name for name in theirs if name in ours], f"the order in {where}"
    for name in common:
        assert ours[name].kind is theirs[name].kind, f"{where}({name})"
        if ours[name].default != theirs[name].default:
            yield f"{where}({name}=)"


def differences() -> Iterator[str]:
    yield from set(rfc6455.asyncio.__all__) ^ set(rfc6455.sync.__all__)
    asyncio_members, thread_members = members("reference.md"), members("reference-threads.md")
    for name in set(rfc6455.asyncio.__all__) & set(rfc6455.sync.__all__):
        ours, theirs = getattr(rfc6455.asyncio, name), getattr(rfc6455.sync, name)
        if not inspect.isclass(ours) or name == "connect":
            yield from compared(name, ours, theirs)
        if not inspect.isclass(ours):
            continue
        documented = asyncio_members[name], thread_members[name]
        for member in documented[0] ^ documented[1]:
            yield f"{name}.{member}"
        for member in documented[0] & documented[1]:
            # The native twin's methods tell nothing of their parameters; Python's are the same.
            function: Any = getattr(PythonChannel, member, None) or getattr(ours, member)
            assert hasattr(theirs, member), f"{name}.{member}"
            if callable(function):
                yield from compared(f"{name}.{member}", function, getattr(theirs, member))


def test_every_difference_between_threads_and_asyncio_has_a_reason() -> None:
    assert sorted(differences()) == sorted(DIFFERENCES)


def test_what_is_sans_io_is_one_for_both() -> None:
    assert rfc6455.sync.broadcast is rfc6455.broadcast
    # What goes into the functions of both is made by neither.
    for shared in (rfc6455.Router, rfc6455.Limits, rfc6455.basic_auth, rfc6455.Overflow):
        assert not shared.__module__.startswith(("rfc6455.asyncio", "rfc6455.sync"))


def test_what_handlers_are_given_has_the_same_attributes() -> None:
    for name in ("WebSocket", "CallbackWebSocket"):
        ours, theirs = getattr(rfc6455.asyncio, name), getattr(rfc6455.sync, name)
        attributes = [
            re.findall(
                r"^    (\w+): ", (inspect.getdoc(kind) or "").partition("Attributes:")[2], re.M
            )
            for kind in (ours, theirs)
        ]
        assert attributes[0] == attributes[1] != []
