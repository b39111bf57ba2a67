"""Metrics: what is counted, with labels that cannot grow."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from server.metrics import MAX_CODES, Metrics


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def test_gauges_are_measured_when_somebody_asks() -> None:
    values = [1.0, 2.0]
    metrics = Metrics({"connections": ("Open ones.", lambda: values.pop(0))})
    assert samples(metrics)["rfc6455_chat_connections", ()] == 1
    assert samples(metrics)["rfc6455_chat_connections", ()] == 2


def test_counters_count() -> None:
    metrics = Metrics({})
    metrics.opened.inc()
    metrics.commands.count("send")
    metrics.commands.count("send")
    metrics.command_seconds.observe(0.002)
    found = samples(metrics)
    assert found["rfc6455_chat_connections_opened_total", ()] == 1
    assert found["rfc6455_chat_commands_total", ("send",)] == 2
    assert found["rfc6455_chat_command_seconds_count", ()] == 1
    assert found["rfc6455_chat_command_seconds_bucket", ("0.0025",)] == 1
    assert found["rfc6455_chat_command_seconds_bucket", ("0.001",)] == 0


def test_a_label_has_so_many_values_and_no_more() -> None:
    metrics = Metrics({})
    for code in range(3000, 3000 + 10 * MAX_CODES):
        metrics.closed.count(str(code))
    values = [key for key in samples(metrics) if key[0] == "rfc6455_chat_connections_closed_total"]
    assert len(values) == MAX_CODES + 1
    assert samples(metrics)["rfc6455_chat_connections_closed_total", ("other",)] == 9 * MAX_CODES
