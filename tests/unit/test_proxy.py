"""Proxies: their URLs, the choice among them, and the exchange that opens a tunnel."""

from __future__ import annotations

import pytest

from rfc6455.errors import HandshakeError, ProxyError, UsageError
from rfc6455.limits import Limits
from rfc6455.proxy import Proxy, Tunnel, choose_proxy, environment_proxy, parse_proxy
from rfc6455.uri import parse_uri
from tests.helpers import chunkings

WS = parse_uri("ws://example.com/")
WSS = parse_uri("wss://example.com/")
PROXY = Proxy("http", "proxy", 3128, "user", "pass:word")

# URLs


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://p", Proxy("http", "p", 80)),
        ("http://p/", Proxy("http", "p", 80)),
        ("p", Proxy("http", "p", 80)),
        ("p:3128", Proxy("http", "p", 3128)),
        ("u:w@p:3128", Proxy("http", "p", 3128, "u", "w")),
        ("https://p", Proxy("https", "p", 443)),
        ("HTTPS://P:1", Proxy("https", "p", 1)),
        ("socks4://p", Proxy("socks4", "p", 1080)),
        ("socks4a://p", Proxy("socks4a", "p", 1080)),
        ("socks5://p", Proxy("socks5", "p", 1080)),
        ("socks5h://u%40:p%3A%2F@[::1]:9", Proxy("socks5h", "::1", 9, "u@", "p:/")),
        ("http://u@p", Proxy("http", "p", 80, "u")),
    ],
)
def test_parse_proxy(url: str, proxy: Proxy) -> None:
    assert parse_proxy(url) == proxy


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://p",
        "ws://p",
        "socks://p",
        "http://",
        "http://p/path",
        "http://p/?q",
        "http://p/#f",
        "http://p:0",
        "http://p:65536",
        "http://p:x",
        "http://p\r\nX: y",
        "http://p\x00",
        "http://p /",
        "http://\ud800",
        "http://secret%0D%0A:secret@p",
        "http://secret%3A:secret@p",
        "http://secret:secret@p:0",
        "secret:secret@p p",
        "ftp://secret:secret@p",
    ],
)
def test_what_is_no_proxy(url: str) -> None:
    with pytest.raises(UsageError, match="not the URL of a proxy") as caught:
        parse_proxy(url)
    assert "secret" not in str(caught.value)


def test_a_password_is_not_shown() -> None:
    assert "pass" not in repr(PROXY)
    assert str(PROXY) == "http://proxy:3128"
    assert str(Proxy("socks5", "::1", 1080)) == "socks5://[::1]:1080"


# The environment


@pytest.mark.parametrize(
    ("proxies", "plain", "secure"),
    [
        ({}, None, None),
        ({"http": "a"}, "a", None),
        ({"http": "a", "all": "b"}, "a", "b"),
        ({"http": "a", "https": "b"}, "b", "b"),
        ({"https": "a", "socks": "socks5://b"}, "socks5://b", "socks5://b"),
        ({"socks": "http://b"}, "socks5h://b", "socks5h://b"),
        ({"socks": "http://b", "ws": "c", "wss": "d"}, "c", "d"),
        ({"ws": "", "http": "a", "wss": "", "all": "b"}, "a", "b"),
    ],
)
def test_choose_proxy(proxies: dict[str, str], plain: str | None, secure: str | None) -> None:
    assert (choose_proxy(WS, proxies), choose_proxy(WSS, proxies)) == (plain, secure)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ws", "wss", "http", "https", "socks", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_PROXY".upper(), raising=False)


@pytest.mark.parametrize(
    ("no_proxy", "uri", "used"),
    [
        ("", "ws://example.com/", True),
        ("*", "ws://example.com/", False),
        ("example.com", "ws://example.com/", False),
        ("example.com", "ws://a.example.com/", False),
        (".example.com", "ws://a.example.com/", False),
        ("example.com", "ws://notexample.com/", True),
        ("example.com:80", "ws://example.com/", False),
        ("example.com:81", "ws://example.com/", True),
        ("x, example.com", "ws://example.com/", False),
        ("::1", "ws://[::1]/", False),
        ("[::1]:80", "ws://[::1]/", False),
        ("127.0.0.1", "ws://127.0.0.1:8765/", False),
    ],
)
def test_the_environment_is_asked(
    no_proxy: str, uri: str, used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://p:3128")
    monkeypatch.setenv("no_proxy", no_proxy)
    expected = Proxy("http", "p", 3128) if used else None
    assert environment_proxy(parse_uri(uri)) == expected


def test_no_proxy_in_the_environment() -> None:
    assert environment_proxy(WSS) is None


def test_the_settings_of_a_system_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"https": "http://p:3128"})
    monkeypatch.setattr("urllib.request.proxy_bypass", lambda host: host == "example.com:80")
    assert environment_proxy(WSS) == Proxy("http", "p", 3128)
    assert environment_proxy(WS) is None


def test_a_bad_proxy_in_the_environment_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "ftp://p")
    with pytest.raises(UsageError, match="proxy"):
        environment_proxy(WSS)


# The request


def test_the_request_has_credentials_and_a_port() -> None:
    assert Tunnel(PROXY, "example.com", 443, user_agent="x").request_data().decode() == (
        "CONNECT example.com:443 HTTP/1.1\r\n"
        "Host: example.com:443\r\n"
        "User-Agent: x\r\n"
        "Proxy-Authorization: Basic dXNlcjpwYXNzOndvcmQ=\r\n"
        "\r\n"
    )


def test_the_request_without_credentials() -> None:
    tunnel = Tunnel(Proxy("http", "p", 80), "::1", 80, user_agent=None)
    assert tunnel.request_data() == b"CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"


# The answer


def started(**limits: int) -> Tunnel:
    tunnel = Tunnel(PROXY, "example.com", 443, limits=Limits(**limits))
    tunnel.request_data()
    return tunnel


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 Connection established\r\n\r\n",
        b"HTTP/1.0 200 Connection established\r\nProxy-agent: tinyproxy\r\n\r\n",
        b"HTTP/1.1 299 X\r\n\r\n",
        # RFC 9110 §9.3.6: "A client MUST ignore any Content-Length or Transfer-Encoding header
        # fields received in a successful response to CONNECT."
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_a_tunnel_opens(answer: bytes) -> None:
    for chunks in chunkings(answer):
        tunnel = started()
        assert not any(map(tunnel.receive_data, chunks[:-1]))
        response = tunnel.receive_data(chunks[-1])
        assert response is not None
        assert 200 <= response.status < 300
        assert response.body == b""


@pytest.mark.parametrize("status", [301, 302, 400, 403, 407, 500, 502, 503, 504])
def test_a_refusal_tells_all(status: int) -> None:
    answer = (
        b'HTTP/1.1 %d X\r\nProxy-Authenticate: Basic realm="a"\r\nContent-Length: 4\r\n'
        b"Location: wss://elsewhere/\r\n\r\npage" % status
    )
    for chunks in chunkings(answer):
        tunnel = started()
        assert not any(map(tunnel.receive_data, chunks[:-1]))
        with pytest.raises(ProxyError, match=f"status {status}") as caught:
            tunnel.receive_data(chunks[-1])
        assert caught.value.status == status
        assert ("Location", "wss://elsewhere/") in caught.value.headers
        assert caught.value.body == b"page"
        assert ("Basic realm" in str(caught.value)) is (status == 407)


def test_407_without_a_word() -> None:
    with pytest.raises(ProxyError, match="wants credentials"):
        started().receive_data(b"HTTP/1.1 407 X\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 200 OK\n\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9000,
        b"HTTP/1.1 200 " + b"x" * 9000,
        b"HTTP/1.1 102 X\r\n\r\n" * 5,
        b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nx",
        b"HTTP/1.1 407 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_an_answer_that_is_none(answer: bytes) -> None:
    with pytest.raises(ProxyError, match="proxy"):
        started().receive_data(answer)


def test_the_body_of_a_refusal_is_bounded() -> None:
    with pytest.raises(ProxyError) as caught:
        started(max_body_size=10).receive_data(b"HTTP/1.1 503 X\r\n\r\n" + b"x" * 100_000)
    assert (caught.value.status, caught.value.body) == (503, b"x" * 10)


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_the_end_before_an_answer(sent: bytes) -> None:
    tunnel = started()
    if sent:
        assert not tunnel.receive_data(sent)
    with pytest.raises(ProxyError, match="closed before an answer") as caught:
        tunnel.receive_eof()
    assert isinstance(caught.value.__cause__, EOFError)
    assert isinstance(caught.value, HandshakeError)


def test_the_end_ends_the_body_of_a_refusal() -> None:
    tunnel = started()
    assert not tunnel.receive_data(b"HTTP/1.1 502 X\r\n\r\npage")
    with pytest.raises(ProxyError) as caught:
        tunnel.receive_eof()
    assert (caught.value.status, caught.value.body) == (502, b"page")


@pytest.mark.parametrize("host", ["a\r\nb", "a b", "a\x00", "\u010a"])
def test_a_host_that_may_not_stand_in_a_request(host: str) -> None:
    with pytest.raises(UsageError):
        Tunnel(PROXY, host, 80)
