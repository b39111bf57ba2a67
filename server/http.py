"""Plain HTTP beside the WebSocket: the page, its health and its numbers.

What lives here: files read once at the start, and the header fields that keep a browser safe. This
file does not know about the chat; what changes is asked of functions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rfc6455 import Headers, Request, Response

__all__ = ["Pages"]

WEB: Final = Path(__file__).parent / "web"
CONTENT_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
}
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


class Pages:
    """Answers plain requests.

    Args:
        reports: functions by path; what they return is answered as JSON.
        web: the folder of the page.
    """

    def __init__(self, reports: Mapping[str, Callable[[], Any]], web: Path = WEB) -> None:
        self._reports = reports
        self._files = {
            f"/{path.relative_to(web).as_posix()}": (CONTENT_TYPES[path.suffix], path.read_bytes())
            for path in sorted(web.rglob("*"))
            if path.suffix in CONTENT_TYPES
        }
        if "/index.html" in self._files:
            self._files["/"] = self._files["/index.html"]

    def respond(self, request: Request) -> Response:
        """Returns the answer to a request that does not open a WebSocket."""
        found = self._find(request.path)
        if found is None:
            return self.refuse(404, "not found")
        if request.method not in ("GET", "HEAD"):
            return self.refuse(405, "method not allowed", [("Allow", "GET, HEAD")])
        return _answer(200, *found)

    def refuse(self, status: int, why: str, headers: Sequence[tuple[str, str]] = ()) -> Response:
        """Returns an answer that tells in a line of text what is wrong."""
        return _answer(status, "text/plain; charset=utf-8", f"{why}\n".encode(), headers)

    def _find(self, path: str) -> tuple[str, bytes] | None:
        if path in self._reports:
            body = json.dumps(self._reports[path](), ensure_ascii=False) + "\n"
            return "application/json", body.encode()
        return self._files.get(path)


def _answer(
    status: int, content_type: str, body: bytes, headers: Sequence[tuple[str, str]] = ()
) -> Response:
    fields = [("Content-Type", content_type), ("Cache-Control", "no-cache"), *SECURITY, *headers]
    return Response(status, Headers(fields), body)
