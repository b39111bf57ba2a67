"""Rate limits: buckets, and what counts as one address (hazards D10 and D11)."""

from __future__ import annotations

import asyncio

import pytest

from server.gate import MAX_REFUSALS, Gate, Visitor
from server.limits import Buckets, Limiter, Rate, publish_cost, source_of
from server.protocol import CommandError
from server.tokens import Identity, Role
from tests.helpers import async_test

from .support import client, running

OFF = Rate(0, 0)


def test_a_bucket_empties_and_fills() -> None:
    buckets = Buckets(Rate(per_second=2, burst=4))
    for _ in range(4):
        assert buckets.wait("a", 1, 0) == 0
        buckets.spend("a", 1, 0)
    assert buckets.wait("a", 1, 0) == 0.5
    assert buckets.wait("a", 3, 0.5) == 1.0
    assert buckets.wait("b", 4, 0) == 0
    assert buckets.wait("a", 4, 2) == 0


def test_what_costs_more_than_a_bucket_holds_leaves_a_debt() -> None:
    buckets = Buckets(Rate(per_second=1, burst=10))
    assert buckets.wait("a", 100, 0) == 0
    buckets.spend("a", 100, 0)
    assert buckets.wait("a", 1, 0) == 91
    assert buckets.wait("a", 1, 91) == 0


def test_what_says_nothing_is_forgotten() -> None:
    buckets = Buckets(Rate(per_second=1, burst=2))
    for number in range(100):
        buckets.spend(str(number), 1, 0)
    assert len(buckets) == 100
    # Each call takes two of those that have filled up, so all are gone after so many.
    for _ in range(60):
        buckets.spend("later", 0.001, 1000)
    assert len(buckets) == 1


def test_a_table_is_bounded_and_keeps_the_busy() -> None:
    buckets = Buckets(Rate(per_second=0.001, burst=1), size=10)
    for number in range(1000):
        buckets.spend(str(number), 1, 0)
        buckets.spend("busy", 1, 0)
        assert len(buckets) <= 11
    assert buckets.wait("busy", 1, 0) > 0
    assert buckets.wait("0", 1, 0) == 0


def test_all_pay_or_none() -> None:
    limiter = Limiter(connection=Rate(1, 2), user=Rate(1, 3), address=Rate(1, 100))
    assert limiter.pay(1, 0, connection="c1", user="u", address="a") is None
    assert limiter.pay(1, 0, connection="c1", user="u", address="a") is None
    assert limiter.pay(1, 0, connection="c1", user="u", address="a") == ("connection", 1.0)
    # The refusal has cost the user nothing.
    assert limiter.pay(1, 0, connection="c2", user="u", address="a") is None
    assert limiter.pay(1, 0, connection="c2", user="u", address="a") == ("user", 1.0)
    assert limiter.pay(1, 0, connection="c3", user="", address="a") is None


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_what_counts_as_one_address(address: str, source: str) -> None:
    assert source_of(address) == source


def gate_for(limiter: Limiter) -> Gate:
    return Gate(limiter=limiter, now=lambda: 0.0)


def visitor(number: int, name: str, address: str) -> Visitor:
    return Visitor(None, str(number), address, Identity(name, Role.USER))


def test_a_thousand_connections_of_a_user_share_one_bucket() -> None:
    gate = gate_for(Limiter(connection=Rate(1, 100), user=Rate(1, 10), address=OFF))
    for number in range(10):
        gate.pay(visitor(number, "Ann", "192.0.2.1"), 1)
    for number in range(10, 1000):
        with pytest.raises(CommandError) as caught:
            gate.pay(visitor(number, "Ann" if number % 2 else "ANN", f"192.0.2.{number}"), 1)
        assert (caught.value.code, caught.value.retry_after) == ("rate_limited", 1.0)


def test_a_home_with_many_addresses_shares_one_bucket() -> None:
    gate = gate_for(Limiter(connection=Rate(1, 100), user=Rate(1, 100), address=Rate(1, 10)))
    for number in range(1000):
        resident = visitor(number, f"user-{number}", source_of(f"2001:db8::{number:x}"))
        if number < 10:
            gate.pay(resident, 1)
            continue
        with pytest.raises(CommandError):
            gate.pay(resident, 1)


def test_who_does_not_stop_is_put_out() -> None:
    closed = []

    class Closing(Gate):
        def dismiss(self, visitor: Visitor, code: int, reason: str) -> None:
            closed.append(code)

    limiter = Limiter(connection=Rate(0.001, 1), user=OFF, address=OFF)
    gate = Closing(limiter=limiter, now=lambda: 0.0)
    ann = visitor(1, "Ann", "192.0.2.1")
    gate.pay(ann, 1)
    for _ in range(MAX_REFUSALS):
        assert closed == []
        with pytest.raises(CommandError):
            gate.pay(ann, 1)
    assert closed == [4429]


def test_a_message_costs_by_those_who_get_it() -> None:
    gate = gate_for(Limiter(connection=Rate(1, 25), user=OFF, address=OFF))
    ann = visitor(1, "Ann", "192.0.2.1")
    assert publish_cost(10_000) == 10
    gate.pay_for_publishing(ann, 10_000)
    gate.pay_for_publishing(ann, 10_000)
    with pytest.raises(CommandError) as caught:
        gate.pay_for_publishing(ann, 10_000)
    assert caught.value.retry_after == 5.0
    gate.pay_for_publishing(ann, 5)


@pytest.mark.parametrize("kind", ["command", "binary", "no json"])
@async_test
async def test_every_message_counts_and_reconnecting_does_not_help(kind: str) -> None:
    messages: dict[str, str | bytes] = {
        "command": '{"type":"list_rooms","id":1}',
        "binary": b"\x00",
        "no json": "{",
    }
    message = messages[kind]
    settings = {"address_rate": 0.01, "address_burst": 10.0}
    async with running(**settings) as address:
        async with client(address) as first:
            for _ in range(10):
                await first.websocket.send(message)
                assert (await first.receive())["code"] != "rate_limited"
            await first.websocket.send(message)
            refused = await first.receive()
            assert refused["code"] == "rate_limited"
            # As good as 100 where the ten did not take a moment.
            assert 0 < refused["retry_after"] <= 100
            assert refused["id"] == (1 if kind == "command" else None)
        async with client(address) as again:
            assert (await again.ask("list_rooms"))["code"] == "rate_limited"


@async_test
async def test_pings_are_no_free_traffic() -> None:
    async with running() as address, client(address) as ann:
        for number in range(50):
            await ann.websocket.ping(b"%d" % number)
        flood = [asyncio.ensure_future(ann.websocket.ping(b"x%d" % n)) for n in range(100)]
        done = await asyncio.gather(*flood, return_exceptions=True)
        assert any(isinstance(result, Exception) for result in done)
        assert ann.websocket.close_code == 1008
