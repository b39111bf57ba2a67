r"""`rfc6455.headers`: field values, and the grammars of the lists in them.

The input is taken for the lines of one field, with LF between them. For every input:

- The parsers return, or raise `ValueError`; nothing else.
- What they return consists of tokens, and fits the lines it came from.
- Over several lines they return what they do over the same lines joined by commas (RFC 9110 §5.3).
- ``parse_extensions(build_extensions(x)) == x``.
- `Headers` takes a pair of texts, or raises `UsageError`; what it has taken holds no line's end,
  and comes out as it was.
"""

from __future__ import annotations

from rfc6455 import Headers, UsageError
from rfc6455.headers import (
    build_extensions,
    is_host,
    is_token,
    parse_extensions,
    parse_tokens,
    parse_upgrade,
)

from ..oracles import outcome, require

FIELD_OCTETS = {0x09, *range(0x20, 0x7F), *range(0x80, 0x100)}


def seeds() -> dict[str, bytes]:
    """Returns values of Connection, Upgrade, Sec-WebSocket-Protocol and -Extensions, and hosts."""
    values = {
        "rfc-9.1": b"foo, bar; baz=2, deflate-stream",
        "rfc-9.1-lines": b"foo\nbar; baz=2\nbar; baz=3; qux=4, foo",
        "rfc-9.1-quoted": b'foo; bar="baz"; x=y, foo; bar="b\\az"',
        "deflate-all": b"permessage-deflate; server_no_context_takeover; client_max_window_bits"
        b'; server_max_window_bits=10; client_no_context_takeover, permessage-deflate; x="15"',
        "connection": b"keep-alive, Upgrade",
        "connection-empty": b", keep-alive,,\t,Upgrade ,",
        "upgrade": b"h2c, HTTP/2.0 , websocket",
        "subprotocols": b"chat, superchat\nv10.stomp, v11.stomp",
        "separators": b'a(b), c<d>, e@f, g:h, i[j], k?l, {m}, n\\o, p"q"',
        "spaces": b"a" + b" " * 200 + b"b",
        "commas": b"x," * 80,
        "semicolons": b"a" + b";" * 80,
        "unclosed": b'a; b="' + b"\\c" * 80,
        "unclosed-slash": b'a; b="\\',
        "quoted-space": b'a; b="c d", e; f=""',
        "not-ascii": b"caf\xe9, \xe2\x82\xac; \xff=\x80",
        "controls": b"a\x00b, c\x0bd, e\x1cf, g\x85h, i\x7fj",
        "host": b"example.com:8765",
        "host-6": b"[2001:db8::1]:443",
        "host-escape": b"a%20b%zz",
    }
    return values


def check(data: bytes) -> None:
    """Checks the invariants for the lines of one field."""
    lines = data.split(b"\n")
    for allow_empty in (False, True):
        tokens, _ = outcome(_tokens, lines, allow_empty, documented=ValueError)
        joined, _ = outcome(_tokens, [b",".join(lines)], allow_empty, documented=ValueError)
        require(tokens == joined, "lines matter", tokens, joined)
        require(all(map(is_token, tokens or ())), "not tokens", tokens)
    if tokens:
        require(parse_tokens([", ".join(tokens).encode()]) == tokens, "written otherwise", tokens)
    protocols, _ = outcome(parse_upgrade, lines, documented=ValueError)
    for protocol in protocols or ():
        name, slash, version = protocol.partition("/")
        require(is_token(name) and (not slash or is_token(version)), "not a protocol", protocol)
    if tokens is not None and "/" not in "".join(tokens):
        require(protocols == tokens, "tokens are protocols without a version", protocols, tokens)
    _check_extensions(lines)
    _check_headers(data)
    if is_host(data):
        require(data and set(data) <= set(range(0x21, 0x7F)) - set(b'/?#@"\\'), "not a host", data)


def _tokens(lines: list[bytes], allow_empty: bool) -> list[str]:
    return parse_tokens(lines, allow_empty=allow_empty)


def _check_extensions(lines: list[bytes]) -> None:
    extensions, _ = outcome(parse_extensions, lines, documented=ValueError)
    joined, _ = outcome(parse_extensions, [b",".join(lines)], documented=ValueError)
    require(extensions == joined, "lines matter", extensions, joined)
    if extensions is None:
        return
    for name, parameters in extensions:
        require(is_token(name), "not a token", name)
        for key, value in parameters:
            require(is_token(key) and (value is None or is_token(value)), "no token", key, value)
    again = build_extensions(extensions).encode()
    require(parse_extensions([again]) == extensions, "written otherwise", extensions, again)


def _check_headers(data: bytes) -> None:
    name, _, value = data.decode("utf-8", "surrogateescape").partition(":")
    headers, _ = outcome(Headers, [(name, value)], documented=UsageError)
    latin = data.decode("latin-1").partition(":")
    latin_headers, _ = outcome(Headers, [(latin[0], latin[2])], documented=UsageError)
    for taken, key, text in ((headers, name, value), (latin_headers, latin[0], latin[2])):
        if taken is None:
            continue
        require(is_token(key), "not a name", key)
        require(set(taken.raw(key)[0]) <= FIELD_OCTETS, "an octet that no field holds", taken)
        require(taken.items() == [(key, text)], "comes out as something else", taken)
        require(taken[key.swapcase()] == text and key in taken, "cannot be found", taken)
        require(Headers(taken) == taken, "a copy differs", taken)
