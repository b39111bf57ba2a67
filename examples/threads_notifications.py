"""Notifications by topic without asyncio, from a thread and over HTTP from other programs."""

import contextlib
import json
import shutil
import threading
from pathlib import Path

from rfc6455 import Overflow, Request, Response, Router
from rfc6455.sync import WebSocket, broadcast, serve

PAGE = (Path(__file__).parent / "notifications.html").read_text(encoding="utf-8")

router = Router()
subscribers: dict[str, set[WebSocket]] = {
    topic: set() for topic in ("alerts", "disk", "messages", "orders")
}
latest: dict[str, str] = {}
"""The last notification of each topic, which a new subscriber gets at once."""
lock = threading.Lock()


def notify(topic: str, notification: object) -> int:
    """Tells the subscribers of a topic, from any thread, and returns how many there are."""
    with lock:
        latest[topic] = json.dumps({"topic": topic, "notification": notification})
        broadcast(subscribers[topic], latest[topic], overflow=Overflow.DISCONNECT)
        return len(subscribers[topic])


def watch_disk(stop: threading.Event) -> None:
    """Tells how full the disk is whenever that changes, from a thread of its own."""
    before = None
    while not stop.is_set():
        usage = shutil.disk_usage("/")
        percent = round(100 * usage.used / usage.total)
        if percent != before:
            notify("disk", {"percent": percent})
            before = percent
        stop.wait(5)


def read(message: str | bytes) -> object:
    """Returns what a message asks for and its topic; None where it makes no sense."""
    try:
        ((verb, topic),) = json.loads(message).items()
    except (ValueError, AttributeError, RecursionError):
        return None
    return (verb, topic) if isinstance(topic, str) and topic in subscribers else None


def obey(websocket: WebSocket, message: str | bytes) -> None:
    """Does what a message asks for, and says so."""
    match read(message):
        case ("subscribe", str(topic)):
            subscribers[topic].add(websocket)
            websocket.push(json.dumps({"subscribed": topic}))
            if topic in latest:
                websocket.push(latest[topic])
        case ("unsubscribe", str(topic)):
            subscribers[topic].discard(websocket)
            websocket.push(json.dumps({"unsubscribed": topic}))
        case _:
            websocket.push(json.dumps({"error": "no command, or an unknown topic"}))


@router.websocket("/", origins=["http://localhost:8765", None])
def subscribe(websocket: WebSocket) -> None:
    """Takes ``{"subscribe": topic}`` and ``{"unsubscribe": topic}``."""
    try:
        for message in websocket:
            with lock:
                obey(websocket, message)
    finally:
        with lock:
            for receivers in subscribers.values():
                receivers.discard(websocket)


@router.http("/topics/<topic>", methods=["POST"])
def publish(request: Request, topic: str) -> Response:
    """Notifies from other programs; pages elsewhere cannot send this type without being asked."""
    if topic not in subscribers:
        return Response.json({"error": "unknown topic"}, 404)
    if request.headers.get("Content-Type") != "application/json":
        return Response.json({"error": "application/json is wanted"}, 415)
    try:
        notification = json.loads(request.body)
    except (ValueError, RecursionError):
        return Response.json({"error": "this is not JSON"}, 400)
    return Response.json({"subscribers": notify(topic, notification)})


@router.http("/")
def page(request: Request) -> Response:
    """A page that shows what comes."""
    return Response.html(PAGE)


def main() -> None:
    """Runs the server until Ctrl-C."""
    stop = threading.Event()
    watching = threading.Thread(target=watch_disk, args=(stop,))
    with serve(router, "localhost", 8765) as server:
        watching.start()
        print("Notifications at http://localhost:8765", flush=True)
        try:
            server.serve_forever()
        finally:
            stop.set()
            watching.join()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
