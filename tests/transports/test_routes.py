"""Whom a request reaches: routes, hooks before and after, origins, subprotocols, names.

Knows what travels over sockets; that paths are matched rightly is proven on the router.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import re
from typing import Any

import pytest

import rfc6455
from rfc6455 import Close, HandshakeError, Headers, Limits, Request, Response, Route, Router
from rfc6455.asyncio import WebSocket

from .support import (
    REQUEST,
    close,
    dial,
    echo,
    now,
    on_each_loop,
    serving,
    settle,
    text,
    uri,
    virtual_time,
)


def upgrade(target: str, *fields: str) -> bytes:
    lines = "".join(f"{field}\r\n" for field in fields).encode()
    return REQUEST.replace(b"/chat", target.encode())[:-2] + lines + b"\r\n"


def plain(target: str, method: str = "GET") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


async def answer(server: rfc6455.Server, data: bytes) -> tuple[int, dict[str, str], bytes]:
    async with await dial(server) as peer:
        peer.send(data)
        return await peer.answer()


def make_router() -> Router:
    router = Router()

    @router.websocket("/rooms/<room>/<int:number>")
    async def room(websocket: WebSocket, room: str, number: int) -> None:
        await websocket.send(f"{room!r} {number!r}")

    @router.websocket("/small", limits=Limits(max_message_size=10), extensions=[])
    async def small(websocket: WebSocket) -> None:
        await echo(websocket)

    @router.websocket("/ours", origins=["https://ours.example"], subprotocols=["b", "a"])
    async def ours(websocket: WebSocket) -> None:
        await websocket.send(str(websocket.subprotocol))

    @router.http("/pages/<name>")
    def page(request: Request, name: str) -> Response:
        return Response.text(f"{name} {request.query}")

    @router.http("/slow", methods=["POST"])
    async def slow(request: Request) -> Response:
        await asyncio.sleep(1)
        return Response.json(len(request.body))

    return router


# Routes


@on_each_loop
async def test_a_route_gets_its_arguments() -> None:
    async with serving(make_router()) as server:
        async with rfc6455.connect(uri(server, "/rooms/a%2Fb%20c/42")) as websocket:
            assert await websocket.recv() == "'a/b c' 42"
        with pytest.raises(HandshakeError) as caught:
            await rfc6455.connect(uri(server, "/rooms/a/x"))
        assert caught.value.status == 404


@virtual_time
async def test_routes_answer_plain_http_beside_websockets() -> None:
    async with serving(make_router()) as server:
        assert (await answer(server, plain("/pages/a%20b?c")))[2] == b"a b c"
        status, headers, body = await answer(server, plain("/pages/a", "HEAD"))
        assert (status, headers["content-length"], body) == (200, "2", b"")
        status, headers, _ = await answer(server, plain("/pages/a", "DELETE"))
        assert (status, headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        status, headers, _ = await answer(server, plain("/pages/a", "OPTIONS"))
        assert (status, headers["allow"]) == (204, "GET, HEAD, OPTIONS")
        status, headers, _ = await answer(server, plain("/small"))
        assert (status, headers["upgrade"]) == (426, "websocket")
        assert (await answer(server, plain("/nothing")))[0] == 404
        assert (await answer(server, plain("/%zz")))[0] == 400


@virtual_time
async def test_a_route_of_plain_http_may_be_a_coroutine_function_and_gets_the_body() -> None:
    data = b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nHello"
    async with serving(make_router()) as server:
        status, headers, body = await answer(server, data)
    assert (status, headers["content-type"], body) == (200, "application/json", b"5\n")
    assert now() == pytest.approx(1, abs=0.01)


@virtual_time
async def test_a_missing_slash_is_redirected() -> None:
    async with serving(Router([Route("/a/", echo)])) as server:
        status, headers, _ = await answer(server, upgrade("/a?b=c"))
        assert (status, headers["location"]) == (308, "/a/?b=c")


@virtual_time
async def test_a_route_has_options_of_its_own() -> None:
    async with serving(
        make_router(), origins=["https://everybody.example", None], subprotocols=["a"]
    ) as server:
        assert (await answer(server, upgrade("/ours")))[0] == 403
        assert (await answer(server, upgrade("/ours", "Origin: https://everybody.example")))[
            0
        ] == 403
        async with await dial(server) as peer:
            headers = await peer.upgrade(
                upgrade("/ours", "Origin: https://ours.example", "Sec-WebSocket-Protocol: a, b")
            )
            assert headers["sec-websocket-protocol"] == "b"
            assert await peer.message() == "b"
            peer.send(close())
        async with await dial(server) as peer:
            headers = await peer.upgrade(
                upgrade(
                    "/small",
                    "Sec-WebSocket-Protocol: a, b",
                    "Sec-WebSocket-Extensions: permessage-deflate",
                )
            )
            # What it leaves open is that of the server, what it says stands.
            assert headers["sec-websocket-protocol"] == "a"
            assert "sec-websocket-extensions" not in headers
            peer.send(text("x" * 11))
            assert (await peer.close_frame()).code == 1009


@virtual_time
async def test_a_route_has_a_hook_of_its_own_behind_the_servers() -> None:
    asked: list[str] = []

    def first(request: Request) -> Response | None:
        asked.append("server")
        return Response.text("no") if request.query == "server" else None

    async def second(request: Request) -> Response | None:
        asked.append("route")
        return Response.text("no") if request.query == "route" else None

    router = Router([Route("/a", echo, process_request=second), Route("/b", echo)])
    async with serving(router, process_request=first) as server:
        for target, expected in (
            ("/a?server", ["server"]),
            ("/a?route", ["server", "route"]),
            ("/b?server", ["server"]),
        ):
            asked.clear()
            assert (await answer(server, upgrade(target)))[2] == b"no"
            assert asked == expected
        for target in ("/a", "/b?route"):
            async with await dial(server) as peer:
                await peer.upgrade(upgrade(target))
                peer.send(close())


@pytest.mark.parametrize("returned", [None, "page", Response(101)])
@virtual_time
async def test_a_route_that_returns_no_page_is_500_and_logged_once(
    returned: Any, caplog: pytest.LogCaptureFixture
) -> None:
    router = Router([Route("/", lambda request: returned, ["GET"])])
    async with serving(router) as server:
        assert (await answer(server, plain("/")))[0] == 500
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("rfc6455.server", logging.ERROR)


# process_response


@virtual_time
async def test_process_response_may_add_fields_to_every_answer() -> None:
    seen: list[tuple[str, int]] = []

    def process_response(request: Request, response: Response) -> None:
        seen.append((request.path, response.status))
        response.headers.add("Set-Cookie", "a=b")
        response.headers.add("X-Frame-Options", "DENY")

    async with serving(make_router(), process_response=process_response) as server:
        async with await dial(server) as peer:
            headers = await peer.upgrade(upgrade("/rooms/a/1"))
            assert (headers["set-cookie"], headers["x-frame-options"]) == ("a=b", "DENY")
            assert await peer.message() == "'a' 1"
            peer.send(close())
        for target in ("/pages/a", "/nothing"):
            assert (await answer(server, plain(target)))[1]["set-cookie"] == "a=b"
        # There is no request that the answer could be judged by.
        assert "set-cookie" not in (await answer(server, b"nonsense\r\n\r\n"))[1]
    assert seen == [("/rooms/a/1", 101), ("/pages/a", 200), ("/nothing", 404)]


@virtual_time
async def test_process_response_may_return_another_answer() -> None:
    async def process_response(request: Request, response: Response) -> Response | None:
        await asyncio.sleep(1)
        if request.query == "keep":
            return None
        if request.query == "add":
            return Response(response.status, Headers([("X-Added", "1")]))
        return Response.text(f"instead of {response.status}", 503)

    async with serving(make_router(), process_response=process_response) as server:
        assert (await answer(server, plain("/pages/a?keep")))[2] == b"a keep"
        assert (await answer(server, plain("/pages/a")))[2] == b"instead of 200"
        assert (await answer(server, plain("/nothing")))[2] == b"instead of 404"
        assert (await answer(server, upgrade("/rooms/a/1")))[2] == b"instead of 101"
        async with await dial(server) as peer:
            headers = await peer.upgrade(upgrade("/rooms/a/1?add"))
            assert headers["x-added"] == "1"
            assert await peer.message() == "'a' 1"
            peer.send(close())


@virtual_time
async def test_what_is_ours_cannot_be_set_by_process_response(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def process_response(request: Request, response: Response) -> None:
        response.headers.add("Sec-WebSocket-Accept", "mine")

    async with serving(echo, process_response=process_response) as server:
        assert (await answer(server, REQUEST))[0] == 500
    assert len(caplog.records) == 1


@virtual_time
async def test_a_failing_process_response_is_500_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def process_response(request: Request, response: Response) -> None:
        raise RuntimeError

    async with serving(make_router(), process_response=process_response) as server:
        for data in (plain("/pages/a"), plain("/nothing"), upgrade("/small")):
            caplog.clear()
            assert (await answer(server, data))[0] == 500
            assert [r.levelno for r in caplog.records] == [logging.ERROR]


# Origins and subprotocols


@pytest.mark.parametrize(
    ("origins", "status"),
    [
        ([], 101),
        (["https://example.com"], 101),
        (["https://a.example.com"], 101),
        (["https://example.com", "https://example.com"], 400),
        (["null"], 403),
        (["http://example.com"], 403),
        (["https://example.com:443"], 403),
        (["https://example.com:444"], 403),
        (["https://EXAMPLE.com"], 403),
        (["https://example.com."], 403),
        (["https://evilexample.com"], 403),
        (["https://example.com.evil.example"], 403),
        (["https://a.example.com.evil.example"], 403),
        (["https://ex\u00e4mple.com"], 403),
    ],
)
@virtual_time
async def test_d1_only_the_origins_that_are_allowed_connect(
    origins: list[str], status: int
) -> None:
    allowed = ["HTTPS://Example.com:443", re.compile(r"https://[a-z]+\.example\.com"), None]
    fields = "".join(f"Origin: {origin}\r\n" for origin in origins).encode("latin-1")
    async with serving(echo, origins=allowed) as server, await dial(server) as peer:
        peer.send(REQUEST[:-2] + fields + b"\r\n")
        assert (await peer.head())[0] == status
        if status == 101:
            peer.send(close())


@virtual_time
async def test_a_function_may_select_the_subprotocol() -> None:
    def select(request: Request, offered: Any) -> str | None:
        assert isinstance(request, Request)
        return next((name for name in offered if name.startswith("v")), None)

    async def handler(websocket: WebSocket) -> None:
        await websocket.send(str(websocket.subprotocol))

    async with serving(handler, select_subprotocol=select) as server:
        for offer, chosen in (("bearer, v2, v1", "v2"), ("bearer", None), ("", None)):
            async with await dial(server) as peer:
                fields = [f"Sec-WebSocket-Protocol: {offer}"] if offer else []
                headers = await peer.upgrade(upgrade("/", *fields))
                assert headers.get("sec-websocket-protocol") == chosen
                assert await peer.message() == str(chosen)
                peer.send(close())


@virtual_time
async def test_a_subprotocol_that_was_not_offered_is_500_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(echo, select_subprotocol=lambda request, offered: "mine") as server:
        assert (await answer(server, REQUEST))[0] == 500
    assert len(caplog.records) == 1


# Names


@on_each_loop
async def test_basic_auth_lets_in_who_knows_a_password_and_tells_the_handler_who_it_is() -> None:
    async def handler(websocket: WebSocket) -> None:
        assert websocket.request is not None
        await websocket.send(websocket.request.context["user"])

    hook = rfc6455.basic_auth("chat", {"alice": "open sesame"})
    right = "Authorization: Basic " + base64.b64encode(b"alice:open sesame").decode()
    wrong = "Authorization: Basic " + base64.b64encode(b"alice:xpen sesame").decode()
    async with serving(handler, process_request=hook) as server:
        async with await dial(server) as peer:
            await peer.upgrade(upgrade("/", right))
            assert await peer.message() == "alice"
            peer.send(close())
            await peer.rest()
        for data in (upgrade("/", wrong), upgrade("/"), plain("/")):
            status, headers, _ = await answer(server, data)
            assert status == 401
            assert headers["www-authenticate"] == 'Basic realm="chat", charset="UTF-8"'


# What is logged


@virtual_time
async def test_health_checks_are_not_logged_as_failures(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serving(make_router()) as server:
        async with await dial(server):
            pass
        async with await dial(server) as peer:
            peer.reset()
        await settle()
        for target in ("/pages/health", "/small", "/nothing"):
            await answer(server, plain(target))
            await answer(server, plain(target, "HEAD"))
    assert caplog.records == []


@virtual_time
async def test_another_logger_may_be_given(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mine")
    logger = logging.LoggerAdapter(logging.getLogger("mine"), {"node": "7"})

    async def handler(websocket: WebSocket) -> None:
        raise RuntimeError

    async with serving(handler, logger=logger) as server:
        await answer(server, b"nonsense\r\n\r\n")
        async with await dial(server) as peer:
            await peer.upgrade()
            assert await peer.close_frame() == Close(1011)
            peer.send(close(1011))
    assert [(r.name, r.levelno, vars(r)["node"]) for r in caplog.records] == [
        ("mine", logging.INFO, "7"),
        ("mine", logging.ERROR, "7"),
    ]


@virtual_time
async def test_e16_a_flood_of_bad_clients_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "rfc6455")
    async with serving(echo) as server:
        for _ in range(500):
            await answer(server, b"nonsense\r\n\r\n")
    assert len(caplog.records) <= 25
    assert caplog.messages[-1].endswith("lines like these were left out")
    lines = [r for r in caplog.records if "left out" not in r.getMessage()]
    left_out = sum(int(m.split()[0]) for m in caplog.messages if "left out" in m)
    assert len(lines) + left_out == 500


@virtual_time
async def test_d4_secrets_are_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def process_request(request: Request) -> Response | None:
        if request.path == "/raise":
            raise RuntimeError(f"cannot deal with {request!r}")
        if request.path == "/refuse":
            raise HandshakeError("go away", 403)
        return None

    async def fail(websocket: WebSocket) -> None:
        raise RuntimeError(f"cannot deal with {websocket.request!r}")

    secrets = [
        "Authorization: Bearer SECRET",
        "Cookie: session=SECRET",
        "Sec-WebSocket-Protocol: bearer, SECRET",
    ]
    router = Router([Route("/fail", fail), Route("/page", lambda request: Response(), ["GET"])])
    async with serving(router, process_request=process_request) as server:
        for target in ("/fail", "/raise", "/refuse", "/nothing", "/page"):
            good = upgrade(f"{target}?token=SECRET", *secrets)
            for data in (
                good,
                good.replace(b": 13", b": 12"),
                good.replace(b"dGh", b""),
                good.replace(b"Upgrade: websocket", b"Upgrade: SECRET"),
                good.replace(b"Host", b"Hose"),
                good.replace(b"HTTP/1.1", b"HTTP/1.0"),
                good.replace(b"GET", b"PUT"),
                good.replace(b"Cookie:", b"Cookie\xff:"),
                good.replace(b"bearer, SECRET", b"bearer, SECRET, SECRET"),
                good.replace(b"?token", b"#token"),
                good.replace(b"Bearer", b"Content-Length: SECRET\r\nX: "),
            ):
                async with await dial(server) as peer:
                    peer.send(data)
                    await peer.head()
                    peer.send(close())
    assert len(caplog.records) > 10
    formatter = logging.Formatter()
    for record in caplog.records:
        assert "SECRET" not in formatter.format(record)
        # Nor is there a value among the arguments, where other formatters would find it.
        assert "SECRET" not in repr(record.args)
