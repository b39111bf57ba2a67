"""Metrics for Prometheus, of all connections that are given the observer.

What lives here: names, labels and buckets. Labels have few values, and none that a peer can choose.
Needs the package prometheus-client (the extra ``metrics``).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any, Final
from weakref import WeakSet

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..close import CloseCode
from ..errors import ProtocolError
from ..events import Event, Ping, Pong
from ..observer import Observer

__all__ = ["PrometheusObserver"]

LATENCIES: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES: Final = (0, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576)


class PrometheusObserver(Observer):
    """Counts what happens: ``serve(..., observer=PrometheusObserver())``.

    One serves any number of servers and clients.

    Args:
        prefix: of every metric's name.
        registry: where they are registered.
    """

    def __init__(
        self, prefix: str = "rfc6455", registry: CollectorRegistry | None = REGISTRY
    ) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"{prefix}_{name}", text, labels, registry=registry)

        self._connections = Gauge(f"{prefix}_connections", "Open connections.", registry=registry)
        self._opened = counter("opened", "Connections that were opened.")
        self._closed = counter("closed", "Connections that have ended, by close code.", "code")
        self._received_bytes = counter("received_bytes", "Bytes received.")
        self._sent_bytes = counter("sent_bytes", "Bytes sent.")
        self._received = counter("received", "What was received.", "kind")
        self._received_frames = counter("received_frames", "Frames received.")
        self._sent_frames = counter("sent_frames", "Frames sent.")
        self._faults = counter("faults", "Faults and breaches of limits by peers.", "code")
        self._answered = counter(
            "answered", "Requests that got plain HTTP, refusals included.", "status"
        )
        self._dropped = counter("dropped", "Pushed messages that slow peers missed.")
        self._sizes = Histogram(
            f"{prefix}_message_bytes", "Sizes of messages.", buckets=SIZES, registry=registry
        )
        self._latency = Histogram(
            f"{prefix}_ping_seconds",
            "From a Ping to its Pong.",
            buckets=LATENCIES,
            registry=registry,
        )
        self._kinds: dict[type, Counter] = {
            kind: self._received.labels(name)
            for kind, name in ((str, "text"), (bytes, "binary"), (Ping, "ping"), (Pong, "pong"))
        }
        self._open: WeakSet[Any] = WeakSet()
        # Connections of threads come and go while others look at the set.
        self._lock = threading.Lock()
        if registry is not None:
            registry.register(_Queues(prefix, self._open, self._lock))

    def opened(self, connection: Any, core: Any) -> None:
        """Counts a connection."""
        self._opened.inc()
        self._connections.inc()
        with self._lock:
            self._open.add(connection)

    def received(self, connection: Any, data: bytes, events: Sequence[Event], frames: int) -> None:
        """Counts what came."""
        self._received_bytes.inc(len(data))
        self._received_frames.inc(frames)
        for event in events:
            counter = self._kinds.get(type(event))
            if counter is not None:
                counter.inc()
            if isinstance(event, str | bytes):
                self._sizes.observe(len(event))

    def sent(self, connection: Any, data: bytes, frames: int) -> None:
        """Counts what left."""
        self._sent_bytes.inc(len(data))
        self._sent_frames.inc(frames)

    def latency(self, connection: Any, seconds: float) -> None:
        """Counts a Pong by how long it took."""
        self._latency.observe(seconds)

    def fault(self, connection: Any, error: ProtocolError) -> None:
        """Counts a fault."""
        self._faults.labels(int(error.code)).inc()

    def dropped(self, connection: Any, messages: int) -> None:
        """Counts what was given up."""
        self._dropped.inc(messages)

    def answered(self, status: int) -> None:
        """Counts an answer of plain HTTP."""
        self._answered.labels(str(int(status))).inc()

    def closed(self, connection: Any, code: int) -> None:
        """Counts the end of a connection."""
        # Peers choose codes of their own from 3000 on.
        known = code in CloseCode.__members__.values()
        self._closed.labels(str(int(code)) if known else "other").inc()
        self._connections.dec()
        with self._lock:
            self._open.discard(connection)


class _Queues(Collector):
    """How much waits, found out when somebody asks."""

    def __init__(self, prefix: str, connections: WeakSet[Any], lock: threading.Lock) -> None:
        self._prefix = prefix
        self._connections = connections
        self._lock = lock

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            connections = list(self._connections)
        for name, text, attribute in (
            ("waiting_messages", "Messages that applications have not taken.", "waiting_messages"),
            ("unsent_bytes", "Bytes that peers have not taken.", "unsent_size"),
        ):
            total = sum(getattr(connection, attribute) for connection in connections)
            yield GaugeMetricFamily(f"{self._prefix}_{name}", text, value=total)
