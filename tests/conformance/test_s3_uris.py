"""RFC 6455 §3 and §11.1: ws and wss URIs."""

from __future__ import annotations

import pytest

from rfc6455.errors import UsageError
from rfc6455.uri import parse_uri


@pytest.mark.clause("W004", "W011")
@pytest.mark.parametrize(
    ("uri", "host", "port", "resource_name"),
    [
        ("ws://example.com", "example.com", 80, "/"),
        ("ws://example.com:8080/chat", "example.com", 8080, "/chat"),
        ("wss://example.com/chat?room=a&x=%20", "example.com", 443, "/chat?room=a&x=%20"),
        ("wss://[::1]:4430/", "::1", 4430, "/"),
    ],
)
def test_s3_uri_has_host_port_path_and_query(
    uri: str, host: str, port: int, resource_name: str
) -> None:
    parsed = parse_uri(uri)
    assert (parsed.host, parsed.port, parsed.resource_name) == (host, port, resource_name)


@pytest.mark.clause("W004", "W012")
@pytest.mark.parametrize(
    "uri", ["http://example.com/", "example.com", "ws:example.com", "ws:///chat", "ws://a:x/"]
)
def test_s3_other_uris_are_refused(uri: str) -> None:
    with pytest.raises(UsageError):
        parse_uri(uri)


@pytest.mark.clause("W005")
def test_s3_default_ports() -> None:
    assert parse_uri("ws://example.com/").port == 80
    assert parse_uri("wss://example.com/").port == 443


@pytest.mark.clause("W006")
@pytest.mark.parametrize(
    ("scheme", "secure"), [("ws", False), ("WS", False), ("wss", True), ("Wss", True)]
)
def test_s3_secure_when_the_scheme_is_wss_in_any_case(scheme: str, secure: bool) -> None:
    assert parse_uri(f"{scheme}://example.com/").secure is secure


@pytest.mark.clause("W007")
@pytest.mark.parametrize(
    ("tail", "resource_name"),
    [("", "/"), ("/", "/"), ("?", "/"), ("/?", "/"), ("?a", "/?a"), ("/a?b", "/a?b")],
)
def test_s3_resource_name(tail: str, resource_name: str) -> None:
    assert parse_uri("ws://example.com" + tail).resource_name == resource_name


@pytest.mark.clause("W008", "W012")
@pytest.mark.parametrize("tail", ["#", "/#", "/#a", "/a?b#c", "#/"])
def test_s3_fragment_is_refused(tail: str) -> None:
    with pytest.raises(UsageError, match="fragment"):
        parse_uri("ws://example.com" + tail)


@pytest.mark.clause("W009")
def test_s3_escaped_number_sign_is_part_of_the_path() -> None:
    assert parse_uri("ws://example.com/a%23b").resource_name == "/a%23b"


@pytest.mark.clause("W244", "W246")
@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_s11_1_1_host_is_converted_to_ascii(scheme: str) -> None:
    assert parse_uri(f"{scheme}://bücher.example/").host == "xn--bcher-kva.example"
    with pytest.raises(UsageError):
        parse_uri(f"{scheme}://é..example/")


@pytest.mark.clause("W245", "W246")
@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_s11_1_1_other_parts_are_percent_encoded(scheme: str) -> None:
    assert parse_uri(f"{scheme}://example.com/é?ü=%C3").resource_name == "/%C3%A9?%C3%BC=%C3"
