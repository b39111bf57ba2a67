"""Prices that change, for any number of browsers: a slow one sees fewer of them, never old ones."""

import asyncio
import contextlib
import json
import random
from pathlib import Path

import rfc6455
from rfc6455 import Request, Response, Router, WebSocket

PAGE = (Path(__file__).parent / "ticker.html").read_text(encoding="utf-8")
INTERVAL = 0.2  # seconds

router = Router()
watchers: set[WebSocket] = set()
prices = {"AAPL": 150.0, "AMZN": 3400.0, "GOOGL": 2800.0, "MSFT": 300.0, "TSLA": 700.0}


def quote(symbol: str, change: float = 0.0) -> str:
    """Says what a symbol costs."""
    return json.dumps(
        {"symbol": symbol, "price": round(prices[symbol], 2), "change": round(change, 2)}
    )


async def trade() -> None:
    """Changes a price now and then, once for all who watch."""
    while True:
        await asyncio.sleep(INTERVAL)
        symbol = random.choice(list(prices))
        before = prices[symbol]
        prices[symbol] = max(0.01, before * random.uniform(0.98, 1.02))
        # Where it has to wait, a price takes the place of the one before it.
        rfc6455.broadcast(watchers, quote(symbol, prices[symbol] - before), key=symbol)


@router.websocket("/stocks", origins=["http://localhost:8765", None])
async def watch(websocket: WebSocket) -> None:
    """Tells all prices, and then every change."""
    watchers.add(websocket)
    try:
        for symbol in prices:
            websocket.push(quote(symbol), key=symbol)
        async for _ in websocket:
            pass  # nothing is expected; this waits for the end
    finally:
        watchers.discard(websocket)


@router.http("/")
def page(request: Request) -> Response:
    """A page that shows them."""
    return Response.html(PAGE)


async def main() -> None:
    """Runs the server until Ctrl-C."""
    async with rfc6455.serve(router, "localhost", 8765) as server, asyncio.TaskGroup() as tasks:
        trading = tasks.create_task(trade())
        print("Prices at http://localhost:8765", flush=True)
        await server.serve_forever()
        trading.cancel()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
