"""WebSocket for threads: `serve`, `connect`, and the `WebSocket` that both give."""

from .client import connect, unix_connect
from .connection import WebSocket
from .server import Server, serve

__all__ = ["Server", "WebSocket", "connect", "serve", "unix_connect"]
