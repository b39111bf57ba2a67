"""The WebSocket protocol, RFC 6455: a sans-IO core, and asyncio on top.

PYTEST_DONT_REWRITE: the plugin for pytest would otherwise make it warn where we are imported first.
"""

from .asyncio import (
    CallbackWebSocket,
    Drained,
    Endpoint,
    Listener,
    Server,
    WebSocket,
    connect,
    connect_listener,
    run,
    serve,
    unix_connect,
)
from .auth import basic_auth
from .backoff import backoff_delays, is_transient
from .broadcast import broadcast
from .budget import MemoryBudget
from .close import Close, CloseCode
from .codec import implementation
from .connection import Connection, Role, TransportAction
from .errors import (
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    HandshakeError,
    ProtocolError,
    ProxyError,
    UsageError,
    WebSocketError,
)
from .events import Closed, Event, Fault, Fragment, Message, Ping, Pong
from .extensions import Extension, ExtensionFactory, PermessageDeflate
from .frameobserver import FrameObserver
from .headers import Headers
from .http import Request, Response
from .limits import Limits
from .listening import systemd_sockets
from .observer import Observer
from .overflow import Overflow
from .prepared import PreparedMessage
from .router import Route, Router
from .state import State
from .tracing import TracedFrame
from .version import __version__

__all__ = [
    "CallbackWebSocket",
    "Close",
    "CloseCode",
    "Closed",
    "Connection",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "Drained",
    "Endpoint",
    "Event",
    "Extension",
    "ExtensionFactory",
    "Fault",
    "Fragment",
    "FrameObserver",
    "HandshakeError",
    "Headers",
    "Limits",
    "Listener",
    "MemoryBudget",
    "Message",
    "Observer",
    "Overflow",
    "PermessageDeflate",
    "Ping",
    "Pong",
    "PreparedMessage",
    "ProtocolError",
    "ProxyError",
    "Request",
    "Response",
    "Role",
    "Route",
    "Router",
    "Server",
    "State",
    "TracedFrame",
    "TransportAction",
    "UsageError",
    "WebSocket",
    "WebSocketError",
    "__version__",
    "backoff_delays",
    "basic_auth",
    "broadcast",
    "connect",
    "connect_listener",
    "implementation",
    "is_transient",
    "run",
    "serve",
    "systemd_sockets",
    "unix_connect",
]
