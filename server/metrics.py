"""What the server counts, for Prometheus.

What lives here: every metric, with its few labels. No label holds what a client chose: neither
names, rooms and addresses nor tokens; so their number is bounded, and nobody is told of anybody.
This file does not know when something is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
PREFIX: Final = "rfc6455_chat"
SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
MAX_CODES: Final = 64
"""Values of a label; from then on new ones are ``other``."""


class Metrics:
    """The counters of one server.

    Args:
        gauges: what can be measured at any time: by name, the help and a function.
    """

    def __init__(self, gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
        self._registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._registry.register(_Gauges(gauges))
        self.opened = self._counter("connections_opened", "Connections that were opened.")
        self.closed = _Bounded(self._counter("connections_closed", "By close code.", "code"))
        self.commands = _Bounded(self._counter("commands", "Commands by type.", "type"))
        self.refused = _Bounded(self._counter("refused_commands", "By error code.", "code"))
        self.unauthenticated = _Bounded(
            self._counter("unauthenticated", "Tokens that were not accepted.", "reason")
        )
        self.requests = _Bounded(
            self._counter("http_requests", "Plain HTTP requests by status.", "status")
        )
        self.command_seconds = self._histogram(
            "command_seconds", "From a command's arrival to its answer in the outbox."
        )
        self.loop_delay_seconds = self._histogram(
            "loop_delay_seconds", "How late the event loop runs what is due."
        )

    def text(self) -> bytes:
        """Returns everything in the text format of Prometheus."""
        return generate_latest(self._registry)

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", help, labels, registry=self._registry)

    def _histogram(self, name: str, help: str) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", help, buckets=SECONDS, registry=self._registry)


class _Bounded:
    """A counter with one label that never has more than so many values."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._known: dict[str, Counter] = {}

    def count(self, value: str) -> None:
        counter = self._known.get(value)
        if counter is None:
            if len(self._known) >= MAX_CODES:
                value = "other"
            counter = self._known[value] = self._counter.labels(value)
        counter.inc()


class _Gauges(Collector):
    """Measures when somebody asks."""

    def __init__(self, gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, (help, measure) in self._gauges.items():
            yield GaugeMetricFamily(f"{PREFIX}_{name}", help, value=measure())
