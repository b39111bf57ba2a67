"""Plain HTTP requests of a client of the chat, to the server that its WebSocket would lead to.

What lives here: the way there, also through an HTTP proxy, and one request on it with its answer;
HTTP itself is h11's. This file imports nothing of the server, and does not know what is asked for.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl as ssl_module
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import h11

import rfc6455

__all__ = ["Answer", "Requests"]

TIMEOUT: Final = 10.0
"""Seconds until a request has an answer."""
READ_SIZE: Final = 64 * 1024
DEFAULT_PORTS: Final = {"http": 80, "https": 443}

Fields = list[tuple[str, str]]


class Answer:
    """An answer whose body is yet to come."""

    def __init__(
        self, http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._http = http
        self._reader = reader
        self._writer = writer
        self.status = 0

    async def begin(self, request: h11.Request, body: bytes) -> None:
        """Sends a request, and waits for the head of its answer."""
        data = b"".join(
            self._http.send(event) or b""
            for event in (request, h11.Data(data=body), h11.EndOfMessage())
        )
        self._writer.write(data)
        event = await self._next()
        while isinstance(event, h11.InformationalResponse):
            event = await self._next()
        if not isinstance(event, h11.Response):
            raise EOFError("there is no answer")
        self.status = event.status_code

    async def read(self) -> bytes:
        """Returns some more of the body.

        Raises:
            EOFError: it is over.
        """
        event = await self._next()
        if not isinstance(event, h11.Data):
            raise EOFError("the answer has ended")
        return bytes(event.data)

    def close(self) -> None:
        """Ends the connection."""
        self._writer.close()

    async def _next(self) -> Any:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(READ_SIZE))
        except h11.RemoteProtocolError as error:
            raise EOFError(str(error)) from error
        return event


class Requests:
    """Requests to one path of a server.

    Args:
        uri: a ws or wss URI, whose server is asked.
        path: what is asked for.
        additional_headers: further fields.
        ssl: a context for TLS; by default one that verifies the server's certificate and name.
        proxy: the URL of an HTTP proxy; True looks into the environment; None uses none.
    """

    def __init__(
        self,
        uri: str,
        path: str,
        *,
        additional_headers: Any = (),
        ssl: ssl_module.SSLContext | None = None,
        proxy: str | bool | None = True,
        **_: Any,
    ) -> None:
        url = urlsplit(uri)
        self._scheme = {"ws": "http", "wss": "https"}[url.scheme]
        self._host = url.hostname or ""
        self._port = url.port or DEFAULT_PORTS[self._scheme]
        self._authority = url.netloc.rpartition("@")[2]
        self._path = path
        self._fields: Fields = [("Host", self._authority), ("Connection", "close")]
        self._fields += rfc6455.Headers(additional_headers).items()
        self._ssl = ssl
        if proxy is True:
            found = "" if proxy_bypass(self._host) else getproxies().get(self._scheme, "")
        else:
            found = proxy or ""
        self._proxy = urlsplit(found) if found else None

    async def stream(self) -> Answer:
        """Asks for events, and returns their beginning.

        Raises:
            HandshakeError: the answer has none.
            OSError: the server could not be reached.
            EOFError: it said nothing.
        """
        answer = await self._ask("GET", [("Accept", "text/event-stream")])
        if answer.status != 200:
            answer.close()
            raise rfc6455.HandshakeError(f"HTTP status {answer.status}", answer.status)
        return answer

    async def post(self, body: dict[str, Any]) -> int:
        """Sends JSON, and returns the status of the answer; raises as `stream` does."""
        data = json.dumps(body).encode()
        fields = [("Content-Type", "application/json"), ("Content-Length", str(len(data)))]
        answer = await self._ask("POST", fields, data)
        answer.close()
        return answer.status

    async def _ask(self, method: str, fields: Fields, body: bytes = b"") -> Answer:
        async with asyncio.timeout(TIMEOUT):
            reader, writer, target, more = await self._go()
            answer = Answer(h11.Connection(h11.CLIENT), reader, writer)
            try:
                headers = [*self._fields, *more, *fields]
                await answer.begin(h11.Request(method=method, target=target, headers=headers), body)
            except BaseException:
                answer.close()
                raise
            return answer

    async def _go(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, str, Fields]:
        """Returns a connection, what to ask for on it, and the fields that only a proxy needs."""
        context = None
        if self._scheme == "https":
            context = self._ssl or ssl_module.create_default_context()
        if self._proxy is None:
            streams = await asyncio.open_connection(self._host, self._port, ssl=context)
            return *streams, self._path, []
        if self._proxy.scheme != "http":
            raise OSError("where WebSocket is blocked, only HTTP proxies lead on")
        reader, writer = await asyncio.open_connection(
            self._proxy.hostname or "", self._proxy.port or 80
        )
        fields = _credentials(self._proxy)
        if context is None:
            return reader, writer, f"http://{self._authority}{self._path}", fields
        try:
            await self._open_tunnel(reader, writer, fields)
            await writer.start_tls(context, server_hostname=self._host)
        except BaseException:
            writer.close()
            raise
        return reader, writer, self._path, []

    async def _open_tunnel(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fields: Fields
    ) -> None:
        host = f"[{self._host}]" if ":" in self._host else self._host
        target = f"{host}:{self._port}"
        request = h11.Request(method="CONNECT", target=target, headers=[("Host", target), *fields])
        answer = Answer(h11.Connection(h11.CLIENT), reader, writer)
        await answer.begin(request, b"")
        if not 200 <= answer.status < 300:
            raise rfc6455.ProxyError(f"HTTP status {answer.status}", answer.status)


def _credentials(proxy: SplitResult) -> Fields:
    if proxy.username is None:
        return []
    who = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return [("Proxy-Authorization", f"Basic {base64.b64encode(who.encode()).decode()}")]
