"""The client's address behind proxies, and addresses that count as one."""

from __future__ import annotations

import pytest

from rfc6455.addresses import TrustedProxies, address_group
from rfc6455.errors import UsageError


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "address"),
    [
        # Nobody is asked who is not trusted.
        ("198.51.100.1", ["203.0.113.9"], "198.51.100.1"),
        ("", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        # What the client wrote itself stands at the front, and is not reached.
        ("10.0.0.1", ["1.2.3.4, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.7, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["1.2.3.4", "203.0.113.9"], "203.0.113.9"),
        # Through a chain of proxies.
        ("10.0.0.1", ["1.2.3.4, 203.0.113.9 ,\t10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9, 10.0.0.3", "10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        # With ports, and in other forms.
        ("10.0.0.1", ["203.0.113.9:5000"], "203.0.113.9"),
        ("10.0.0.1", ["[2001:DB8::1]:5000"], "2001:db8::1"),
        ("10.0.0.1", ["[2001:db8::1]"], "2001:db8::1"),
        ("10.0.0.1", ["2001:db8:0::1"], "2001:db8::1"),
        ("10.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("2001:db8:ffff::1", ["203.0.113.9"], "203.0.113.9"),
        # What cannot be read hides what stands before it.
        ("10.0.0.1", ["203.0.113.9, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9, 999.1.1.1"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["203.0.113.9:5000000"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9\r"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9%eth0"], "10.0.0.1"),
        ("10.0.0.1", ["٢.٢.٢.٢"], "10.0.0.1"),
    ],
)
def test_d10_forwarded_addresses_are_read_from_the_end(
    peer: str, forwarded_for: list[str], address: str
) -> None:
    proxies = TrustedProxies(["10.0.0.0/8", "2001:db8:ffff::/48", "unix"])
    assert proxies.client_address(peer, forwarded_for) == address


def test_without_proxies_nobody_is_trusted() -> None:
    proxies = TrustedProxies([])
    assert not proxies.trust("127.0.0.1")
    assert not proxies.trust("")
    assert proxies.client_address("127.0.0.1", ["1.2.3.4"]) == "127.0.0.1"


def test_what_is_no_address_is_no_proxy() -> None:
    assert not TrustedProxies(["0.0.0.0/0", "::/0"]).trust("somebody")


@pytest.mark.parametrize("network", ["somebody", "10.0.0.1/8", "10.0.0.0/33", "", "localhost"])
def test_what_is_no_network_is_refused(network: str) -> None:
    with pytest.raises(UsageError, match="network"):
        TrustedProxies([network])


def test_one_string_is_no_list() -> None:
    with pytest.raises(UsageError, match="list"):
        TrustedProxies("10.0.0.0/8")


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("somebody", "somebody"),
    ],
)
def test_d10_what_counts_as_one_client(address: str, group: str) -> None:
    assert address_group(address) == group
