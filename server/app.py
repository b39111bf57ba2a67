"""The chat server as a whole: what is wired to what.

What lives here: the way of a connection through the server, its start and its end. This file does
not know what the commands do.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from typing import Any, Final, Self

import rfc6455
from rfc6455 import CloseCode, Limits, PermessageDeflate, Request, Response, WebSocket

from . import protocol
from .auth import SUBPROTOCOL, open_authority
from .chat import Chat
from .config import Config
from .engines.embedded import EmbeddedEngine
from .gate import UNAUTHENTICATED, Gate
from .http import Pages
from .limits import Limiter, Rate, source_of
from .protocol import CommandError
from .session import Session
from .tokens import TokenError

__all__ = ["App"]

PATH: Final = "/ws"
"""Where the WebSocket is."""
MAX_OUTBOX_EVENTS: Final = 256
MAX_OUTBOX_SIZE: Final = 1024 * 1024
CONTROL_RATE: Final = 10.0
CONTROL_BURST: Final = 50
SWEEP_INTERVAL: Final = 5.0
"""Seconds between two looks for those whose token has ended."""

logger = logging.getLogger("rfc6455.chat")


class App:
    """The chat server; it runs while an ``async with`` block does.

    Args:
        config: the settings.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._gate = Gate(
            open_authority(config), _limiter(config), max_message_size=config.max_message_size
        )
        engine = EmbeddedEngine(config.history)
        self._chat = Chat(engine, self._gate, max_rooms=config.max_rooms)
        self._pages = Pages({"/healthz": self._health, "/api/stats": self._stats})
        self._sessions: set[Session] = set()
        self._server = self._make_server()
        self._started = time.monotonic()
        self._welcome = protocol.encode(
            protocol.Welcome(
                server="rfc6455",
                version=rfc6455.__version__,
                limits=protocol.Limits(
                    max_message=config.max_message_size,
                    max_text=protocol.MAX_TEXT,
                    max_name=protocol.MAX_NAME,
                    max_room=protocol.MAX_NAME,
                ),
            )
        )

    async def __aenter__(self) -> Self:
        """Starts to listen.

        Raises:
            OSError: the address cannot be listened on.
        """
        await self._server.start()
        self._sweeping = asyncio.create_task(self._sweep())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()
        await self._server.wait_closed()
        self._sweeping.cancel()
        self._gate.authority.close()

    @property
    def port(self) -> int:
        """The TCP port that the server listens on."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def serve_forever(self) -> None:
        """Waits for `stop`."""
        await self._server.serve_forever()

    def stop(self) -> None:
        """Begins to close every connection with 1001. The end of the block waits for them."""
        self._chat.close()
        self._server.close()

    def _make_server(self) -> rfc6455.Server:
        return rfc6455.serve(
            self._handle,
            _hosts(self._config.host, self._config.port),
            self._config.port,
            process_request=self._process_request,
            # Contexts that outlive a message would cost each client tens of KiB.
            extensions=[PermessageDeflate(context_takeover=False, peer_context_takeover=False)],
            subprotocols=[SUBPROTOCOL],
            limits=Limits(
                max_message_size=self._gate.first_message_size,
                control_rate=CONTROL_RATE,
                control_burst=CONTROL_BURST,
            ),
            max_connections=self._config.max_connections,
        )

    async def _process_request(self, request: Request) -> Response | None:
        if not (request.wants_websocket and request.path == PATH):
            return self._pages.respond(request)
        if not self._is_allowed(request):
            return self._pages.refuse(403, "this Origin may not connect")
        try:
            self._gate.authority.from_request(request)
        except TokenError as error:
            challenge = ("WWW-Authenticate", 'Bearer error="invalid_token"')
            return self._pages.refuse(401, f"token not accepted: {error.reason}", [challenge])
        return None

    def _is_allowed(self, request: Request) -> bool:
        """Keeps pages of others from using a visitor's browser to connect (RFC 6455 §10.2)."""
        origins = request.headers.get_all("Origin")
        if not origins:
            return True
        if len(origins) > 1:
            return False
        host = request.headers.get("Host", "")
        own = {f"http://{host}", f"https://{host}"}
        return origins[0] in own or origins[0] in self._config.allowed_origins

    async def _handle(self, websocket: WebSocket) -> None:
        try:
            visitor = self._gate.receive(websocket, source_of(websocket.remote_address[0]))
        except TokenError:
            await websocket.close(UNAUTHENTICATED, "the token has ended")
            return
        session = Session(
            websocket, max_events=MAX_OUTBOX_EVENTS, max_size=MAX_OUTBOX_SIZE, visitor=visitor
        )
        self._sessions.add(session)
        try:
            async with session.while_keeping_up():
                await self._converse(session)
        finally:
            self._sessions.discard(session)
            self._chat.leave(session)
            self._gate.leave(visitor)
        if session.is_too_slow:
            logger.info("%s reads too slowly", ascii(session.name))
            await websocket.close(CloseCode.POLICY_VIOLATION, "too slow")

    async def _converse(self, session: Session) -> None:
        websocket = session.websocket
        await websocket.send(self._welcome)
        try:
            message = await self._gate.first_message(session.visitor)
        except CommandError as error:
            await websocket.send(protocol.encode(protocol.refusal(error)))
            await websocket.close(UNAUTHENTICATED, error.message)
            return
        if message is not None:
            await self._chat.receive(session, message)
        async for message in websocket:
            await self._chat.receive(session, message)
            await session.relieved()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            self._gate.sweep()

    def _health(self) -> dict[str, Any]:
        return {"status": "ok"}

    def _stats(self) -> dict[str, Any]:
        return {
            "connections": len(self._sessions),
            "users": self._chat.user_count,
            "rooms": [{"room": r.room, "members": r.members} for r in self._chat.room_list()],
            "uptime": round(time.monotonic() - self._started, 3),
        }


def _limiter(config: Config) -> Limiter:
    return Limiter(
        connection=Rate(config.connection_rate, config.connection_burst),
        user=Rate(config.user_rate, config.user_burst),
        address=Rate(config.address_rate, config.address_burst),
    )


def _hosts(host: str, port: int) -> str | list[str]:
    # A browser may take "localhost" for either address. Port 0 would give each another port.
    if host != "localhost" or port == 0:
        return "127.0.0.1" if host == "localhost" else host
    return ["127.0.0.1", "::1"] if _has_ipv6_loopback() else "127.0.0.1"


def _has_ipv6_loopback() -> bool:
    if not socket.has_ipv6:
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
