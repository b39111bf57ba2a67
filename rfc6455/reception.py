"""What a server does with a request, from its head to the answer.

What lives here: which functions of the application are asked, in which order, and what comes of
what they say. Servers of both kinds call them: this file does not know how, nor how long that
takes, nor what becomes of a WebSocket.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from http import HTTPStatus
from typing import Any, Final, NamedTuple, TypeAlias

from .connection import Connection, Role
from .errors import HandshakeError
from .handshake import Offer, ServerHandshake, validate
from .headers import Headers
from .http import Request, Response, error_response
from .limits import Limits
from .router import Route, Router

__all__ = ["Accepted", "Reception", "Steps"]

Steps: TypeAlias = "Generator[Callable[[], Any], Any, Response | Accepted]"
"""Gives what is to be called, and takes what it returns or raises; returns what comes of it."""

SERVER: Final = Role.SERVER


class Accepted(NamedTuple):
    """An opening handshake that is to be accepted.

    Attributes:
        route: who deals with its WebSocket.
        arguments: the converted parts of the path.
        offer: what the client offers.
        subprotocol: the one that was chosen, or None.
        headers: further fields of the answer, or None.
    """

    route: Route
    arguments: dict[str, Any]
    offer: Offer
    subprotocol: str | None
    headers: Headers | None

    def open(
        self, handshake: ServerHandshake, limits: Limits, now: float
    ) -> tuple[bytes, Connection]:
        """Accepts the handshake.

        Args:
            handshake: the one that has read the request.
            limits: those of a route that has none of its own.
            now: the time, as for `Connection`.

        Returns:
            The bytes of the answer, and the connection that it opens.

        Raises:
            UsageError: as in `ServerHandshake.accept`.
        """
        answer, extensions = handshake.accept(
            subprotocol=self.subprotocol,
            extensions=self.route.extensions or (),
            headers=self.headers or (),
            offer=self.offer,
        )
        limits = self.route.limits or limits
        return answer, Connection(SERVER, limits=limits, extensions=extensions, now=now)


class Reception:
    """Deals with requests as an application has told `serve` to.

    Args:
        route: what `serve` was given; the route of every request where there is no router, and
            what a router's routes leave open.
        router: finds the route by the path.
        process_request: see `serve`.
        process_response: see `serve`.
        log_failure: is told why a client is sent away, its address, and its request.
    """

    def __init__(
        self,
        route: Route,
        router: Router | None,
        process_request: Callable[[Request], Any] | None,
        process_response: Callable[[Request, Response], Any] | None,
        log_failure: Callable[[HandshakeError, str, Request], None],
    ) -> None:
        self._route = route
        self._router = router
        self._process_request = process_request
        self._process_response = process_response
        self._log_failure = log_failure
        self._routes: dict[Route, Route] = {}

    def decide(self, request: Request, check: Callable[[], None] | None = None) -> Steps:
        """Says what is done with a request, step by step.

        Each step is a function of the application's that is to be called. What it returns, or its
        exception, goes back in; where nothing has to be asked there are no steps. The result is the
        answer, or what is to be accepted.

        Args:
            request: the request.
            check: is called once the application has said what it wants to do with the request, and
                raises HandshakeError where it is too late for that.
        """
        hook = self._process_response
        arranged: Response | Accepted
        try:
            arranged = yield from self._choose(request)
            if check is not None:
                check()
            if isinstance(arranged, Accepted):
                if hook is None:
                    return arranged
                accepted = Response(HTTPStatus.SWITCHING_PROTOCOLS)
                accepted = (yield partial(hook, request, accepted)) or accepted
                if accepted.status != HTTPStatus.SWITCHING_PROTOCOLS:
                    return accepted
                return arranged._replace(headers=accepted.headers)
        except HandshakeError as error:
            self._log_failure(error, request.client_address, request)
            arranged = error_response(error)
        if hook is not None:
            arranged = (yield partial(hook, request, arranged)) or arranged
        return arranged

    def _choose(self, request: Request) -> Steps:
        route, arguments = self._route, _NO_ARGUMENTS
        response: Response | None
        if self._process_request is not None:
            response = yield partial(self._process_request, request)
            if response is not None:
                return response
        if self._router is not None:
            route, arguments = self._router.resolve(request)
            if route.process_request is not None:
                response = yield partial(route.process_request, request)
                if response is not None:
                    return response
            if route.methods is not None:
                answer: Response = yield partial(route.handler, request, **arguments)
                return answer
            route = self._over_defaults(route)
        offer = validate(request)
        if route.select_subprotocol is None:
            subprotocol = route.choose_subprotocol(request, offer.subprotocols)
        else:
            subprotocol = yield partial(route.choose_subprotocol, request, offer.subprotocols)
        return Accepted(route, arguments, offer, subprotocol, None)

    def _over_defaults(self, route: Route) -> Route:
        complete = self._routes.get(route)
        if complete is None:
            complete = self._routes[route] = route.over(self._route)
        return complete


_NO_ARGUMENTS: Final[dict[str, Any]] = {}
