"""Redirects of the opening handshake (RFC 6455 §4.1, response step 1; RFC 9110 §15.4).

What lives here: where a redirect leads, whether it may be followed, and what may go with the
request to a place that the application did not name. This file does no I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urldefrag, urljoin

from .errors import HandshakeError, UsageError
from .headers import Headers
from .http import Response
from .uri import WebSocketURI, parse_uri

__all__ = ["MAX_REDIRECTS", "Destination", "refusal"]

MAX_REDIRECTS: Final = 5
REDIRECTS: Final = frozenset(
    {
        HTTPStatus.MOVED_PERMANENTLY,
        HTTPStatus.FOUND,
        HTTPStatus.SEE_OTHER,
        HTTPStatus.TEMPORARY_REDIRECT,
        HTTPStatus.PERMANENT_REDIRECT,
    }
)
"""Statuses that are followed; the handshake is a GET, for which they all mean the same."""
CREDENTIALS: Final = frozenset({"authorization", "cookie", "proxy-authorization"})
SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?=:)")
SCHEMES: Final = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
PRINTABLE: Final = bytes(range(0x21, 0x7F)).decode()


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a handshake goes, and what the application wants to go with it.

    Attributes:
        uri: where to.
        headers: the application's own fields of the request.
        max_redirects: how many may be followed; 0 follows none.
        redirects: how many have been followed.
        moved: whether a redirect has led away from the origin that the application named.
    """

    uri: WebSocketURI
    headers: Headers
    max_redirects: int = MAX_REDIRECTS
    redirects: int = 0
    moved: bool = False

    def follow(self, response: Response) -> Destination | None:
        """Returns where an answer leads; None where it is no redirect.

        A redirect to another origin (scheme, host or port) loses the credentials: Authorization,
        Cookie and Proxy-Authorization, and those of the URI. Those of a Location are never used.

        Raises:
            HandshakeError: it must not be followed: it is one too many, has no Location that leads
                to a WebSocket, or leads from wss to ws.
        """
        if response.status not in REDIRECTS or self.max_redirects == 0:
            return None
        try:
            if self.redirects == self.max_redirects:
                raise UsageError(f"more than {self.max_redirects} redirects")
            uri = _resolve(self.uri, response.headers.raw("Location"))
            if self.uri.secure and not uri.secure:
                raise UsageError("redirect from wss to ws")
        except UsageError as error:
            raise refusal(response, str(error)) from error
        redirects = self.redirects + 1
        if uri.origin == self.uri.origin:
            uri = replace(uri, user=self.uri.user, password=self.uri.password)
            return replace(self, uri=uri, redirects=redirects)
        headers = Headers((n, v) for n, v in self.headers if n.lower() not in CREDENTIALS)
        return replace(self, uri=uri, headers=headers, redirects=redirects, moved=True)


def refusal(response: Response, why: str = "") -> HandshakeError:
    """Makes an error of an answer that does not open a WebSocket."""
    message = f"server answered with HTTP status {response.status}"
    return HandshakeError(
        f"{message}: {why}" if why else message,
        response.status,
        response.headers.items(),
        response.body,
    )


def _resolve(base: WebSocketURI, locations: list[bytes]) -> WebSocketURI:
    if len(locations) != 1:
        raise UsageError("repeated Location" if locations else "no Location")
    # Octets that may not stand in a URI are taken for what they are.
    location = quote(locations[0], safe=PRINTABLE)
    scheme = SCHEME.match(location)
    if scheme:
        name = scheme.group().lower()
        if name not in SCHEMES:
            raise UsageError(f"redirect to another scheme: {name}")
        location = SCHEMES[name] + location[scheme.end() :]
        if not location.startswith("://", len(SCHEMES[name])):
            raise UsageError("Location has a scheme and no host")
    try:
        uri, _ = urldefrag(urljoin(base.origin + base.resource_name, location))
    except ValueError as error:
        raise UsageError(f"Location is not a URI: {error}") from error
    target = parse_uri(uri)
    if "%" in target.host:
        raise UsageError(f"Location has no valid host: {target.host!r}")
    return replace(target, user=None, password=None)
