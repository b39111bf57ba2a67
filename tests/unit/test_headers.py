"""Header fields, and the grammars of those that open a WebSocket."""

from __future__ import annotations

import pytest

from rfc6455.errors import UsageError
from rfc6455.headers import (
    Headers,
    basic_credentials,
    build_extensions,
    is_host,
    is_token,
    parse_extensions,
    parse_tokens,
    parse_upgrade,
)

Extensions = list[tuple[str, list[tuple[str, str | None]]]]

# The multi-dict


def test_names_are_case_insensitive_and_may_repeat() -> None:
    headers = Headers([("Host", "a"), ("Cookie", "x=1"), ("COOKIE", "y=2")])
    assert headers["host"] == "a"
    assert headers["cookie"] == headers.get("Cookie") == "x=1, y=2"
    assert headers.get_all("cookie") == ["x=1", "y=2"]
    assert headers.raw("cookie") == [b"x=1", b"y=2"]
    assert "HOST" in headers
    assert "Origin" not in headers
    assert 1 not in headers
    assert len(headers) == 3


def test_a_mapping_is_as_good_as_pairs() -> None:
    assert Headers({"Host": "a", "Cookie": "x=1"}) == Headers([("Host", "a"), ("Cookie", "x=1")])


def test_fields_keep_their_order_and_case() -> None:
    fields = [("b", "1"), ("A", "2"), ("B", "3")]
    headers = Headers(fields)
    assert headers.items() == list(headers) == fields
    assert Headers(headers) == headers == Headers(fields)
    assert headers != Headers(fields[:2])
    assert headers != fields
    assert (len(headers), len(Headers())) == (3, 0)
    assert repr(Headers([("A", "é")])) == "Headers([('A', 'é')])"


def test_missing_field() -> None:
    headers = Headers()
    assert headers.get("Origin") is None
    assert headers.get("Origin", "none") == "none"
    assert headers.get_all("Origin") == []
    with pytest.raises(KeyError):
        headers["Origin"]


def test_compact_forgets_no_field() -> None:
    headers = Headers([("A", "1"), ("a", "2")])
    for _ in range(2):
        assert headers.get_all("a") == ["1", "2"]
        headers.compact()
    headers.add("A", "3")
    assert headers["a"] == "1, 2, 3"


def test_fields_that_were_read_already_are_as_good_as_others() -> None:
    headers = Headers.of(b"A: 1\r\nB:2\r\na: 3\r\n", {b"a": [b"1", b"3"], b"b": [b"2"]})
    assert headers.get_all("A") == ["1", "3"]
    assert list(headers) == [("A", "1"), ("B", "2"), ("a", "3")]
    headers.compact()
    assert headers["b"] == "2"
    headers.add("B", "4")
    assert headers["b"] == "2, 4"
    assert headers == Headers([("A", "1"), ("B", "2"), ("a", "3"), ("B", "4")])


def test_headers_are_not_hashable() -> None:
    with pytest.raises(TypeError):
        hash(Headers())


def test_from_wire_takes_bytes_as_they_came() -> None:
    headers = Headers.from_wire(b"X: \xe9\x80\r\nx:2 \r\n")
    assert headers.items() == [("X", "é\x80"), ("x", "2")]


@pytest.mark.parametrize("value", ["", "a", "a b\tc", "\xe9\x80\xff", "~"])
def test_value_may_hold(value: str) -> None:
    assert Headers([("X", value)])["X"] == value


@pytest.mark.parametrize(
    "value",
    ["a\r\nb", "\n", "a\0", "\x1b[2J", "\x7f", " a", "a ", "\ta", "a\t", "\u010a", "\ud800", "€"],
)
def test_value_must_not_hold(value: str) -> None:
    with pytest.raises(UsageError):
        Headers([("X", value)])


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", "\xe9", "\u0130", "(", "\0", "\ud800"])
def test_name_is_a_token(name: str) -> None:
    with pytest.raises(UsageError):
        Headers([(name, "x")])


# Tokens


@pytest.mark.parametrize("text", ["a", "chat.v1", "!#$%&'*+-.^_`|~09AZaz"])
def test_is_token(text: str) -> None:
    assert is_token(text)


@pytest.mark.parametrize(
    "text", ["", "a b", "a,b", "a/b", 'a"', "(", "\x00", "\x7f", "é", "\u0131", "a\n", "\ud800"]
)
def test_is_no_token(text: str) -> None:
    assert not is_token(text)


@pytest.mark.parametrize(
    "value",
    ["example.com", "example.com:80", "EXAMPLE:", "127.0.0.1:1", "[::1]", "[::1]:8080", "a%20b"],
)
def test_is_host(value: str) -> None:
    assert is_host(value.encode())


@pytest.mark.parametrize(
    "value", ["", ":80", "a b", "a/b", "a@b", "a:b", "a:80:80", "[::1", "a%2", "a,b\n", "é", "a#"]
)
def test_is_no_host(value: str) -> None:
    assert not is_host(value.encode())


# Lists of tokens


@pytest.mark.parametrize(
    ("lines", "tokens"),
    [
        ([], []),
        ([b"a"], ["a"]),
        ([b"a,b ,\tc , d"], ["a", "b", "c", "d"]),
        ([b" a "], ["a"]),
        ([b"keep-alive, Upgrade", b"x"], ["keep-alive", "Upgrade", "x"]),
    ],
)
def test_parse_tokens(lines: list[bytes], tokens: list[str]) -> None:
    assert parse_tokens(lines) == tokens
    assert parse_tokens(lines, allow_empty=True) == tokens


@pytest.mark.parametrize("line", [b"", b" ", b",", b"a,", b",a", b"a,,b", b"a, ,b"])
def test_empty_elements_are_passed_over_in_lists_of_http_only(line: bytes) -> None:
    with pytest.raises(ValueError, match="offset"):
        parse_tokens([line])
    names = [chr(octet) for octet in line if octet not in b" ,"]
    assert parse_tokens([line], allow_empty=True) == names
    assert parse_tokens([b"first", line, b"last"], allow_empty=True) == ["first", *names, "last"]


@pytest.mark.parametrize(
    "line", [b"a b", b"a;b", b'"a"', b"a,\xe9", b"a/b", b"a\x0bb", b"(", b"\0"]
)
def test_parse_tokens_refuses(line: bytes) -> None:
    for allow_empty in (False, True):
        with pytest.raises(ValueError, match="offset"):
            parse_tokens([line], allow_empty=allow_empty)


@pytest.mark.parametrize(
    ("lines", "protocols"),
    [
        ([b"websocket"], ["websocket"]),
        ([b"h2c, websocket/13", b", HTTP/2.0"], ["h2c", "websocket/13", "HTTP/2.0"]),
    ],
)
def test_parse_upgrade(lines: list[bytes], protocols: list[str]) -> None:
    assert parse_upgrade(lines) == protocols


@pytest.mark.parametrize("line", [b"a/", b"/a", b"a/b/c", b"a b"])
def test_parse_upgrade_refuses(line: bytes) -> None:
    with pytest.raises(ValueError, match="offset"):
        parse_upgrade([line])


# Extensions


@pytest.mark.parametrize(
    ("line", "extensions"),
    [
        (b"foo", [("foo", [])]),
        (b"foo;bar", [("foo", [("bar", None)])]),
        (b"foo;bar=baz", [("foo", [("bar", "baz")])]),
        (b'foo;bar="baz"', [("foo", [("bar", "baz")])]),
        (rb'foo;bar="b\a\z"', [("foo", [("bar", "baz")])]),
        (b"foo ; bar = baz ; qux", [("foo", [("bar", "baz"), ("qux", None)])]),
        (
            b'foo, bar; baz=2, foo; q="x"',
            [("foo", []), ("bar", [("baz", "2")]), ("foo", [("q", "x")])],
        ),
    ],
)
def test_parse_extensions(line: bytes, extensions: Extensions) -> None:
    assert parse_extensions([line]) == extensions
    assert parse_extensions([b"first", line, b"last"]) == [
        ("first", []),
        *extensions,
        ("last", []),
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b",",
        b"foo,",
        b"foo;",
        b"foo;;bar",
        b"foo;=a",
        b"foo;bar=",
        b"foo;bar=,",
        b'foo;bar="',
        b'foo;bar="a',
        rb'foo;bar="a\"',
        b'foo;bar=""',
        b'foo;bar="a b"',
        rb'foo;bar="a\ b"',
        b'foo;bar="a"b',
        b'foo;bar="\x00"',
        b"foo bar",
        b"f\xf6\xf6",
        b"foo;bar=b\xe4z",
        b'foo;bar="\xe4"',
        b'"foo"',
    ],
)
def test_parse_extensions_refuses(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"offset|not a token"):
        parse_extensions([line])


def test_build_extensions_writes_what_parse_extensions_reads() -> None:
    extensions: Extensions = [("a", []), ("b", [("c", None), ("d", "1")])]
    written = build_extensions(extensions)
    assert written == "a, b; c; d=1"
    assert parse_extensions([written.encode()]) == extensions


# Credentials


def test_basic_credentials_are_utf_8() -> None:
    assert basic_credentials("test", "123£") == "Basic dGVzdDoxMjPCow=="


@pytest.mark.parametrize(
    ("user", "password"), [("a:b", ""), ("a\n", ""), ("a", "\x00"), ("", "\x7f"), ("\ud800", "")]
)
def test_what_basic_credentials_cannot_be(user: str, password: str) -> None:
    with pytest.raises(UsageError):
        basic_credentials(user, password)


@pytest.mark.parametrize("lines", [b"X: y\n", b"X : y\r\n", b"X: y\r\n z\r\n", b"\r\n"])
def test_from_wire_takes_nothing_but_lines_of_fields(lines: bytes) -> None:
    with pytest.raises(ValueError, match="malformed header field"):
        Headers.from_wire(lines)


def test_what_was_compacted_is_the_same_as_before() -> None:
    headers = Headers.from_wire(b"Upgrade: websocket\r\nX-Own: value\r\n")
    assert headers["upgrade"] == "websocket"
    headers.compact()
    assert headers["upgrade"] == "websocket"
    headers.compact()
    headers.add("X-Own", "other")
    headers.compact()
    assert list(headers) == [("Upgrade", "websocket"), ("X-Own", "value"), ("X-Own", "other")]
    assert headers.get_all("x-own") == ["value", "other"]
