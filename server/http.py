"""Plain HTTP beside the WebSocket: which request gets which answer, and what keeps a browser safe.

What lives here: files read once at the start, the choice of a handler by path and method, bodies as
JSON, and the header fields of every answer. This file does not know about the chat.
"""

from __future__ import annotations

import gzip
import hashlib
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from rfc6455 import Headers, Request, Response

__all__ = ["Handler", "HttpError", "Pages", "answer", "answer_json", "read_json"]

Handler: TypeAlias = Callable[[Request], "Response | Awaitable[Response]"]
Body = TypeVar("Body")

WEB: Final = Path(__file__).parent / "web"
CONTENT_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
}
PARTS: Final = re.compile(rb'((?:href|src)=")/(?=[^"]+\.(?:css|js)")')
"""Where a page names a file that it is made of."""
IMMUTABLE: Final = ("Cache-Control", "public, max-age=31536000, immutable")
SECURITY: Final = (
    # Everything comes from here, and nothing inline runs: text of users cannot become a script.
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
)


class HttpError(Exception):
    """A request that is not fulfilled.

    Attributes:
        status: the HTTP status.
        code: for programs, such as ``rate_limited``.
        headers: further fields of the answer.
    """

    def __init__(
        self, status: int, code: str, message: str, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers


class Pages:
    """Answers plain requests: with files, and with what handlers return.

    A page is made of many small files. It names them under ``/@``, a digest of them all, and ``/``:
    what is there never changes, so that a browser asks for it once.

    Args:
        web: the folder of the pages. ``/`` is its ``index.html``, and ``/admin`` is ``admin.html``.
    """

    def __init__(self, web: Path = WEB) -> None:
        self._handlers: dict[str, dict[str, Handler]] = {}
        self._files = {
            f"/{path.relative_to(web).as_posix()}": (CONTENT_TYPES[path.suffix], path.read_bytes())
            for path in sorted(web.rglob("*"))
            if path.suffix in CONTENT_TYPES
        }
        digest = hashlib.sha256(b"".join(body for _, body in self._files.values()))
        self._edition = f"/@{digest.hexdigest()[:16]}/"
        for path, (content_type, body) in list(self._files.items()):
            if path.endswith(".html"):
                found = (content_type, PARTS.sub(rb"\1" + self._edition.encode(), body))
                self._files[path] = found
                self._files[path.removesuffix(".html").removesuffix("index")] = found
        self._compressed = {
            path: gzip.compress(body, mtime=0) for path, (_, body) in self._files.items()
        }

    @property
    def paths(self) -> frozenset[str]:
        """Every path that has something."""
        return frozenset([*self._files, *self._handlers])

    def add(self, method: str, path: str, handler: Handler) -> None:
        """Has a handler answer the requests for a path with a method; GET brings HEAD along."""
        self._handlers.setdefault(path, {})[method] = handler

    def report(self, path: str, function: Callable[[], Any]) -> None:
        """Answers GET with what a function returns, as JSON."""
        self.add("GET", path, lambda request: answer_json(function()))

    async def respond(self, request: Request) -> Response:
        """Returns the answer to a request that does not open a WebSocket."""
        try:
            return await self._respond(request)
        except HttpError as error:
            body = {"error": error.code, "message": str(error)}
            return answer_json(body, error.status, error.headers)

    async def _respond(self, request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        handlers = self._handlers.get(request.path, {})
        if handler := handlers.get(method):
            response = handler(request)
            return await response if inspect.isawaitable(response) else response
        if method == "GET" and request.path.startswith(self._edition):
            path = request.path.removeprefix(self._edition[:-1])
            if path in self._files:
                return self._send(path, request, IMMUTABLE)
        found = self._files.get(request.path)
        if found is not None and method == "GET":
            return self._send(request.path, request)
        if found is None and not handlers:
            return self.refuse(404, "not found")
        methods = {*handlers, *(["GET"] if found is not None else [])}
        allowed = sorted([*methods, *(["HEAD"] if "GET" in methods else [])])
        return self.refuse(405, "method not allowed", [("Allow", ", ".join(allowed))])

    def _send(self, path: str, request: Request, *headers: tuple[str, str]) -> Response:
        """Returns a file, compressed for those who take that."""
        content_type, body = self._files[path]
        if accepts_gzip(request) and len(self._compressed[path]) < len(body):
            body = self._compressed[path]
            headers = (*headers, ("Content-Encoding", "gzip"))
        return answer(200, content_type, body, [*headers, ("Vary", "Accept-Encoding")])

    def refuse(self, status: int, why: str, headers: Sequence[tuple[str, str]] = ()) -> Response:
        """Returns an answer that tells in a line of text what is wrong."""
        return answer(status, "text/plain; charset=utf-8", f"{why}\n".encode(), headers)


def answer(
    status: int, content_type: str, body: bytes, headers: Sequence[tuple[str, str]] = ()
) -> Response:
    """Returns an answer with the fields that keep a browser safe."""
    own = {name.lower() for name, _ in headers}
    fields = [
        ("Content-Type", content_type),
        *(
            field
            for field in (("Cache-Control", "no-cache"), *SECURITY)
            if field[0].lower() not in own
        ),
        *headers,
    ]
    return Response(status, Headers(fields), body)


def accepts_gzip(request: Request) -> bool:
    """Tells whether an answer may be compressed (RFC 9110 §12.5.3); a weight of 0 says no."""
    for item in (request.headers.get("Accept-Encoding") or "").lower().split(","):
        coding, *weight = (part.strip(" \t") for part in item.split(";"))
        if coding == "gzip":
            return not any(re.fullmatch(r"q=0(\.0{0,3})?", part) for part in weight)
    return False


def answer_json(value: Any, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Response:
    """Returns an answer in JSON."""
    body = json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"
    return answer(status, "application/json", body.encode(), headers)


def read_json(request: Request, type: type[Body]) -> Body:
    """Reads the body of a request.

    A page of a stranger cannot send this content type without asking first (a CORS preflight).

    Raises:
        HttpError: 415: it is not declared to be JSON; 400: it is not of this type.
    """
    declared = (request.headers.get("Content-Type") or "").partition(";")[0]
    if declared.strip(" \t").lower() != "application/json":
        raise HttpError(415, "bad_type", "the body has to be application/json")
    try:
        return msgspec.json.decode(request.body, type=type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HttpError(400, "bad_body", str(error)[:200]) from error
