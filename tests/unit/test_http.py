"""HTTP values, and the reader that stands before h11."""

from __future__ import annotations

import pytest

from rfc6455.errors import HandshakeError
from rfc6455.headers import Headers
from rfc6455.http import HeadReader, Request, Response, error_response, exceeds
from rfc6455.limits import Limits
from tests.helpers import chunkings

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\nX:\tb c\xe9\r\n\r\n"


def read(chunks: list[bytes], limits: Limits | None = None) -> tuple[bytes, bytes] | None:
    reader = HeadReader(Limits() if limits is None else limits)
    found = None
    for i, chunk in enumerate(chunks):
        found = reader.feed(chunk)
        if found is not None:
            return found[0], found[1] + b"".join(chunks[i + 1 :])
    return found


def status_of(data: bytes, limits: Limits | None = None) -> int:
    """The status with which a head is refused, however reads cut it."""
    statuses = set()
    for chunks in chunkings(data):
        with pytest.raises(HandshakeError) as caught:
            read(chunks, limits)
        statuses.add(caught.value.status)
    assert len(statuses) == 1
    return statuses.pop()


def test_head_is_found_however_reads_cut_it() -> None:
    for chunks in chunkings(HEAD):
        assert read(chunks) == (HEAD, b"")
    for chunks in chunkings(HEAD + b"\r\n\0\n"):
        assert read(chunks) == (HEAD, b"\r\n\0\n")


def test_unfinished_head() -> None:
    for end in range(len(HEAD)):
        assert read([HEAD[:end]]) is None


def test_empty_lines_before_the_request_line_are_ignored() -> None:
    for chunks in chunkings(b"\r\n\r\n" + HEAD):
        assert read(chunks) == (HEAD, b"")


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\n",
        b"GET / HTTP/1.1\r\nHost: a\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"\n",
        b"GET / HTTP/1.1\r\nHost:\ra\r\n",
        b"GET / HTTP/1.1\r\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n",
        b"GET / HTTP/1.1\r\n\tHost: a\r\n",
        b" GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nA: \x00\r\n",
        b"GET / HTTP/1.1\r\nA: \x0b\r\n",
        b"GET / HTTP/1.1\r\nA: \x1f\r\n",
        b"GET / HTTP/1.1\r\nA: \x7f\r\n",
        b"G\x00ET / HTTP/1.1\r\n",
        # Whole heads, which are read another way.
        b" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\tGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\tb\r\n\r\n",
        b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\0GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    ],
)
def test_line_that_is_not_of_http(data: bytes) -> None:
    assert status_of(data) == 400


# Limits: at the limit, over it as soon as a byte tells, and off.


def assert_read(head: bytes, limits: Limits) -> None:
    """However reads cut it."""
    for chunks in chunkings(head):
        assert read(chunks, limits) == (head, b"")


def test_max_request_line_size() -> None:
    line = HEAD.index(b"\r\n")
    assert_read(HEAD, Limits(max_request_line_size=line))
    assert status_of(HEAD, Limits(max_request_line_size=line - 1)) == 414
    assert status_of(b"G" * 101, Limits(max_request_line_size=100)) == 414
    # A CR may be the end of the line, which does not count.
    assert read([b"G" * 100 + b"\r"], Limits(max_request_line_size=100)) is None
    assert read([b"\r"], Limits(max_request_line_size=0)) is None
    assert read([b"G" * 100_000], Limits(max_request_line_size=None, max_head_size=None)) is None


def test_max_header_line_size() -> None:
    head = b"GET / HTTP/1.1\r\nA: " + b"x" * 97 + b"\r\nB: c\r\n\r\n"
    assert_read(head, Limits(max_header_line_size=100))
    assert status_of(head, Limits(max_header_line_size=99)) == 431
    assert status_of(head[:-10], Limits(max_header_line_size=99)) == 431
    assert_read(head, Limits(max_header_line_size=None))


def test_max_head_size() -> None:
    assert_read(HEAD, Limits(max_head_size=len(HEAD)))
    assert status_of(HEAD, Limits(max_head_size=len(HEAD) - 1)) == 431
    assert status_of(HEAD[:-1], Limits(max_head_size=len(HEAD) - 2)) == 431
    assert_read(HEAD, Limits(max_head_size=None))


@pytest.mark.parametrize(("line", "head", "status"), [(99, 100, 414), (100, 100, 431)])
def test_of_two_limits_the_one_that_is_passed_first_is_told(
    line: int, head: int, status: int
) -> None:
    assert status_of(b"G" * 101, Limits(max_request_line_size=line, max_head_size=head)) == status


def test_max_headers() -> None:
    assert_read(HEAD, Limits(max_headers=2))
    assert status_of(HEAD, Limits(max_headers=1)) == 431
    assert status_of(HEAD, Limits(max_headers=0)) == 431
    assert_read(HEAD, Limits(max_headers=None))


def test_exceeds() -> None:
    assert [exceeds(value, 10) for value in (9, 10, 11)] == [False, False, True]
    assert not exceeds(1 << 60, None)


# Values


@pytest.mark.parametrize(
    ("version", "upgrade", "wants"),
    [
        ("1.1", ["websocket"], True),
        ("1.1", ["WebSocket"], True),
        ("1.1", ["h2c, websocket"], True),
        ("1.1", ["h2c", "websocket"], True),
        ("1.1", [], False),
        ("1.1", ["h2c"], False),
        ("1.1", ["websocketx"], False),
        ("1.1", ["websocket/13"], False),
        ("1.1", ["websocket websocket"], False),
        ("1.1", ["web\u017focket".encode().decode("latin-1")], False),
        ("1.0", ["websocket"], False),
    ],
)
def test_wants_websocket(version: str, upgrade: list[str], wants: bool) -> None:
    headers = Headers(("Upgrade", value) for value in upgrade)
    request = Request("GET", "/", "/", "", headers, http_version=version)
    assert request.wants_websocket is wants


def test_response_of_text() -> None:
    response = Response.text("é", 404, headers=[("X", "1")])
    assert response == Response(
        404, Headers([("Content-Type", "text/plain; charset=utf-8"), ("X", "1")]), b"\xc3\xa9"
    )
    html = Response.text("<p>", content_type="text/html")
    assert (html.status, html.headers["Content-Type"]) == (200, "text/html")


def test_fields_of_a_response_may_be_a_mapping() -> None:
    response = Response.text("x", headers={"Cache-Control": "no-store"})
    assert response.headers.items()[1:] == [("Cache-Control", "no-store")]


def test_error_response() -> None:
    response = error_response(HandshakeError("no", 405, [("Allow", "GET")]))
    assert (response.status, response.headers["Allow"], response.body) == (405, "GET", b"no\n")
    assert error_response(HandshakeError("no")).status == 400


def test_responses_of_json_and_html() -> None:
    response = Response.json({"ä": [1, None]}, 201, headers=[("X", "y")])
    assert response.body == '{"ä":[1,null]}\n'.encode()
    assert response.headers == Headers([("Content-Type", "application/json"), ("X", "y")])
    assert response.status == 201
    assert Response.json(None) == Response(
        200, Headers([("Content-Type", "application/json")]), b"null\n"
    )
    page = Response.html("<p>", 404, headers=[("X", "y")])
    assert (page.status, page.headers["X"]) == (404, "y")
    response = Response.html("<p>ä")
    assert (response.status, response.body) == (200, "<p>ä".encode())
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": -float("inf")}])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="JSON"):
        Response.json(value)


def test_what_json_has_nothing_for_is_refused() -> None:
    with pytest.raises(TypeError):
        Response.json({"a": object()})


def test_d4_a_request_does_not_show_its_secrets() -> None:
    headers = Headers([("Authorization", "SECRET"), ("Cookie", "SECRET")])
    request = Request("GET", "/a\x1b?token=SECRET", "/a\x1b", "token=SECRET", headers, b"SECRET")
    assert repr(request) == "<Request GET '/a\\x1b'>"


def test_requests_share_no_context() -> None:
    one, other = (Request("GET", "/", "/", "", Headers()) for _ in range(2))
    one.context["user"] = "alice"
    assert other.context == {}
    assert one == other
