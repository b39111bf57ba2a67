"""Routes: which one a request gets, with which arguments, and what it hears if there is none."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from werkzeug.routing import BaseConverter

from rfc6455.errors import HandshakeError, UsageError
from rfc6455.headers import Headers
from rfc6455.http import Request, Response
from rfc6455.limits import Limits
from rfc6455.router import Route, Router


def nothing(*_: Any, **__: Any) -> None:
    """A handler that is not called: the router does not."""


def request(target: str, method: str = "GET", *, websocket: bool = False, **fields: str) -> Request:
    path, _, query = target.partition("?")
    headers = Headers([("Upgrade", "websocket")] if websocket else [])
    for name, value in fields.items():
        headers.add(name.replace("_", "-"), value)
    return Request(method, target, path, query, headers)


def resolve(router: Router, target: str, method: str = "GET", *, websocket: bool = True) -> Any:
    return router.resolve(request(target, method, websocket=websocket))[1]


def refusal(
    router: Router, target: str, method: str = "GET", *, websocket: bool = True
) -> HandshakeError:
    with pytest.raises(HandshakeError) as caught:
        router.resolve(request(target, method, websocket=websocket))
    return caught.value


@pytest.mark.parametrize(
    ("path", "target", "arguments"),
    [
        ("/", "/", {}),
        ("/chat", "/chat?token=x", {}),
        ("/rooms/<room>", "/rooms/a", {"room": "a"}),
        ("/rooms/<room>", "/rooms/a%20b%C3%A9", {"room": "a bé"}),
        ("/rooms/<room>", "/rooms/a%2Fb%2f", {"room": "a/b/"}),
        ("/rooms/<room>", "/rooms/a%252Fb", {"room": "a%2Fb"}),
        ("/rooms/<room>/log", "/rooms/..%2F/log", {"room": "../"}),
        ("/items/<int:number>", "/items/42", {"number": 42}),
        ("/at/<float:time>", "/at/1.5", {"time": 1.5}),
        ("/files/<path:name>", "/files/a/b", {"name": "a/b"}),
        ("/<any(de,en):language>", "/de", {"language": "de"}),
        (
            "/users/<uuid:user>",
            "/users/00000000-0000-0000-0000-00000000002a",
            {"user": UUID(int=42)},
        ),
        ("/<a>/<int:b>", "/x/1", {"a": "x", "b": 1}),
    ],
)
def test_parts_of_the_path_are_converted(path: str, target: str, arguments: dict[str, Any]) -> None:
    route = Route(path, nothing)
    found, converted = Router([route]).resolve(request(target, websocket=True))
    assert found is route
    assert converted == arguments


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/chat", "/"),
        ("/chat", "/chat/"),
        ("/chat", "/Chat"),
        ("/chat", "/chat%2F"),
        ("/rooms/<room>", "/rooms/"),
        ("/rooms/<room>", "/rooms/a/b"),
        ("/items/<int:number>", "/items/x"),
        ("/items/<int:number>", "/items/-1"),
        ("/items/<int:number>", "/items/1_0"),
        ("/a/b", "/a%2Fb"),
        ("/a", "*"),
    ],
)
def test_unknown_paths_get_404(path: str, target: str) -> None:
    assert refusal(Router([Route(path, nothing)]), target).status == 404


@pytest.mark.parametrize("target", ["/%", "/%4", "/%zz", "/a%00", "/%ff", "/%c3", "/%ed%a0%80"])
def test_malformed_paths_get_400(target: str) -> None:
    assert refusal(Router([Route("/<anything>", nothing)]), target).status == 400


def test_further_converters() -> None:
    class Reversed(BaseConverter):
        def to_python(self, value: str) -> str:
            return value[::-1]

    router = Router([Route("/<reversed:word>", nothing)], converters={"reversed": Reversed})
    assert resolve(router, "/abc") == {"word": "cba"}


@pytest.mark.parametrize("path", ["chat", "/<room", "/<nothing:room>", "/<a>/<a>", "/<int(x:y>"])
def test_a_malformed_path_is_refused_at_the_start(path: str) -> None:
    with pytest.raises(UsageError, match="path"):
        Router([Route(path, nothing)])


# Plain HTTP


def test_one_path_may_have_a_websocket_and_pages() -> None:
    socket, page, form = (
        Route("/a", nothing),
        Route("/a", nothing, ["GET"]),
        Route("/a", nothing, ["POST"]),
    )
    router = Router([socket, page, form])
    assert router.resolve(request("/a", websocket=True))[0] is socket
    assert router.resolve(request("/a"))[0] is page
    assert router.resolve(request("/a", "HEAD"))[0] is page
    assert router.resolve(request("/a", "POST"))[0] is form


def test_another_method_gets_405() -> None:
    router = Router([Route("/a", nothing, ["GET"]), Route("/a", nothing, ["PUT"])])
    error = refusal(router, "/a", "POST", websocket=False)
    assert error.status == 405
    assert error.headers == (("Allow", "GET, HEAD, OPTIONS, PUT"),)


def test_options_tells_the_methods() -> None:
    route, arguments = Router([Route("/a", nothing, ["GET"])]).resolve(request("/a", "OPTIONS"))
    answer = route.handler(request("/a", "OPTIONS"), **arguments)
    assert isinstance(answer, Response)
    assert (answer.status, answer.headers["Allow"]) == (204, "GET, HEAD, OPTIONS")
    own = Route("/a", nothing, ["OPTIONS"])
    assert Router([own]).resolve(request("/a", "OPTIONS"))[0] is own


def test_a_plain_request_for_a_websocket_gets_426() -> None:
    error = refusal(Router([Route("/a", nothing)]), "/a", websocket=False)
    assert error.status == 426
    assert ("Upgrade", "websocket") in error.headers
    assert refusal(Router([Route("/a", nothing)]), "/a", "PUT", websocket=False).status == 405


def test_a_websocket_where_there_are_pages_gets_404() -> None:
    assert refusal(Router([Route("/a", nothing, ["GET"])]), "/a").status == 404


# Redirects


@pytest.mark.parametrize("websocket", [False, True])
@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/a", "/a/"),
        ("/a?b=%20&c=%00", "/a/?b=%20&c=%00"),
        ("/x/é%2Fb%20".replace("é", "%C3%A9"), "/x/%C3%A9%2Fb%20/"),
    ],
)
def test_a_missing_slash_is_redirected(target: str, location: str, websocket: bool) -> None:
    methods = None if websocket else ["GET"]
    router = Router([Route("/a/", nothing, methods), Route("/x/<name>/", nothing, methods)])
    error = refusal(router, target, websocket=websocket)
    assert error.status == 308
    assert error.headers == (("Location", location),)


def test_without_strict_slashes_both_are_taken() -> None:
    router = Router([Route("/a/", nothing)], strict_slashes=False)
    assert resolve(router, "/a") == resolve(router, "/a/") == {}


@pytest.mark.parametrize("target", ["//evil.example/x", "///evil.example", "/%2Fevil.example"])
def test_no_redirect_leads_to_another_server(target: str) -> None:
    router = Router([Route("/<path:anything>/", nothing)])
    location = dict(refusal(router, target).headers)["Location"]
    assert location.startswith("/")
    assert not location.startswith("//")
    assert ":" not in location


# Decorators


def test_decorators_add_routes() -> None:
    router = Router()

    @router.websocket("/chat/<room>", subprotocols=["chat"])
    def chat(websocket: object, room: str) -> None: ...

    @router.http("/page")
    def page(request: Request) -> Response:
        return Response()

    @router.http("/form", methods=["POST"])
    def form(request: Request) -> Response:
        return Response()

    route, arguments = router.resolve(request("/chat/a", websocket=True))
    assert (route.handler, arguments) == (chat, {"room": "a"})
    assert router.resolve(request("/page"))[0].handler is page
    assert router.resolve(request("/form", "POST"))[0].handler is form


# What a route leaves open


DEFAULTS = Route(
    "",
    nothing,
    origins=["http://a.example"],
    subprotocols=["a"],
    extensions=[],
    limits=Limits(max_message_size=1),
    cancel_on_disconnect=True,
)


def test_what_a_route_leaves_open_is_that_of_the_server() -> None:
    route = Route("/a", nothing, ["GET"], process_request=nothing).over(DEFAULTS)
    assert (route.path, route.methods, route.process_request) == ("/a", ["GET"], nothing)
    for name in ("origins", "select_subprotocol", "extensions", "limits", "cancel_on_disconnect"):
        assert getattr(route, name) is getattr(DEFAULTS, name)


def test_what_a_route_says_stands() -> None:
    own = Route(
        "/a",
        nothing,
        origins=[],
        subprotocols=["b"],
        extensions=(),
        limits=Limits(),
        cancel_on_disconnect=False,
    )
    route = own.over(DEFAULTS)
    for name in ("origins", "select_subprotocol", "extensions", "limits", "cancel_on_disconnect"):
        assert getattr(route, name) is getattr(own, name)


def test_origin_and_subprotocol_are_judged() -> None:
    offering = request(
        "/", websocket=True, Origin="http://a.example", Sec_WebSocket_Protocol="b, a"
    )
    offered = ["b", "a"]
    assert DEFAULTS.choose_subprotocol(offering, offered) == "a"
    assert Route("", nothing, subprotocols=["c"]).choose_subprotocol(offering, offered) is None
    assert Route("", nothing, subprotocols=[]).choose_subprotocol(offering, offered) is None
    assert Route("", nothing).choose_subprotocol(offering, offered) is None
    for stranger in (
        request("/", websocket=True, Origin="http://b.example"),
        request("/", websocket=True),
    ):
        with pytest.raises(HandshakeError) as caught:
            DEFAULTS.choose_subprotocol(stranger, offered)
        assert caught.value.status == 403


def test_a_function_may_select_the_subprotocol() -> None:
    offering = request("/", websocket=True)
    asked: list[Any] = []

    def select(request: Request, offered: Any) -> str:
        asked.append((request, offered))
        return "v2"

    route = Route("", nothing, select_subprotocol=select)
    assert route.choose_subprotocol(offering, ["v1", "v2", "token.abc"]) == "v2"
    assert asked == [(offering, ["v1", "v2", "token.abc"])]


def test_options_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(UsageError, match="exclude"):
        Route("", nothing, subprotocols=["a"], select_subprotocol=nothing)
    with pytest.raises(UsageError, match="list"):
        Route("", nothing, subprotocols="chat")
    with pytest.raises(UsageError, match="list"):
        Route("", nothing, origins="http://a.example")
