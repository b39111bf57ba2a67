"""WebSocket for threads: `serve`, `connect`, and the `WebSocket` that both give."""

from ..broadcast import broadcast
from .client import connect, connect_listener, unix_connect
from .connection import WebSocket
from .endpoint import Endpoint
from .listener import CallbackWebSocket, Listener
from .server import Server, serve

__all__ = [
    "CallbackWebSocket",
    "Endpoint",
    "Listener",
    "Server",
    "WebSocket",
    "broadcast",
    "connect",
    "connect_listener",
    "serve",
    "unix_connect",
]
