"""The opening handshake, run in memory between our two halves or against a scripted peer.

What lives here: how tests agree on extensions. It goes through the real handshakes and real bytes;
what an extension is, it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rfc6455.connection import Connection, Role
from rfc6455.extensions import Extension, ExtensionFactory
from rfc6455.handshake import ClientHandshake, ServerHandshake, accept_key
from rfc6455.limits import Limits
from rfc6455.uri import parse_uri

__all__ = ["Pair", "judge_answer", "open_pair", "server_answer"]

EXTENSIONS = re.compile(rb"\r\nSec-WebSocket-Extensions: ([^\r]*)")


@dataclass
class Pair:
    """A client and a server that agreed, the offer and the answer (None: no extension)."""

    client: Connection
    server: Connection
    offer: str | None
    answer: str | None

    def exchange(self) -> None:
        """Carries what both have to say to the other side, and throws it away as events."""
        self.server.receive_data(self.client.data_to_send())
        self.client.receive_data(self.server.data_to_send())


def _extensions(head: bytes) -> str | None:
    fields = EXTENSIONS.findall(head)
    assert len(fields) <= 1
    return fields[0].decode() if fields else None


def server_answer(
    *offers: str, extensions: Sequence[ExtensionFactory]
) -> tuple[str | None, list[Extension]]:
    """What our server answers to header lines with ``offers``, and what it uses from then on."""
    handshake = ServerHandshake(Limits())
    head = [
        "GET / HTTP/1.1",
        "Host: example.com",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *(f"Sec-WebSocket-Extensions: {offer}" for offer in offers),
    ]
    assert handshake.receive_data("\r\n".join([*head, "", ""]).encode()) is not None
    data, in_use = handshake.accept(extensions=extensions)
    return _extensions(data), in_use


def judge_answer(answer: str, *, extensions: Sequence[ExtensionFactory]) -> list[Extension]:
    """Gives a server's answer to our client. Returns what it uses, or raises as it does."""
    handshake = ClientHandshake(parse_uri("ws://example.com/"), extensions=extensions)
    key = re.search(rb"Sec-WebSocket-Key: ([^\r]*)", handshake.request_data())
    assert key is not None
    head = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(key[1])}",
        f"Sec-WebSocket-Extensions: {answer}",
    ]
    assert handshake.receive_data("\r\n".join([*head, "", ""]).encode("latin-1")) is not None
    return handshake.extensions


def open_pair(
    client: Sequence[ExtensionFactory],
    server: Sequence[ExtensionFactory],
    *,
    limits: Limits | None = None,
) -> Pair:
    """Runs the opening handshake between our two halves."""
    limits = Limits() if limits is None else limits
    asking = ClientHandshake(parse_uri("ws://example.com/"), extensions=client, limits=limits)
    answering = ServerHandshake(limits)
    request = asking.request_data()
    assert answering.receive_data(request) is not None
    response, in_use = answering.accept(extensions=server)
    assert asking.receive_data(response) is not None
    return Pair(
        Connection(Role.CLIENT, limits=limits, extensions=asking.extensions),
        Connection(Role.SERVER, limits=limits, extensions=in_use),
        _extensions(request),
        _extensions(response),
    )
