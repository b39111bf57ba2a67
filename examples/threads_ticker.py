"""Prices that change, for any number of browsers, without asyncio and without a handler."""

import contextlib
import json
import random
import threading
from pathlib import Path

from rfc6455 import Request, Response, Route, Router
from rfc6455.sync import CallbackWebSocket, Listener, broadcast, serve

PAGE = (Path(__file__).parent / "ticker.html").read_text(encoding="utf-8")
INTERVAL = 0.2  # seconds

watchers: set[CallbackWebSocket] = set()
prices = {"AAPL": 150.0, "AMZN": 3400.0, "GOOGL": 2800.0, "MSFT": 300.0, "TSLA": 700.0}
lock = threading.Lock()


def quote(symbol: str, change: float = 0.0) -> str:
    """Says what a symbol costs."""
    return json.dumps(
        {"symbol": symbol, "price": round(prices[symbol], 2), "change": round(change, 2)}
    )


def trade() -> None:
    """Changes a price, once for all who watch."""
    symbol = random.choice(list(prices))
    with lock:
        before = prices[symbol]
        prices[symbol] = max(0.01, before * random.uniform(0.98, 1.02))
        # Where it has to wait, a price takes the place of the one before it.
        broadcast(watchers, quote(symbol, prices[symbol] - before), key=symbol)


class Watch(Listener):
    """Tells all prices, and then every change. Nothing is expected of who watches."""

    def on_open(self, websocket: CallbackWebSocket) -> None:
        """Somebody begins to watch."""
        with lock:
            watchers.add(websocket)
            for symbol in prices:
                websocket.push(quote(symbol), key=symbol)

    def on_close(self, websocket: CallbackWebSocket) -> None:
        """Somebody has gone."""
        with lock:
            watchers.discard(websocket)


router = Router([Route("/stocks", Watch, origins=["http://localhost:8765", None])])


@router.http("/")
def page(request: Request) -> Response:
    """A page that shows them."""
    return Response.html(PAGE)


def main() -> None:
    """Runs the server until Ctrl-C."""
    stop = threading.Event()
    with serve(router, "localhost", 8765):
        print("Prices at http://localhost:8765", flush=True)
        while not stop.wait(INTERVAL):
            trade()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
