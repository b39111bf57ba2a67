"""The way to a server: what excludes what, where it leads, and in which order addresses are tried.

Knows no transport; `environment_proxy` has tests of its own.
"""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest

from rfc6455 import Limits, UsageError
from rfc6455.proxy import parse_proxy
from rfc6455.uri import parse_uri
from rfc6455.way import Address, Leg, Way, default_context, interleave

URI = parse_uri("ws://example.com:81/")
PROXY = parse_proxy("http://proxy:3128")


def way(**said: Any) -> Way:
    options: dict[str, Any] = {
        "host": None,
        "port": None,
        "sock": None,
        "path": None,
        "local_addr": None,
        "happy_eyeballs_delay": None,
        "proxy": False,
        "proxy_ssl": None,
        "user_agent": None,
        "limits": Limits(),
    }
    return Way(**options | said)


@pytest.mark.parametrize(
    "said",
    [
        {"path": "/socket", "host": "localhost"},
        {"path": "/socket", "port": 80},
        {"path": "/socket", "proxy": PROXY},
        {"path": "/socket", "local_addr": ("127.0.0.1", 0)},
    ],
)
def test_what_excludes_each_other_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        way(**said)


def test_it_leads_to_the_host_of_the_uri_unless_another_is_given() -> None:
    assert way().choose(URI) == Leg(None, ("example.com", 81), [])
    assert way(host="127.0.0.1").choose(URI).place == ("127.0.0.1", 81)
    assert way(port=8080).choose(URI).place == ("example.com", 8080)
    assert way(path="/socket").choose(URI) == Leg(None, ("example.com", 81), [])


def test_a_proxy_may_lead_there(monkeypatch: pytest.MonkeyPatch) -> None:
    leg = way(proxy=PROXY).choose(URI)
    assert (leg.proxy, leg.places) == (PROXY, [("example.com", 81)])
    monkeypatch.setattr("rfc6455.way.environment_proxy", lambda uri: PROXY)
    assert way(proxy=True).choose(URI).proxy == PROXY
    monkeypatch.setattr("rfc6455.way.environment_proxy", lambda uri: None)
    assert way(proxy=True).choose(URI).proxy is None


def test_a_socket_knows_where_it_leads() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert way(sock=ours).choose(URI).places == []
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as sock,
    ):
        assert way(sock=sock).choose(URI).places == [listener.getsockname()]


def test_a_redirect_is_not_followed_where_the_way_was_given() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert "socket" in way(sock=ours).why_not(False)
    assert way().why_not(True) == ""
    for said in ({"host": "a"}, {"port": 1}, {"path": "/socket"}):
        assert way(**said).why_not(False) == ""
        assert "another server" in way(**said).why_not(True)


def test_families_of_addresses_take_turns() -> None:
    four = [Address(socket.AF_INET, (f"10.0.0.{n}", 80)) for n in range(3)]
    six = [Address(socket.AF_INET6, ("::1", 80, 0, 0))]
    assert interleave([*six, *four]) == [six[0], *four]
    assert interleave([*four, *six]) == [four[0], six[0], four[1], four[2]]
    assert interleave([]) == []
    assert six[0].place == ("::1", 80)


def test_certificates_and_names_are_verified_by_default() -> None:
    context = default_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
