"""RFC 6455 §4: the opening handshake; `server` and `client` each have their half of it."""

from .client import ClientHandshake
from .nonce import accept_key
from .server import Offer, ServerHandshake, offered_subprotocols, validate

__all__ = [
    "ClientHandshake",
    "Offer",
    "ServerHandshake",
    "accept_key",
    "offered_subprotocols",
    "validate",
]
