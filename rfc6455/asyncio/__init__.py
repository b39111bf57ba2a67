"""WebSocket on asyncio: `serve`, `connect`, and what both give."""

from .client import connect, connect_listener, unix_connect
from .connection import WebSocket
from .endpoint import Endpoint
from .listener import CallbackWebSocket, Listener
from .running import run
from .server import Drained, Server, serve

__all__ = [
    "CallbackWebSocket",
    "Drained",
    "Endpoint",
    "Listener",
    "Server",
    "WebSocket",
    "connect",
    "connect_listener",
    "run",
    "serve",
    "unix_connect",
]
