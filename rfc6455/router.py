"""Which handler a request goes to: by its path, with typed parts.

What lives here: what a server does for one path, and the choice among several, which Werkzeug's
routing makes. Nothing is called here: this file does not know whether handlers are coroutines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar
from urllib.parse import unquote

from .errors import HandshakeError, UsageError
from .extensions import ExtensionFactory
from .handshake import validate
from .headers import Headers
from .http import Request, Response
from .limits import Limits
from .origins import Origins, OriginsLike

if TYPE_CHECKING:
    from werkzeug.routing import BaseConverter

__all__ = ["Route", "Router", "SelectSubprotocol"]

SelectSubprotocol: TypeAlias = Callable[[Request, Sequence[str]], str | None]
Function = TypeVar("Function", bound=Callable[..., Any])

INHERITED: Final = (
    "origins",
    "select_subprotocol",
    "extensions",
    "limits",
    "cancel_on_disconnect",
)
MALFORMED_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
ESCAPED_SLASH: Final = re.compile(r"%2[Ff]")
ORIGIN: Final = "http://localhost"
"""What Werkzeug believes the server's address to be. It never leaves this file."""


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """What a server does for one path. None stands for what `serve` was given.

    Args:
        path: such as ``/rooms/<room>`` or ``/items/<int:number>``. The converters are Werkzeug's:
            ``string`` (with ``length``, ``minlength``, ``maxlength``), ``int``, ``float``,
            ``path``, ``any`` and ``uuid``.
        handler: for a WebSocket a function that gets it; for plain HTTP one that gets the `Request`
            and returns a `Response`. The converted parts of the path follow as keywords.
        methods: of plain HTTP, such as ``["GET"]``, which brings HEAD with it; None for a
            WebSocket.
        process_request: a hook as `serve` has one, for this path alone; it runs after the
            server's.
        origins: as in `serve`.
        subprotocols: as in `serve`.
        select_subprotocol: as in `serve`, instead of ``subprotocols``.
        extensions: as in `serve`.
        limits: of the open connection; the opening handshake has the server's.
        cancel_on_disconnect: as in `serve`.
    """

    path: str
    handler: Callable[..., Any]
    methods: Sequence[str] | None = None
    process_request: Callable[[Request], Any] | None = None
    origins: OriginsLike | Origins | None = None
    subprotocols: Sequence[str] | None = None
    select_subprotocol: SelectSubprotocol | None = None
    extensions: Sequence[ExtensionFactory] | None = None
    limits: Limits | None = None
    cancel_on_disconnect: bool | None = None

    def __post_init__(self) -> None:
        if self.subprotocols is not None:
            if self.select_subprotocol is not None:
                raise UsageError("subprotocols and select_subprotocol exclude each other")
            if isinstance(self.subprotocols, str):
                raise UsageError("subprotocols are a list, not one string")
            object.__setattr__(self, "select_subprotocol", _first_of(self.subprotocols))
            object.__setattr__(self, "subprotocols", None)
        if self.origins is not None and not isinstance(self.origins, Origins):
            object.__setattr__(self, "origins", Origins(self.origins))

    def over(self, other: Route) -> Route:
        """Returns this route, with what it leaves open taken from the other."""
        open_ones = [name for name in INHERITED if getattr(self, name) is None]
        return replace(self, **{name: getattr(other, name) for name in open_ones})

    def choose_subprotocol(self, request: Request, offered: Sequence[str]) -> str | None:
        """Judges the Origin of an opening handshake, and returns its subprotocol.

        Args:
            request: the request.
            offered: the subprotocols in it, as `validate` has found them.

        Raises:
            HandshakeError: 403; a page of this origin may not connect.
        """
        # RFC 6455 §4.2.2: "If the server does not wish to accept this connection, it MUST return an
        # appropriate HTTP error code (e.g., 403 Forbidden)".
        if isinstance(self.origins, Origins) and not self.origins.allow(
            request.headers.get("Origin")
        ):
            raise HandshakeError("this Origin may not connect", HTTPStatus.FORBIDDEN)
        if self.select_subprotocol is None:
            return None
        return self.select_subprotocol(request, offered)


def _first_of(subprotocols: Sequence[str]) -> SelectSubprotocol:
    def select(request: Request, offered: Sequence[str]) -> str | None:
        return next((s for s in subprotocols if s in offered), None)

    return select


class Router:
    """Handlers by path; it stands in the place of the handler that `serve` takes.

    Unknown paths get 404; methods that a path does not know 405; plain requests for the path of a
    WebSocket 426; a path that lacks the slash of its route's end is redirected with 308. OPTIONS is
    answered with the methods of the path. An encoded slash (``%2F``) belongs to its part.

    Needs Werkzeug: ``pip install 'rfc6455[router]'``.

    Args:
        routes: the first routes; `add`, `websocket` and `http` add more.
        converters: further converters by name, as `werkzeug.routing` has them.
        strict_slashes: whether a path that lacks its route's slash is redirected; else both are
            taken.
    """

    def __init__(
        self,
        routes: Iterable[Route] = (),
        *,
        converters: Mapping[str, type[BaseConverter]] | None = None,
        strict_slashes: bool = True,
    ) -> None:
        try:
            from werkzeug import exceptions, routing
        except ImportError as error:  # pragma: no cover
            raise ImportError(
                "Router needs Werkzeug: python -m pip install 'rfc6455[router]'"
            ) from error
        self._routing = routing
        self._exceptions = exceptions
        self._map = routing.Map(
            strict_slashes=strict_slashes, converters=dict(converters) if converters else None
        )
        self._adapter = self._map.bind(ORIGIN.partition("//")[2])
        for route in routes:
            self.add(route)

    def add(self, route: Route) -> None:
        """Adds a route.

        Raises:
            UsageError: its path is malformed, or has a converter that does not exist.
        """
        try:
            self._map.add(
                self._routing.Rule(
                    route.path,
                    endpoint=route,
                    methods=route.methods,
                    websocket=route.methods is None,
                )
            )
        except (ValueError, LookupError, SyntaxError) as error:
            raise UsageError(f"not a path for a route: {route.path!r}: {error}") from error

    def websocket(self, path: str, **options: Any) -> Callable[[Function], Function]:
        """Decorates the handler of a WebSocket; the options are those of `Route`."""

        def decorate(function: Function) -> Function:
            self.add(Route(path, function, **options))
            return function

        return decorate

    def http(
        self, path: str, *, methods: Sequence[str] = ("GET",), **options: Any
    ) -> Callable[[Function], Function]:
        """Decorates the handler of plain HTTP; the options are those of `Route`."""
        return self.websocket(path, methods=methods, **options)

    def resolve(self, request: Request) -> tuple[Route, dict[str, Any]]:
        """Returns the route of a request, and the converted parts of its path.

        Raises:
            HandshakeError: the request leads nowhere; it has the status and the header fields of
                the answer, which is a redirect in one case.
        """
        websocket = request.wants_websocket
        path = _decode(request.path)
        try:
            route, arguments = self._adapter.match(
                path, "GET" if websocket else request.method, websocket=websocket
            )
        except self._routing.RequestRedirect as redirect:
            raise _redirect(redirect.new_url, request.query) from redirect
        except self._routing.WebsocketMismatch as error:
            if not websocket:
                # It says what a request for a WebSocket would have, and this one lacks.
                validate(request)
            raise HandshakeError("no WebSocket here", HTTPStatus.NOT_FOUND) from error
        except self._exceptions.MethodNotAllowed as error:
            allow = ("Allow", ", ".join(sorted({*(error.valid_methods or ()), "OPTIONS"})))
            if request.method == "OPTIONS":
                answer = Response(HTTPStatus.NO_CONTENT, Headers([allow]))
                return Route(path, lambda request: answer, ["OPTIONS"]), {}
            raise HandshakeError(
                "method not allowed", HTTPStatus.METHOD_NOT_ALLOWED, [allow]
            ) from error
        except self._exceptions.NotFound as error:
            raise HandshakeError("nothing here", HTTPStatus.NOT_FOUND) from error
        return route, {
            name: value.replace("\0", "/") if isinstance(value, str) else value
            for name, value in arguments.items()
        }


def _decode(path: str) -> str:
    """Undoes the percent-encoding, but for slashes: a NUL, which no path has, stands for those."""
    if MALFORMED_ESCAPE.search(path):
        raise HandshakeError("malformed path", HTTPStatus.BAD_REQUEST)
    try:
        return unquote(ESCAPED_SLASH.sub("%00", path), errors="strict")
    except UnicodeDecodeError as error:
        raise HandshakeError("path is not UTF-8", HTTPStatus.BAD_REQUEST) from error


def _redirect(url: str, query: str) -> HandshakeError:
    # Two slashes at the start would be the address of another server.
    path = "/" + url.removeprefix(ORIGIN).lstrip("/").replace("%00", "%2F")
    location = f"{path}?{query}" if query else path
    return HandshakeError(
        "the path ends with a slash", HTTPStatus.PERMANENT_REDIRECT, [("Location", location)]
    )
