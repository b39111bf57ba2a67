"""The chat server as a whole: what is wired to what.

What lives here: the way of a connection through the server, its start and its end. This file does
not know what the commands do.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import random
import time
from dataclasses import replace
from typing import Any, Final, Self

import rfc6455
from rfc6455 import CloseCode, Headers, Limits, PermessageDeflate, Request, Response

from . import protocol
from .api import Admin, Logins
from .assembly import (
    check_whole,
    make_engine,
    make_feeds,
    make_limiter,
    tls_context,
    where_to_listen,
)
from .asyncapi import document
from .auth import SUBPROTOCOL, open_authority
from .chat import Chat
from .config import Config, ConfigError
from .fallback import Fallback
from .feeds import Ticker
from .frames import Tapes
from .gate import UNAUTHENTICATED, Gate
from .http import HttpError, Pages, answer, answer_json
from .journal import connection_id
from .limits import source_of
from .metrics import CONTENT_TYPE, Metrics
from .outboxes import Outboxes
from .protocol import CommandError
from .services import Services
from .session import Session
from .tokens import TokenError
from .wire import Wire

__all__ = ["App"]

PATH: Final = "/ws"
"""Where the WebSocket is."""
SHARED: Final = frozenset({"/login", "/token/refresh", "/logout", "/events"})
"""What pages of other origins need, where these are allowed."""
PREFLIGHT: Final = (
    ("Access-Control-Allow-Methods", "GET, POST"),
    ("Access-Control-Allow-Headers", "Authorization, Content-Type"),
    ("Access-Control-Max-Age", "600"),
)
BACKLOG: Final = 4096
"""Connections that wait to be accepted: after a restart everybody comes at once."""
MAX_OUTBOX_EVENTS: Final = 256
MAX_OUTBOX_SIZE: Final = 1024 * 1024
CONTROL_RATE: Final = 10.0
CONTROL_BURST: Final = 50
TOO_SLOW: Final = 4408
"""Close code: the client did not keep up. Come back and go on where you were."""
GOODBYE: Final = frozenset({1000, 1005})
"""Close codes of clients that end a connection on purpose, and do not say that they come back."""
COMING_BACK: Final = 4000
"""Close code of a client that ends a connection, and will or may come back."""
LOST: Final = frozenset({1001, 1006, COMING_BACK})
"""Codes after which somebody may be back in a moment: 1001 is a browser whose page is reloaded."""
TICK: Final = 0.25
"""Seconds between two looks for what is due."""
SWEEP_INTERVAL: Final = 5.0
"""Seconds between two looks for those whose token has ended."""
ABORT_AFTER: Final = 10.0
"""Seconds after the last one's turn to go, until those who have not gone are dropped."""

logger = logging.getLogger("rfc6455.chat")


class App:
    """The chat server; it runs while an ``async with`` block does.

    Args:
        config: the settings.

    Raises:
        ConfigError: they cannot be put to use.
    """

    def __init__(self, config: Config) -> None:
        check_whole(config)
        self._config = config
        self._sessions: set[Session] = set()
        self._outboxes = Outboxes()
        self._started = time.monotonic()
        self._draining: asyncio.Task[None] | None = None
        self._metrics = Metrics(
            {
                "connections": ("Open connections.", lambda: len(self._sessions)),
                "users": ("Users who have entered.", lambda: self._chat.user_count),
                "rooms": ("Rooms.", lambda: len(self._chat.room_list())),
                "draining": ("Whether the server is about to end.", lambda: self.is_draining),
            }
        )
        self._gate = Gate(
            open_authority(config),
            make_limiter(config),
            max_message_size=config.max_message_size,
            metrics=self._metrics,
        )
        self._engine = make_engine(config)
        feeds = make_feeds(config)
        self._ticker = Ticker(feeds["ticker"], random.Random()) if config.ticker else None
        self._chat = Chat(
            self._engine,
            self._gate,
            max_rooms=config.max_rooms,
            feeds=list(feeds.values()),
        )
        self._tapes = Tapes() if config.frames else None
        self._services = Services(self._chat, feeds, config.api_token)
        self._fallback = Fallback(self._admit, self._handle, self._gate.first_message_size)
        self._pages = self._make_pages()
        self._server = self._make_server()
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
                frames=config.frames,
            )
        )

    async def __aenter__(self) -> Self:
        """Opens the database and starts to listen.

        Raises:
            EngineError: the database cannot be used.
            OSError: the address cannot be listened on.
        """
        await self._engine.start()
        try:
            await self._chat.start()
            await self._server.start()
        except BaseException:
            await self._engine.close()
            raise
        self._tasks = [asyncio.create_task(self._sweep()), asyncio.create_task(self._tick())]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()
        await self._server.wait_closed()
        await self._fallback.wait_closed()
        for task in self._tasks:
            task.cancel()
        if self._draining is not None:
            await self._draining
        await self._engine.close()
        self._gate.authority.close()

    @property
    def port(self) -> int:
        """The TCP port that the server listens on; 0 where it listens on none."""
        name = self._server.sockets[0].getsockname()
        return name[1] if isinstance(name, tuple) else 0

    @property
    def address(self) -> str:
        """Where to point a browser, or what a proxy connects to."""
        name = self._server.sockets[0].getsockname()
        if not isinstance(name, tuple):
            return f"unix:{name}"
        host = name[0] if self._config.systemd else self._config.host
        scheme = "https" if self._config.tls_certificate else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{name[1]}"

    @property
    def is_draining(self) -> bool:
        """Whether the server is about to end."""
        return self._draining is not None

    async def serve_forever(self) -> None:
        """Waits for `stop`, or for the end of `drain`."""
        await self._server.serve_forever()

    def stop(self) -> None:
        """Begins to close every connection with 1001. The end of the block waits for them."""
        self._chat.close()
        self._server.close()

    def drain(self) -> None:
        """Begins to end the server without haste; called again, with haste.

        It is not ready from now on. After ``drain_delay`` nobody gets in any more, and the clients
        are closed one after the other with 1012 and a time to come back.
        """
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain())
        else:
            self.stop()

    def reload(self) -> None:
        """Takes the certificate and the keys for tokens from their files again.

        Where that fails, the old ones stay, and the log tells why.
        """
        config = self._config
        try:
            self._gate.authority.reload(config)
            if config.tls_certificate:
                self._server.reload_certificate(config.tls_certificate, config.tls_key)
        except (ConfigError, OSError) as error:
            logger.error("not everything was read again: %s", error)
        else:
            logger.info("certificate and keys were read again")

    async def _drain(self) -> None:
        config = self._config
        logger.info("draining %d connections", len(self._sessions))
        # Load balancers look at /readyz, and need a moment to send nobody here any more.
        await asyncio.wait(
            [asyncio.ensure_future(self._server.serve_forever())], timeout=config.drain_delay
        )
        self._chat.close()
        hint = f"restarting retry-after={random.uniform(0, config.reconnect_within):.1f}"
        await self._fallback.close(CloseCode.SERVICE_RESTART, hint)
        drained = await self._server.drain(
            config.drain_seconds,
            code=CloseCode.SERVICE_RESTART,
            reason="restarting",
            reconnect_hint=config.reconnect_within,
            abort_after=ABORT_AFTER,
        )
        logger.info("drained: %d closed, %d dropped", drained.closed, drained.aborted)

    # Requests

    def _make_server(self) -> rfc6455.Server:
        config = self._config
        try:
            return rfc6455.serve(
                self._handle,
                process_request=self._process_request,
                # Contexts that outlive a message would cost each client tens of KiB.
                extensions=[PermessageDeflate(context_takeover=False, peer_context_takeover=False)],
                subprotocols=[SUBPROTOCOL],
                limits=Limits(
                    max_message_size=self._gate.first_message_size,
                    control_rate=CONTROL_RATE,
                    control_burst=CONTROL_BURST,
                ),
                backlog=BACKLOG,
                max_connections=config.max_connections,
                max_connections_per_address=config.max_connections_per_address or None,
                trusted_proxies=config.trusted_proxies,
                observer=None if self._tapes is None else self._tapes.observe,
                ssl=tls_context(config),
                **where_to_listen(config),
            )
        except rfc6455.UsageError as error:
            raise ConfigError(f"trusted_proxies: {error}") from error

    def _make_pages(self) -> Pages:
        pages = Pages()
        pages.report("/healthz", lambda: {"status": "ok"})
        pages.report("/api/stats", self._public_stats)
        pages.add("GET", "/readyz", self._ready)
        pages.add("GET", "/asyncapi.json", self._describe)
        pages.add("GET", "/metrics", self._show_metrics)
        Logins(self._gate.authority, self._gate, cookies=self._config.cookies).add_to(pages)
        self._services.add_to(pages)
        self._fallback.add_to(pages)
        Admin(self._gate, self._stats, self.drain).add_to(pages)
        return pages

    async def _process_request(self, request: Request) -> Response | None:
        if not (request.wants_websocket and request.path == PATH):
            response = await self._share(request)
            self._metrics.requests.count(str(response.status))
            return response
        return self._admit(request)

    async def _share(self, request: Request) -> Response:
        """Answers a plain request; pages of the allowed origins may read some answers (CORS)."""
        if request.path not in SHARED or not self._gate.authority.is_own_page(request):
            return await self._pages.respond(request)
        fields = [
            ("Access-Control-Allow-Origin", request.headers.get("Origin") or ""),
            ("Access-Control-Allow-Credentials", "true"),
            ("Vary", "Origin"),
        ]
        if request.method == "OPTIONS":
            return Response(204, Headers([*fields, *PREFLIGHT]))
        response = await self._pages.respond(request)
        return replace(response, headers=Headers([*response.headers.items(), *fields]))

    def _admit(self, request: Request) -> Response | None:
        """Judges who wants to connect; returns the answer to one who may not."""
        if not self._is_allowed(request):
            return self._pages.refuse(403, "this Origin may not connect")
        try:
            self._gate.authority.from_request(request)
        except TokenError as error:
            self._metrics.unauthenticated.count(error.reason)
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

    def _ready(self, request: Request) -> Response:
        if self.is_draining:
            return answer_json({"status": "draining"}, 503)
        if self._engine.fault is not None:
            return answer_json({"status": "unavailable", "reason": self._engine.fault}, 503)
        return answer_json({"status": "ready"})

    def _describe(self, request: Request) -> Response:
        return answer_json(
            document(
                self._chat.answer_types,
                host=request.headers.get("Host") or "localhost",
                path=PATH,
                secure=bool(self._config.tls_certificate),
            )
        )

    def _show_metrics(self, request: Request) -> Response:
        token = self._config.metrics_token
        shown = b"".join(request.headers.raw("Authorization"))
        if token and not hmac.compare_digest(shown, f"Bearer {token}".encode()):
            challenge = [("WWW-Authenticate", "Bearer")]
            raise HttpError(401, "unauthenticated", "metrics take a token", challenge)
        return answer(200, CONTENT_TYPE, self._metrics.text())

    def _stats(self) -> dict[str, Any]:
        return {
            "connections": len(self._sessions),
            "users": self._chat.user_count,
            "rooms": [{"room": r.room, "members": r.members} for r in self._chat.room_list()],
            "uptime": round(time.monotonic() - self._started, 3),
            "draining": self.is_draining,
        }

    def _public_stats(self) -> dict[str, Any]:
        stats = self._stats()
        if self._gate.authority.required:
            # Whoever has to say who they are to see the rooms does not see them here either.
            del stats["rooms"]
        return stats

    # Connections

    async def _handle(self, websocket: Wire) -> None:
        request = websocket.request
        assert request is not None
        try:
            visitor = self._gate.receive(websocket, source_of(request.client_address))
        except TokenError:
            await websocket.close(UNAUTHENTICATED, "the token has ended")
            return
        connection_id.set(visitor.id)
        logger.debug("opened from %s", ascii(visitor.address))
        self._metrics.opened.inc()
        session = Session(
            websocket,
            max_events=MAX_OUTBOX_EVENTS,
            max_size=MAX_OUTBOX_SIZE,
            visitor=visitor,
            outboxes=self._outboxes,
        )
        self._sessions.add(session)
        try:
            async with session.while_keeping_up():
                await self._converse(session)
        finally:
            self._sessions.discard(session)
            self._gate.leave(visitor)
            # While it is open here, it ends with our own fault, or because it was too slow.
            code = websocket.close_code or CloseCode.INTERNAL_ERROR
            code = TOO_SLOW if session.is_too_slow else code
            self._metrics.closed.count(str(int(code)))
            logger.debug("closed with %d", code)
            await self._chat.leave(
                session,
                is_goodbye=code in GOODBYE,
                grace=self._config.away_after if code in LOST else 0.0,
            )
        if session.is_too_slow:
            logger.info("%s reads too slowly", ascii(session.name))
            await websocket.close(TOO_SLOW, "too slow")

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
            await self._receive(session, message)
        async for message in websocket:
            await self._receive(session, message)
            await session.relieved()

    async def _receive(self, session: Session, message: rfc6455.Message) -> None:
        start = time.perf_counter()
        await self._chat.receive(session, message)
        self._metrics.command_seconds.observe(time.perf_counter() - start)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            if self._ticker is not None:
                self._ticker.step()
            if self._tapes is not None:
                for session in self._sessions:
                    self._tapes.tell(session)
            await self._chat.tick(asyncio.get_running_loop().time())

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + SWEEP_INTERVAL
            await asyncio.sleep(SWEEP_INTERVAL)
            self._metrics.loop_delay_seconds.observe(max(0.0, loop.time() - due))
            self._gate.sweep()
