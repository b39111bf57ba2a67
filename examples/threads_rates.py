"""An echo with a limit on messages for each client, without asyncio; see rate_limit.py."""

import contextlib
import json
import threading
import time

from rfc6455 import CloseCode
from rfc6455.sync import WebSocket, serve

BURST = 10
PER_SECOND = 1.0
PATIENCE = 20
"""So many refused messages on a connection end it."""


class RateLimiter:
    """Buckets of tokens that many threads take from: they fill up with time.

    What a bucket costs is two numbers; one that is full again is forgotten.
    """

    def __init__(self, burst: int, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._spent: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def wait_for(self, who: str, now: float) -> float:
        """Takes a token; or takes none, and returns the seconds until there is one."""
        with self._lock:
            spent = self._spent_by(who, now) + 1
            if spent > self._burst:
                return (spent - self._burst) / self._per_second
            self._spent.pop(who, None)
            self._spent[who] = spent, now
            self._forget(now)
            return 0.0

    def _spent_by(self, who: str, now: float) -> float:
        spent, since = self._spent.get(who, (0.0, now))
        return max(0.0, spent - (now - since) * self._per_second)

    def _forget(self, now: float) -> None:
        # Whoever has been silent for the longest comes first; two at a time keep up with newcomers.
        for who in [name for name, _ in zip(self._spent, range(2), strict=False)]:
            if not self._spent_by(who, now):
                del self._spent[who]


limiter = RateLimiter(BURST, PER_SECOND)


def echo(websocket: WebSocket) -> None:
    """Serves one connection."""
    assert websocket.request is not None
    who = websocket.request.client_address
    refused = 0
    for message in websocket:
        wait = limiter.wait_for(who, time.monotonic())
        if not wait:
            websocket.send(message)
            continue
        refused += 1
        if refused > PATIENCE:
            websocket.close(CloseCode.POLICY_VIOLATION, "too many messages")
            return
        websocket.send(json.dumps({"error": "rate limit exceeded", "retry_after": round(wait, 3)}))


def main() -> None:
    """Runs the server until Ctrl-C."""
    with serve(echo, "localhost", 8765) as server:
        print("Echo at ws://localhost:8765", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
