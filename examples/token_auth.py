"""Who may come in: JSON Web Tokens, in Authorization or, from browsers, beside the subprotocol."""

import asyncio
import contextlib
import json
import os
import secrets
import time
from collections.abc import Sequence
from typing import Any

import jwt

import rfc6455
from rfc6455 import HandshakeError, Request, WebSocket

SECRET = os.environ.get("SECRET") or secrets.token_hex(32)
EXPIRED = 4401

everybody: set[WebSocket] = set()


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
    """Lets in who has a token, and chooses a subprotocol that is none.

    A page cannot set Authorization: ``new WebSocket(url, ["talk", `bearer.${token}`])``.
    """
    tokens = [name.removeprefix("bearer.") for name in offered if name.startswith("bearer.")]
    scheme, _, token = (request.headers.get("Authorization") or "").partition(" ")
    if scheme.lower() == "bearer":
        tokens.append(token)
    request.context["token"] = verify_token(tokens[0] if len(tokens) == 1 else "")
    return "talk" if "talk" in offered else None


async def talk(websocket: WebSocket) -> None:
    """Serves one connection, until its token expires."""
    assert websocket.request is not None
    token = websocket.request.context["token"]
    everybody.add(websocket)
    try:
        async with asyncio.timeout(token["exp"] - time.time()):
            await websocket.send(json.dumps({"connected": token["sub"]}))
            async for message in websocket:
                text = message if isinstance(message, str) else repr(message)
                rfc6455.broadcast(everybody, json.dumps({"user": token["sub"], "message": text}))
    except TimeoutError:
        await websocket.close(EXPIRED, "the token has expired")
    finally:
        everybody.discard(websocket)


async def main() -> None:
    """Runs the server until Ctrl-C."""
    async with rfc6455.serve(talk, "localhost", 8765, select_subprotocol=admit) as server:
        print(f"Talk at ws://localhost:8765; a token for Ann: {create_token('Ann')}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
