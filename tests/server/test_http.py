"""Plain HTTP: pages, reports, and what keeps a browser safe."""

from __future__ import annotations

import json

import pytest

from rfc6455 import Headers, Request, Response
from server.http import Pages

PAGES = Pages({"/healthz": lambda: {"status": "ok"}})


def ask(path: str, method: str = "GET") -> Response:
    return PAGES.respond(Request(method, path, path, "", Headers()))


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/index.html", "text/html; charset=utf-8"),
        ("/app.css", "text/css; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/client.js", "text/javascript; charset=utf-8"),
    ],
)
def test_the_page_is_served(path: str, content_type: str) -> None:
    response = ask(path)
    assert response.status == 200
    assert response.headers["Content-Type"] == content_type
    assert response.body


def test_a_report_is_json() -> None:
    response = ask("/healthz")
    assert response.headers["Content-Type"] == "application/json"
    assert json.loads(response.body) == {"status": "ok"}


@pytest.mark.parametrize("path", ["/nothing", "/../app.py", "/%2e%2e/app.py", "//app.js", "*"])
def test_anything_else_is_not_found(path: str) -> None:
    assert ask(path).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_not_allowed(method: str) -> None:
    response = ask("/", method)
    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/", "/healthz", "/nothing"])
def test_every_answer_keeps_the_browser_safe(path: str) -> None:
    headers = ask(path).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
