"""What a server does with a request: whom it asks, in which order, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rfc6455 import HandshakeError, Limits, Request, Response, Route, Router, UsageError
from rfc6455.connection import Role
from rfc6455.handshake import ServerHandshake
from rfc6455.headers import Headers
from rfc6455.reception import Accepted, Reception
from tests.helpers import opening

PLAIN = b"GET %b HTTP/1.1\r\nHost: example.com\r\n\r\n"


def handler(websocket: object) -> None:
    """Is never called here."""


def other_handler(websocket: object, number: int) -> None:
    """Likewise."""


class Desk:
    """A reception, and what it asks and logs."""

    def __init__(self, **options: Any) -> None:
        self.calls: list[Callable[[], Any]] = []
        self.failures: list[tuple[str, str]] = []
        route = options.pop("route", Route("", handler))
        options = {"router": None, "process_request": None, "process_response": None} | options
        self.reception = Reception(route=route, log_failure=self._log, **options)

    def _log(self, error: HandshakeError, address: str, request: Request) -> None:
        assert isinstance(request, Request)
        self.failures.append((str(error), address))

    def decide(
        self, data: bytes, check: Callable[[], None] | None = None
    ) -> tuple[Response | Accepted, ServerHandshake]:
        """Plays a transport; returns what was decided."""
        handshake = ServerHandshake(Limits())
        request = handshake.receive_data(data)
        assert request is not None
        request.client_address = "192.0.2.1"
        steps = self.reception.decide(request, check)
        try:
            call = next(steps)
            while True:
                self.calls.append(call)
                try:
                    result = call()
                except HandshakeError as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(result)
        except StopIteration as end:
            return end.value, handshake

    def accepted(self, data: bytes) -> Accepted:
        decided, _ = self.decide(data)
        assert isinstance(decided, Accepted)
        return decided

    def answer(self, data: bytes) -> Response:
        decided, _ = self.decide(data)
        assert isinstance(decided, Response)
        return decided


def request(path: str = "/", **fields: str) -> bytes:
    return opening(f"GET {path} HTTP/1.1", **fields)


def test_nobody_is_asked_where_there_is_nothing_to_ask() -> None:
    desk = Desk()
    decided = desk.accepted(request())
    assert decided.route.handler is handler
    assert (decided.arguments, decided.subprotocol, decided.headers) == ({}, None, None)
    assert desk.calls == []


def test_what_is_accepted_opens() -> None:
    decided, handshake = Desk().decide(request())
    assert isinstance(decided, Accepted)
    answer, connection = decided.open(handshake, Limits(max_message_size=5), 1.0)
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert connection.role is Role.SERVER
    assert connection.limits.max_message_size == 5
    assert connection.extensions == ()
    assert connection.next_deadline() == 21.0


def test_a_route_has_limits_of_its_own() -> None:
    desk = Desk(route=Route("", handler, limits=Limits(max_message_size=7)))
    decided, handshake = desk.decide(request())
    assert isinstance(decided, Accepted)
    _, connection = decided.open(handshake, Limits(), 0.0)
    assert connection.limits.max_message_size == 7


def test_a_handshake_that_is_none_is_refused_and_logged() -> None:
    desk = Desk()
    assert desk.answer(PLAIN % b"/").status == 426
    assert desk.failures == [("this is a WebSocket endpoint", "192.0.2.1")]


def test_what_comes_too_late_is_refused_whatever_the_application_wanted() -> None:
    asked: list[str] = []
    answered: list[int] = []

    def check() -> None:
        asked.append("the clock")
        raise HandshakeError("no answer in time", 503)

    def process_request(request: Request) -> Response | None:
        asked.append("the application")
        return Response.text("welcome") if request.path == "/page" else None

    def process_response(request: Request, response: Response) -> None:
        answered.append(response.status)

    desk = Desk(process_request=process_request, process_response=process_response)
    for path in ("/", "/page"):
        decided, _ = desk.decide(request(path), check)
        assert isinstance(decided, Response)
        assert decided.status == 503
    assert asked == ["the application", "the clock"] * 2
    assert answered == [503, 503]
    assert desk.failures == [("no answer in time", "192.0.2.1")] * 2


def test_what_comes_in_time_goes_on() -> None:
    decided, _ = Desk().decide(request(), lambda: None)
    assert isinstance(decided, Accepted)


def test_a_foreign_origin_is_refused() -> None:
    desk = Desk(route=Route("", handler, origins=["https://a.example"]))
    assert desk.answer(request(Origin="https://b.example")).status == 403
    assert desk.accepted(request(Origin="https://a.example")).subprotocol is None


def test_the_application_chooses_the_subprotocol() -> None:
    desk = Desk(route=Route("", handler, select_subprotocol=lambda _, offered: offered[-1]))
    decided, handshake = desk.decide(request(Sec_WebSocket_Protocol="a, b"))
    assert isinstance(decided, Accepted)
    assert decided.subprotocol == "b"
    assert len(desk.calls) == 1
    answer, _ = decided.open(handshake, Limits(), 0.0)
    assert b"\r\nSec-WebSocket-Protocol: b\r\n" in answer


@pytest.mark.parametrize("data", [request(), PLAIN % b"/"])
def test_a_hook_answers_first(data: bytes) -> None:
    desk = Desk(process_request=lambda request: Response.text(request.path, 418))
    assert desk.answer(data) == Response.text("/", 418)


def test_a_hook_that_returns_nothing_lets_go_on() -> None:
    desk = Desk(process_request=lambda request: None)
    assert desk.accepted(request()).route.handler is handler
    assert len(desk.calls) == 1


def test_a_hook_may_refuse() -> None:
    def refuse(request: Request) -> Response:
        raise HandshakeError("not you", 403)

    desk = Desk(process_request=refuse)
    answer = desk.answer(request())
    assert (answer.status, answer.body) == (403, b"not you\n")
    assert desk.failures == [("not you", "192.0.2.1")]


def test_what_a_hook_raises_otherwise_passes_through() -> None:
    def fail(request: Request) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        Desk(process_request=fail).decide(request())


def test_another_hook_sees_each_answer() -> None:
    seen = []

    def note(request: Request, response: Response) -> None:
        seen.append((request.path, response.status))

    desk = Desk(process_response=note)
    assert desk.accepted(request("/a")).headers == Headers()
    assert desk.answer(PLAIN % b"/b").status == 426
    assert seen == [("/a", 101), ("/b", 426)]


def test_it_adds_fields_to_the_answer_that_opens() -> None:
    def add(request: Request, response: Response) -> None:
        response.headers.add("X-A", "b")

    decided, handshake = Desk(process_response=add).decide(request())
    assert isinstance(decided, Accepted)
    answer, _ = decided.open(handshake, Limits(), 0.0)
    assert b"\r\nX-A: b\r\n" in answer


def test_it_may_give_another_answer() -> None:
    other = Response.text("other", 418)
    desk = Desk(process_response=lambda request, response: other)
    assert desk.answer(request()) is other
    assert desk.answer(PLAIN % b"/") is other
    assert len(desk.calls) == 2


def test_fields_that_are_ours_open_nothing() -> None:
    def add(request: Request, response: Response) -> None:
        response.headers.add("Upgrade", "x")

    decided, handshake = Desk(process_response=add).decide(request())
    assert isinstance(decided, Accepted)
    with pytest.raises(UsageError, match="ours to set"):
        decided.open(handshake, Limits(), 0.0)


def routed(*routes: Route, **options: Any) -> Desk:
    return Desk(router=Router(list(routes)), **options)


def test_a_router_finds_the_route_and_its_arguments() -> None:
    route = Route("/<int:number>", other_handler, limits=Limits(max_message_size=7))
    defaults = Route("", handler, origins=["https://a.example"], limits=Limits())
    desk = routed(route, route=defaults)
    first = desk.accepted(request("/5", Origin="https://a.example"))
    assert (first.route.handler, first.arguments) == (other_handler, {"number": 5})
    # What it has of its own stays, and what it leaves open is the server's; put together once.
    assert first.route.limits == Limits(max_message_size=7)
    assert desk.answer(request("/5", Origin="https://b.example")).status == 403
    assert desk.accepted(request("/6", Origin="https://a.example")).route is first.route
    assert desk.calls == []


def test_an_unknown_path_is_refused() -> None:
    desk = routed(Route("/a", handler))
    assert desk.answer(request("/b")).status == 404
    assert desk.failures == [("nothing here", "192.0.2.1")]


def test_a_page_is_answered_by_its_handler() -> None:
    desk = routed(Route("/<name>", lambda _, name: Response.text(name), ["GET"]))
    assert desk.answer(PLAIN % b"/page") == Response.text("page")
    assert len(desk.calls) == 1


@pytest.mark.parametrize("answer", [None, Response.text("no", 403)])
def test_the_hook_of_a_route_comes_behind_that_of_the_server(answer: Response | None) -> None:
    asked = []

    def first(request: Request) -> None:
        asked.append("server")

    def second(request: Request) -> Response | None:
        asked.append("route")
        return answer

    desk = routed(Route("/", handler, process_request=second), process_request=first)
    decided, _ = desk.decide(request())
    assert asked == ["server", "route"]
    assert decided == answer if answer is not None else isinstance(decided, Accepted)
