"""WebSocket on asyncio: `serve`, `connect`, and the `WebSocket` that both give."""

from .client import connect, unix_connect
from .connection import WebSocket
from .server import Drained, Server, serve

__all__ = ["Drained", "Server", "WebSocket", "connect", "serve", "unix_connect"]
