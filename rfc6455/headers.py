"""Header fields, and the grammars of those that open a WebSocket (RFC 6455 §4.3 and §9.1).

What lives here: a multi-dict of fields, and parsers that read bytes in linear time. Python's text
methods accept far more than HTTP does (other white space, other digits): none is used on wire text.
This file does not know what a value means.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias, TypeVar

from .errors import UsageError

__all__ = [
    "Headers",
    "HeadersLike",
    "basic_credentials",
    "build_extensions",
    "is_host",
    "is_token",
    "parse_extensions",
    "parse_tokens",
    "parse_upgrade",
]

HeadersLike: TypeAlias = "Headers | Mapping[str, str] | Iterable[tuple[str, str]]"
ExtensionList: TypeAlias = list[tuple[str, list[tuple[str, str | None]]]]
T = TypeVar("T")

# RFC 9110 §5.6.2 and §5.5. Bytes from 0x80 up are opaque; they are kept as Latin-1.
TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
FIELD_VALUE: Final = re.compile(
    rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?"
)
FIELD: Final = re.compile(
    rb"^([!#$%&'*+\-.^_`|~0-9A-Za-z]++):[ \t]*+"
    rb"((?:[\x21-\x7e\x80-\xff]++(?:[ \t]++(?=[\x21-\x7e\x80-\xff]))?+)*+)[ \t]*+\r$",
    re.MULTILINE,
)
"""A line (RFC 9112 §5): the name of a field, and its value without the white space around it."""
TOKEN_LIST: Final = re.compile(
    rb"[ \t]*+(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++[ \t]*+(?:,[ \t]*+(?=[^ \t,])|\Z))++"
)
"""Tokens and commas, without empty elements."""
EXTENSION_LIST: Final = re.compile(
    rb"[ \t]*+(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++[ \t]*+"
    rb"(?:;[ \t]*+[!#$%&'*+\-.^_`|~0-9A-Za-z]++(?:=[!#$%&'*+\-.^_`|~0-9A-Za-z]++)?+[ \t]*+)*+"
    rb"(?:,[ \t]*+(?=[^ \t,])|\Z))++"
)
"""Extensions whose parameters have no quotes, nor white space around the equals sign."""
OWS: Final = re.compile(rb"[ \t]*")
QUOTED: Final = re.compile(
    rb'"((?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*+)"'
)
QUOTED_PAIR: Final = re.compile(rb"\\(.)", re.DOTALL)
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
HOST: Final = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)(?::[0-9]*)?"
)


class Headers:
    """Header fields in order; names are case-insensitive and may repeat.

    Args:
        fields: pairs of name and value, or a mapping.

    Raises:
        UsageError: a name is not a token, or a value holds control characters or text beyond
            Latin-1. Nothing of that kind ever reaches the wire.
    """

    __slots__ = ("_fields", "_lines", "_values")

    def __init__(self, fields: HeadersLike = ()) -> None:
        # As they came, or empty: a server keeps the request of each connection, and few ask for it.
        self._lines = b""
        self._fields: list[tuple[bytes, bytes]] | None = []
        # By names in lower case; made when somebody asks.
        self._values: dict[bytes, list[bytes]] | None = None
        for name, value in fields.items() if isinstance(fields, Mapping) else fields:
            self.add(name, value)

    @classmethod
    def from_wire(cls, lines: bytes) -> Headers:
        """Reads the lines of fields, each with its CRLF.

        Raises:
            ValueError: a line is no field.
        """
        headers = cls.__new__(cls)
        headers._lines = lines
        headers._fields = FIELD.findall(lines)
        headers._values = None
        if len(headers._fields) != lines.count(b"\n"):
            raise ValueError("malformed header field")
        return headers

    @classmethod
    def of(cls, lines: bytes, values: dict[bytes, list[bytes]]) -> Headers:
        """Takes lines that were read already, and their values by names in lower case."""
        headers = cls.__new__(cls)
        headers._lines = lines
        headers._fields = None
        headers._values = values
        return headers

    def add(self, name: str, value: str) -> None:
        """Appends a field."""
        try:
            field = name.encode("ascii"), value.encode("latin-1")
        except UnicodeEncodeError as error:
            raise UsageError(f"header field cannot be encoded: {error}") from error
        if not TOKEN.fullmatch(field[0]):
            raise UsageError(f"not a header name: {name!r}")
        if not FIELD_VALUE.fullmatch(field[1]):
            raise UsageError(f"not a value for header {name}: {value!r}")
        self._all().append(field)
        self._lines = b""
        self._values = None

    def raw(self, name: str) -> list[bytes]:
        """Returns the values of a field as they came, line by line."""
        return self.lines(name.lower().encode("ascii"))

    def lines(self, name: bytes) -> list[bytes]:
        """Does what `raw` does, for a name in lower case."""
        return self.by_name().get(name, [])

    def by_name(self) -> dict[bytes, list[bytes]]:
        """Returns the values of all fields as they came, by names in lower case."""
        values = self._values
        if values is None:
            values = self._values = {}
            for field, value in self._all():
                field = field.lower()
                if field in values:
                    values[field].append(value)
                else:
                    values[field] = [value]
        return values

    def compact(self) -> None:
        """Frees the memory that lookups have taken to be fast; the next one takes it again."""
        self._values = None
        if self._lines:
            self._fields = None

    def _all(self) -> list[tuple[bytes, bytes]]:
        if self._fields is None:
            self._fields = FIELD.findall(self._lines)
        return self._fields

    def get_all(self, name: str) -> list[str]:
        """Returns the values of a field, line by line."""
        return [value.decode("latin-1") for value in self.raw(name)]

    def get(self, name: str, default: str | None = None) -> str | None:
        """Returns the value of a field, or ``default``; several lines are joined by commas."""
        values = self.get_all(name)
        return ", ".join(values) if values else default

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.raw(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.items())

    def __len__(self) -> int:
        return len(self._all())

    def __eq__(self, other: object) -> bool:
        return self._all() == other._all() if isinstance(other, Headers) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({self.items()!r})"

    def to_wire(self) -> bytes:
        """Returns the lines of all fields, in order."""
        return b"".join([b"%b: %b\r\n" % field for field in self._all()])

    def items(self) -> list[tuple[str, str]]:
        """Returns all fields in order."""
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._all()]


def is_token(text: str) -> bool:
    """Tells whether the text is an HTTP token (RFC 9110 §5.6.2)."""
    return text.isascii() and TOKEN.fullmatch(text.encode()) is not None


def is_host(value: bytes) -> bool:
    """Tells whether the value is a non-empty ``uri-host [ ":" port ]`` (RFC 9110 §7.2)."""
    return HOST.fullmatch(value) is not None


def parse_tokens(values: Iterable[bytes], *, allow_empty: bool = False) -> list[str]:
    """Reads comma-separated tokens over any number of lines.

    Args:
        values: the lines.
        allow_empty: whether empty elements are passed over, as RFC 9110 §5.6.1 asks for HTTP's own
            lists. The grammar of §4.3 has none.

    Raises:
        ValueError: the value does not match the grammar.
    """
    found: list[str] = []
    for value in values:
        # What nearly everybody sends needs no scanner.
        if TOKEN_LIST.fullmatch(value):
            found += [token.decode() for token in TOKEN.findall(value)]
        else:
            found += [
                token.decode() for token in _Scanner(value).elements(_Scanner.token, allow_empty)
            ]
    return found


def parse_upgrade(values: Sequence[bytes]) -> list[str]:
    """Reads the protocols of an Upgrade field, such as ``h2c`` or ``HTTP/2.0``.

    Raises:
        ValueError: the value does not match the grammar.
    """
    # What nearly everybody sends needs no scanner.
    if len(values) == 1 and TOKEN.fullmatch(values[0]):
        return [values[0].decode()]
    return [
        element.decode()
        for value in values
        for element in _Scanner(value).elements(_Scanner.protocol, allow_empty=True)
    ]


def parse_extensions(values: Iterable[bytes]) -> ExtensionList:
    """Reads Sec-WebSocket-Extensions (§9.1) over any number of lines.

    Returns:
        For each extension its name and its parameters, in order, with None for "no value".

    Raises:
        ValueError: the value does not match the grammar.
    """
    found: ExtensionList = []
    for value in values:
        # What nearly everybody sends needs no scanner.
        if EXTENSION_LIST.fullmatch(value):
            found += [_plain_extension(element.split(";")) for element in value.decode().split(",")]
        else:
            found += _Scanner(value).elements(_Scanner.extension, allow_empty=False)
    return found


def _plain_extension(parts: list[str]) -> tuple[str, list[tuple[str, str | None]]]:
    name, *parameters = [part.strip(" \t") for part in parts]
    return name, [
        (key, value if equals else None)
        for key, equals, value in [parameter.partition("=") for parameter in parameters]
    ]


def build_extensions(extensions: Iterable[tuple[str, Iterable[tuple[str, str | None]]]]) -> str:
    """Writes a value of Sec-WebSocket-Extensions; the inverse of `parse_extensions`."""
    return ", ".join(
        "; ".join(
            [name, *(key if value is None else f"{key}={value}" for key, value in parameters)]
        )
        for name, parameters in extensions
    )


def basic_credentials(user: str, password: str) -> str:
    """Writes a value of Authorization or Proxy-Authorization (RFC 7617).

    Raises:
        UsageError: §2: "a user-id containing a colon character is invalid"; so are control
            characters in either.
    """
    if ":" in user:
        raise UsageError("a user name in Basic credentials has no colon")
    if CONTROL.search(user + password):
        raise UsageError("Basic credentials have no control characters")
    try:
        pair = f"{user}:{password}".encode()
    except UnicodeEncodeError:
        raise UsageError("Basic credentials cannot be encoded") from None
    return f"Basic {base64.b64encode(pair).decode()}"


class _Scanner:
    """Reads one value from left to right; each octet is looked at a bounded number of times."""

    def __init__(self, value: bytes) -> None:
        self._value = value
        self._position = 0

    def elements(self, read: Callable[[_Scanner], T], allow_empty: bool) -> list[T]:
        found: list[T] = []
        while True:
            self._skip_space()
            if not (allow_empty and (self._ended or self._next_is(b","))):
                found.append(read(self))
                self._skip_space()
            if self._ended:
                return found
            self._expect(b",")

    def token(self) -> bytes:
        return self._match(TOKEN).group()

    def protocol(self) -> bytes:
        name = self.token()
        return name + b"/" + self.token() if self._take(b"/") else name

    def extension(self) -> tuple[str, list[tuple[str, str | None]]]:
        name = self.token().decode()
        parameters: list[tuple[str, str | None]] = []
        while self._take(b";"):
            self._skip_space()
            key = self.token().decode()
            parameters.append((key, self._parameter_value() if self._take(b"=") else None))
        return name, parameters

    def _parameter_value(self) -> str:
        self._skip_space()
        if not self._next_is(b'"'):
            return self.token().decode()
        # §9.1: "When using the quoted-string syntax variant, the value after quoted-string
        # unescaping MUST conform to the 'token' ABNF."
        value = QUOTED_PAIR.sub(rb"\1", self._match(QUOTED).group(1))
        if not TOKEN.fullmatch(value):
            raise ValueError("quoted parameter value is not a token")
        return value.decode()

    @property
    def _ended(self) -> bool:
        return self._position == len(self._value)

    def _next_is(self, octet: bytes) -> bool:
        return self._value.startswith(octet, self._position)

    def _take(self, octet: bytes) -> bool:
        start = self._position
        self._skip_space()
        if self._next_is(octet):
            self._position += 1
            return True
        self._position = start
        return False

    def _expect(self, octet: bytes) -> None:
        if not self._take(octet):
            raise ValueError(f"expected {octet.decode()!r} at offset {self._position}")

    def _skip_space(self) -> None:
        self._match(OWS)

    def _match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes]:
        match = pattern.match(self._value, self._position)
        if match is None:
            raise ValueError(f"malformed at offset {self._position}")
        self._position = match.end()
        return match
