"""JSON Web Tokens without asyncio: who has none does not come in, and who has is out at its end."""

import contextlib
import json
import os
import secrets
import threading
import time
from collections.abc import Sequence
from typing import Any

import jwt

from rfc6455 import HandshakeError, Request
from rfc6455.sync import WebSocket, broadcast, serve

SECRET = os.environ.get("SECRET") or secrets.token_hex(32)
EXPIRED = 4401

everybody: set[WebSocket] = set()
lock = threading.Lock()


def create_token(user: str, lifetime: float = 86_400) -> str:
    """Makes a token that is good for so many seconds."""
    return jwt.encode({"sub": user, "exp": time.time() + lifetime}, SECRET, "HS256")


def verify_token(token: str) -> dict[str, Any]:
    """Returns what a token says.

    Raises:
        HandshakeError: 401; it is none of ours, or its time is over.
    """
    try:
        return jwt.decode(token, SECRET, ["HS256"], options={"require": ["sub", "exp"]})
    except jwt.InvalidTokenError as error:
        raise HandshakeError("no good token", 401, [("WWW-Authenticate", "Bearer")]) from error


def admit(request: Request, offered: Sequence[str]) -> str | None:
    """Lets in who has a token, and chooses a subprotocol that is none; see token_auth.py."""
    tokens = [name.removeprefix("bearer.") for name in offered if name.startswith("bearer.")]
    scheme, _, token = (request.headers.get("Authorization") or "").partition(" ")
    if scheme.lower() == "bearer":
        tokens.append(token)
    request.context["token"] = verify_token(tokens[0] if len(tokens) == 1 else "")
    return "talk" if "talk" in offered else None


def talk(websocket: WebSocket) -> None:
    """Serves one connection, until its token expires."""
    assert websocket.request is not None
    token = websocket.request.context["token"]
    with lock:
        websocket.push(json.dumps({"connected": token["sub"]}))
        everybody.add(websocket)
    try:
        while (left := token["exp"] - time.time()) > 0:
            message = websocket.recv(timeout=left)
            text = message if isinstance(message, str) else repr(message)
            with lock:
                broadcast(everybody, json.dumps({"user": token["sub"], "message": text}))
    except TimeoutError:
        pass
    finally:
        with lock:
            everybody.discard(websocket)
    websocket.close(EXPIRED, "the token has expired")


def main() -> None:
    """Runs the server until Ctrl-C."""
    with serve(talk, "localhost", 8765, select_subprotocol=admit) as server:
        print(f"Talk at ws://localhost:8765; a token for Ann: {create_token('Ann')}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
