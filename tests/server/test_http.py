"""Plain HTTP: pages, reports, and what keeps a browser safe."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from pathlib import Path
from urllib.parse import urljoin

import msgspec
import pytest

from rfc6455 import Headers, Request, Response
from server.http import HttpError, Pages, answer, answer_json, read_json

PAGES = Pages()
PAGES.report("/healthz", lambda: {"status": "ok"})


def ask(
    path: str,
    method: str = "GET",
    body: bytes = b"",
    headers: list[tuple[str, str]] | None = None,
    pages: Pages = PAGES,
) -> Response:
    request = Request(method, path, path, "", Headers(headers or []), body)
    return asyncio.run(pages.respond(request))


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/index.html", "text/html; charset=utf-8"),
        ("/css/base.css", "text/css; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/client.js", "text/javascript; charset=utf-8"),
        ("/page/chat.js", "text/javascript; charset=utf-8"),
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
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_anything_else_is_not_found(path: str, method: str) -> None:
    assert ask(path, method).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/healthz"])
def test_other_methods_are_not_allowed(path: str, method: str) -> None:
    response = ask(path, method)
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


def test_a_path_may_have_several_methods_and_a_file(tmp_path: Path) -> None:
    (tmp_path / "login.html").write_text("<p>")
    pages = Pages(tmp_path)
    pages.add("POST", "/login", lambda request: answer_json("posted"))

    async def wait(request: Request) -> Response:
        return answer_json("waited")

    pages.add("DELETE", "/login", wait)
    assert ask("/login", pages=pages).body == b"<p>"
    assert ask("/login", "HEAD", pages=pages).body == b"<p>"
    assert ask("/login", "POST", pages=pages).body == b'"posted"\n'
    assert ask("/login", "DELETE", pages=pages).body == b'"waited"\n'
    response = ask("/login", "PUT", pages=pages)
    assert (response.status, response.headers["Allow"]) == (405, "DELETE, GET, HEAD, POST")
    assert pages.paths == {"/login", "/login.html"}


def test_what_a_handler_refuses_is_told_in_json() -> None:
    def refuse(request: Request) -> Response:
        raise HttpError(429, "rate_limited", "slower", [("Retry-After", "3")])

    pages = Pages()
    pages.add("POST", "/x", refuse)
    response = ask("/x", "POST", pages=pages)
    assert (response.status, response.headers["Retry-After"]) == (429, "3")
    assert json.loads(response.body) == {"error": "rate_limited", "message": "slower"}
    assert "Content-Security-Policy" in response.headers


class Name(msgspec.Struct, forbid_unknown_fields=True):
    name: str


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b'{"name": "Ann"}', 200),
        ("Application/JSON ; charset=utf-8", b'{"name": "Ann"}', 200),
        ("text/plain", b'{"name": "Ann"}', 415),
        ("application/x-www-form-urlencoded", b"name=Ann", 415),
        ("", b'{"name": "Ann"}', 415),
        ("application/json", b"", 400),
        ("application/json", b"{", 400),
        ("application/json", b'{"name": 1}', 400),
        ("application/json", b'{"name": "\xff"}', 400),
        ("application/json", b'{"name": "Ann", "other": 1}', 400),
        ("application/json", b'{"a":' * 30_000, 400),
    ],
)
def test_a_body_is_json_of_a_type(content_type: str, body: bytes, status: int) -> None:
    pages = Pages()
    pages.add("POST", "/x", lambda request: answer_json(read_json(request, Name).name))
    headers = [("Content-Type", content_type)] if content_type else []
    response = ask("/x", "POST", body, headers, pages)
    assert response.status == status


def test_a_field_of_the_answer_goes_before_the_usual_one() -> None:
    response = answer(200, "text/plain", b"", [("cache-control", "no-store")])
    assert response.headers.get_all("Cache-Control") == ["no-store"]


def test_the_page_asks_for_all_its_modules_at_once() -> None:
    page = ask("/").body.decode()
    edition = re.search(r'src="(/@[0-9a-f]{16}/)app.js"', page)
    assert edition is not None
    modules = {f"{edition[1]}app.js"}
    queue = list(modules)
    for path in queue:
        for match in re.finditer(r'(?:^import|from) "([^"]+)"', ask(path).body.decode(), re.M):
            module = urljoin(path, match[1])
            if module not in modules:
                modules.add(module)
                queue.append(module)
    preloaded = re.findall(r'<link rel="modulepreload" href="([^"]+)">', page)
    assert len(modules) > 10
    assert sorted([f"{edition[1]}app.js", *preloaded]) == sorted(modules)


def test_what_a_page_is_made_of_is_asked_for_once(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text('<script src="/a.js"></script><a href="/login">')
    (tmp_path / "a.js").write_text("1")
    page = ask("/", pages=Pages(tmp_path))
    found = re.fullmatch(r'<script src="(.+)"></script><a href="/login">', page.body.decode())
    assert found is not None
    assert page.headers["Cache-Control"] == "no-cache"
    part = ask(found[1], pages=Pages(tmp_path))
    assert (part.status, part.body) == (200, b"1")
    assert part.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    # Who names it without its edition, as other pages do, asks whether it has changed.
    assert ask("/a.js", pages=Pages(tmp_path)).headers["Cache-Control"] == "no-cache"

    (tmp_path / "a.js").write_text("2")
    assert ask(found[1], pages=Pages(tmp_path)).status == 404
    assert ask("/", pages=Pages(tmp_path)).body != page.body


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br", "gzip"),
        ("br;q=1.0, GZIP ; q=0.5", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=0.000", None),
        ("br", None),
        ("xgzip", None),
        ("", None),
    ],
)
def test_files_are_compressed_for_who_takes_that(accepted: str, coding: str | None) -> None:
    response = ask("/app.js", headers=[("Accept-Encoding", accepted)] if accepted else [])
    assert response.headers.get("Content-Encoding") == coding
    assert response.headers["Vary"] == "Accept-Encoding"
    body = gzip.decompress(response.body) if coding else response.body
    assert body == ask("/app.js").body


def test_what_does_not_get_smaller_is_not_compressed(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("1")
    response = ask("/a.js", headers=[("Accept-Encoding", "gzip")], pages=Pages(tmp_path))
    assert (response.body, response.headers.get("Content-Encoding")) == (b"1", None)
