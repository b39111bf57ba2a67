"""WebSocket on asyncio: `serve`, `connect`, and what both give."""

from .broadcast import broadcast
from .channel import Overflow
from .client import connect, connect_listener, unix_connect
from .connection import WebSocket
from .endpoint import Endpoint
from .listener import CallbackWebSocket, Listener
from .server import Drained, Server, serve

__all__ = [
    "CallbackWebSocket",
    "Drained",
    "Endpoint",
    "Listener",
    "Overflow",
    "Server",
    "WebSocket",
    "broadcast",
    "connect",
    "connect_listener",
    "serve",
    "unix_connect",
]
